/* See helper.h. */
#include "tests/worker/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void pause_ms(int ms)
{
    poll(NULL, 0, ms);
}

void start_process(struct process *p, ...)
{
    char *argv[16] = {(char *)IMU_BUILD_DIR "/invokemu-worker", (char *)"--socket", p->socket};
    int argc = 3;
    va_list args;
    va_start(args, p);
    for (char *a; (a = va_arg(args, char *)) && argc < 15;)
        argv[argc++] = a;
    va_end(args);
    snprintf(p->dir, sizeof p->dir, "/tmp/imu-worker-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->socket, sizeof p->socket, "%s/s", p->dir);
    snprintf(p->log, sizeof p->log, "%s/log", p->dir);
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that ends early leaves no process behind */
        int log = open(p->log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        dup2(log, 2);
        execv(argv[0], argv);
        _exit(127);
    }
    int64_t end = imu_clock_ms() + WAIT_MS;
    while (!log_has(p, "ready on")) {
        assert_int_equal(waitpid(p->pid, NULL, WNOHANG), 0);
        assert_true(imu_clock_ms() < end);
        pause_ms(10);
    }
}

void stop_process(struct process *p)
{
    int status;
    kill(p->pid, SIGTERM);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        char command[200];
        snprintf(command, sizeof command, "%s", p->log);
        FILE *f = fopen(p->log, "r");
        for (int ch; f && (ch = fgetc(f)) != EOF;)
            fputc(ch, stderr);
        fail_msg("the worker ended with status %x", status);
    }
    assert_int_not_equal(access(p->socket, F_OK), 0);
    unlink(p->log);
    rmdir(p->dir);
}

bool log_has(const struct process *p, const char *text)
{
    static char buf[1 << 20];
    int fd = open(p->log, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, buf, sizeof buf - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return false;
    buf[n] = 0;
    return strstr(buf, text) != NULL;
}

void connect_peer(struct peer *c, const char *socket)
{
    c->fd = imu_wire_connect(socket);
    assert_true(c->fd >= 0);
    c->rd = imu_wire_reader_new(IMU_WIRE_MAX_FRAME);
    assert_non_null(c->rd);
}

void close_peer(struct peer *c)
{
    close(c->fd);
    imu_wire_reader_free(c->rd);
}

void send_json(struct peer *c, uint8_t type, json_t *h, const int *fds, int n_fds)
{
    assert_non_null(h);
    if (n_fds)
        json_object_set_new(h, "fds", json_integer(n_fds));
    char *text = json_dumps(h, JSON_COMPACT);
    json_decref(h);
    imu_frame f = {.type = type, .header = text, .header_len = strlen(text), .n_fds = n_fds};
    for (int i = 0; i < n_fds; i++)
        f.fds[i] = fds[i];
    assert_int_equal(imu_wire_send(c->fd, &f, WAIT_MS), 0);
    free(text);
}

void clear_got(struct got *g)
{
    for (int i = 0; i < g->n_fds; i++)
        close(g->fds[i]);
    json_decref(g->h);
    memset(g, 0, offsetof(struct got, payload));
    g->n_fds = 0;
}

bool next_frame(struct peer *c, struct got *g)
{
    imu_frame f;
    clear_got(g);
    int rc = imu_wire_recv(c->rd, c->fd, &f, WAIT_MS);
    assert_int_not_equal(rc, 0);
    if (rc < 0)
        return false;
    g->type = f.type;
    g->h = json_loadb(f.header, f.header_len, 0, NULL);
    assert_non_null(g->h);
    /* The state of a run is looked at as JSON. */
    if (f.type == IMU_WIRE_DONE) {
        json_object_set_new(g->h, "session", json_loadb(f.payload, f.payload_len, 0, NULL));
        f.payload_len = 0;
    }
    assert_true(f.payload_len <= sizeof g->payload);
    g->payload_len = f.payload_len;
    memcpy(g->payload, f.payload, f.payload_len);
    memcpy(g->fds, f.fds, sizeof f.fds);
    g->n_fds = f.n_fds;
    return true;
}

void expect_type(struct peer *c, struct got *g, uint8_t type)
{
    do {
        if (!next_frame(c, g))
            fail_msg("the connection ended while frame %d was waited for", type);
    } while (g->type != type);
}

json_t *parse(const char *text)
{
    char *copy = strdup(text);
    json_error_t error;
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    json_t *value = json_loads(copy, JSON_DECODE_ANY, &error);
    if (!value)
        fail_msg("%s in: %s", error.text, copy);
    free(copy);
    return value;
}

json_t *make_run(const char *run_id, const char *graph)
{
    return json_pack("{s:s,s:i,s:{s:s,s:o},s:[],s:[],s:n}", "run_id", run_id, "item_id", 7,
                     "session", "id", "11111111-1111-4111-8111-111111111111", "graph", parse(graph),
                     "models", "images", "workflow");
}
