/* The httpd children's side of the media process. See media_client.h. */
#include "wire/media_client.h"
#include "wire/wire_internal.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_ANSWER (IMU_WIRE_MAX_HEADER + 64u) /* three bounded texts, escaped */
#define LOOK_MS    200                         /* whether the answer is still wanted */

void imu_media_result_free(struct imu_media_result *r)
{
    if (r->png_fd >= 0)
        close(r->png_fd);
    if (r->thumbnail_fd >= 0)
        close(r->thumbnail_fd);
    free(r->metadata);
    free(r->workflow);
    free(r->graph);
    memset(r, 0, sizeof *r);
    r->png_fd = r->thumbnail_fd = -1;
}

static char *make_header(const struct imu_media_limits *l)
{
    json_t *header =
        json_pack("{s:i,s:I,s:i,s:i}", "fds", 1, "max_pixels", (json_int_t)l->max_pixels,
                  "max_side", l->max_side, "thumbnail", l->thumbnail);
    if (header && (l->resize_width || l->resize_height))
        json_object_set_new(header, "resize_to",
                            json_pack("[i,i]", l->resize_width, l->resize_height));
    if (header && l->account)
        json_object_set_new(header, "account", json_string(l->account));
    char *text = header ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    return text;
}

static int send_request(int fd, int file_fd, const struct imu_media_limits *limits, int timeout_ms)
{
    char *header = make_header(limits);
    if (!header) {
        errno = ENOMEM;
        return -1;
    }
    imu_frame f = {.type = IMU_WIRE_DECODE,
                   .header = header,
                   .header_len = strlen(header),
                   .n_fds = 1,
                   .fds = {file_fd}};
    int rc = imu_wire_send(fd, &f, timeout_ms);
    free(header);
    return rc;
}

static void copy_text(char *to, size_t size, const char *from)
{
    size_t len = from ? strnlen(from, size - 1) : 0;
    /* Never cut a UTF-8 sequence in two. */
    while (len > 0 && from[len] && ((unsigned char)from[len] & 0xC0) == 0x80)
        len--;
    if (len)
        memcpy(to, from, len);
    to[len] = 0;
}

static int take_text(const json_t *header, const char *key, char **out)
{
    const json_t *value = json_object_get(header, key);
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_string(value))
        return -1;
    *out = strdup(json_string_value(value));
    return *out ? 0 : -1;
}

static int take_size(int fd, uint64_t *bytes)
{
    struct stat st;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size <= 0)
        return -1;
    *bytes = (uint64_t)st.st_size;
    return 0;
}

static int take_decoded(const json_t *header, imu_frame *f, struct imu_media_result *out)
{
    if (f->n_fds != 2)
        return -1;
    out->png_fd = f->fds[0];
    out->thumbnail_fd = f->fds[1];
    f->n_fds = 0;
    out->width = (int)json_integer_value(json_object_get(header, "width"));
    out->height = (int)json_integer_value(json_object_get(header, "height"));
    if (out->width <= 0 || out->height <= 0)
        return -1;
    if (take_size(out->png_fd, &out->png_bytes) ||
        take_size(out->thumbnail_fd, &out->thumbnail_bytes))
        return -1;
    if (take_text(header, "metadata", &out->metadata) ||
        take_text(header, "workflow", &out->workflow) || take_text(header, "graph", &out->graph))
        return -1;
    return 0;
}

/* @return 0, 1 or -1 as imu_media_decode. */
static int take_answer(imu_frame *f, struct imu_media_result *out)
{
    json_t *header = json_loadb(f->header, f->header_len, JSON_REJECT_DUPLICATES, NULL);
    int rc = -1;
    if (header && f->type == IMU_WIRE_DECODED) {
        rc = take_decoded(header, f, out);
    } else if (header && f->type == IMU_WIRE_REJECTED) {
        copy_text(out->code, sizeof out->code, json_string_value(json_object_get(header, "code")));
        copy_text(out->message, sizeof out->message,
                  json_string_value(json_object_get(header, "message")));
        rc = out->code[0] ? 1 : -1;
    }
    for (int i = 0; i < f->n_fds; i++)
        close(f->fds[i]);
    json_decref(header);
    if (rc < 0)
        errno = EPROTO;
    return rc;
}

/* @return 1, or what is not 1 with errno */
static int await_answer(imu_wire_reader *rd, int fd, imu_frame *f,
                        const struct imu_media_limits *limits, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline - imu_wire_now_ms();
        int slice = left <= 0 ? 0 : limits->wanted && left > LOOK_MS ? LOOK_MS : (int)left;
        int rc = imu_wire_recv(rd, fd, f, slice);
        if (rc < 0 && errno == 0)
            errno = ECONNRESET;
        if (rc)
            return rc;
        if (left <= slice) {
            errno = ETIMEDOUT;
            return 0;
        }
        if (!limits->wanted(limits->user)) {
            errno = ECANCELED;
            return 0;
        }
    }
}

static int exchange(int fd, int file_fd, const struct imu_media_limits *limits, int64_t deadline,
                    struct imu_media_result *out)
{
    int64_t left = deadline - imu_wire_now_ms();
    if (send_request(fd, file_fd, limits, left > 0 ? (int)left : 0))
        return -1;
    imu_wire_reader *rd = imu_wire_reader_new(MAX_ANSWER);
    if (!rd) {
        errno = ENOMEM;
        return -1;
    }
    imu_frame f;
    int rc = await_answer(rd, fd, &f, limits, deadline);
    rc = rc == 1 ? take_answer(&f, out) : -1;
    int err = errno;
    imu_wire_reader_free(rd);
    errno = err;
    return rc;
}

int imu_media_decode(const char *socket, int file_fd, const struct imu_media_limits *limits,
                     int timeout_ms, struct imu_media_result *out)
{
    memset(out, 0, sizeof *out);
    out->png_fd = out->thumbnail_fd = -1;
    int64_t deadline = imu_wire_now_ms() + (timeout_ms < 0 ? 0 : timeout_ms);
    int fd = imu_wire_connect(socket);
    if (fd < 0)
        return -1;
    int rc = exchange(fd, file_fd, limits, deadline, out);
    int err = errno;
    close(fd);
    errno = err;
    return rc;
}
