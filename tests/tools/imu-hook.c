/*
 * imu-hook: moves a job on without a worker, in a server that was started with -D InvokeMUTestHook.
 *
 *     imu-hook [SOCKET_OR_RUN_FOLDER] start|progress|complete|fail ITEM_ID
 *     imu-hook [SOCKET_OR_RUN_FOLDER] clock SECONDS
 *
 * The second moves the clock by which sessions, links and mails end.
 * Without the first argument the environment's IMU_HOOK_SOCKET is taken. Exits with 0 once the step
 * has happened inside the server.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "wire/wire.h"

#define PATIENCE_MS 10000
#define SOCKET_NAME "dispatch.sock"

/* Accepts the socket itself, the folder it lies in, or an instance's folder with run/ in it. */
static const char *socket_path(const char *given, char *buf, size_t size)
{
    struct stat st;

    for (int i = 0; i < 2; i++) {
        int len = i == 0 ? snprintf(buf, size, "%s/" SOCKET_NAME, given)
                         : snprintf(buf, size, "%s/run/" SOCKET_NAME, given);

        if (len > 0 && (size_t)len < size && stat(buf, &st) == 0)
            return buf;
    }
    return given;
}

/* A dispatcher that is just being restarted is waited for. */
static int connect_to(const char *path)
{
    int fd = -1;

    for (int i = 0;
         i < 50 && (fd = imu_wire_connect(path)) < 0 && (errno == ECONNREFUSED || errno == ENOENT);
         i++)
        usleep(100 * 1000);
    return fd;
}

static int send_step(int fd, const char *step, long long item_id)
{
    json_t *header = json_pack("{s:s, s:I}", "step", step, "item_id", (json_int_t)item_id);
    char *text = header ? json_dumps(header, JSON_COMPACT) : NULL;
    imu_frame frame = {
        .type = IMU_WIRE_HOOK, .header = text, .header_len = text ? strlen(text) : 0};
    int rc = text ? imu_wire_send(fd, &frame, PATIENCE_MS) : -1;

    free(text);
    json_decref(header);
    return rc;
}

/* @return exit status */
static int read_reply(int fd)
{
    imu_wire_reader *reader = imu_wire_reader_new(65536);
    imu_frame frame;
    json_t *reply = NULL;
    const char *error;
    int ok;

    if (reader && imu_wire_recv(reader, fd, &frame, PATIENCE_MS) == 1 &&
        frame.type == IMU_WIRE_HOOK_REPLY)
        reply = json_loadb(frame.header, frame.header_len, 0, NULL);
    ok = json_is_true(json_object_get(reply, "ok"));
    error = json_string_value(json_object_get(reply, "error"));
    if (!ok)
        fprintf(stderr, "imu-hook: %s\n", error ? error : "no answer from the dispatcher");
    json_decref(reply);
    imu_wire_reader_free(reader);
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *where = argc == 4 ? argv[1] : getenv("IMU_HOOK_SOCKET");
    char buf[PATH_MAX], *end;
    long long item_id;
    int fd, rc;

    if ((argc != 3 && argc != 4) || !where) {
        fprintf(stderr,
                "usage: imu-hook [SOCKET_OR_RUN_FOLDER] start|progress|complete|fail ITEM_ID\n"
                "       imu-hook [SOCKET_OR_RUN_FOLDER] clock SECONDS\n");
        return 2;
    }
    errno = 0;
    item_id = strtoll(argv[argc - 1], &end, 10);
    if (errno || *end || item_id < 1) {
        fprintf(stderr, "imu-hook: '%s' is no number above 0\n", argv[argc - 1]);
        return 2;
    }
    fd = connect_to(socket_path(where, buf, sizeof buf));
    if (fd < 0 || send_step(fd, argv[argc - 2], item_id) < 0) {
        perror("imu-hook");
        return 1;
    }
    rc = read_reply(fd);
    close(fd);
    return rc;
}
