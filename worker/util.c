/* See util.h. */
#include "worker/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#undef imu_refuse

int imu_refuse(imu_error *err, const char *type, const char *format, ...)
{
    if (!err)
        return -1;
    snprintf(err->type, sizeof err->type, "%s", type);
    err->detail[0] = 0;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    /* A sentence cut in the middle of a UTF-8 sequence would not be valid JSON text. */
    if (n >= (int)sizeof err->text) {
        size_t len = sizeof err->text - 1;
        while (len > 0 && ((unsigned char)err->text[len - 1] & 0xC0) == 0x80)
            len--;
        if (len > 0 && (unsigned char)err->text[len - 1] >= 0xC0)
            len--;
        err->text[len] = 0;
    }
    return -1;
}

void imu_random(void *buf, size_t len)
{
    uint8_t *p = buf;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            perror("getrandom");
            abort(); /* identifiers that repeat would mix up people's pictures */
        }
        p += n;
        len -= (size_t)n;
    }
}

void imu_new_uuid(char out[IMU_UUID_SIZE])
{
    uint8_t b[16];
    imu_random(b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0F) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3F) | 0x80);
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[n++] = '-';
        out[n++] = hex[b[i] >> 4];
        out[n++] = hex[b[i] & 15];
    }
    out[n] = 0;
}

int64_t imu_clock_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static size_t string_size(const char *text, size_t len)
{
    size_t n = 2;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        n += c < 0x20 ? 6 : c == '"' || c == '\\' ? 2 : 1;
    }
    return n;
}

static size_t add_size(const json_t *value, size_t used, size_t limit, int depth_left)
{
    const char *key;
    json_t *item;
    size_t i;
    if (used > limit || depth_left < 0)
        return limit + 1;
    switch (json_typeof(value)) {
    case JSON_STRING:
        return used + string_size(json_string_value(value), json_string_length(value));
    case JSON_ARRAY:
        used += 2;
        json_array_foreach (value, i, item) {
            used = add_size(item, used + 1, limit, depth_left - 1);
            if (used > limit)
                break;
        }
        return used;
    case JSON_OBJECT:
        used += 2;
        json_object_foreach ((json_t *)value, key, item) {
            used = add_size(item, used + 2 + string_size(key, strlen(key)), limit, depth_left - 1);
            if (used > limit)
                break;
        }
        return used;
    default:
        return used + 24; /* the longest number */
    }
}

size_t imu_json_size(const json_t *value, size_t limit, int max_depth)
{
    size_t n = value ? add_size(value, 0, limit, max_depth) : 0;
    return n > limit ? limit + 1 : n;
}

const char *imu_json_str(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

int imu_write_all(int fd, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int imu_memfd_of(const char *name, const void *data, size_t len)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    if (imu_write_all(fd, data, len) || lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)) {
        int err = errno;
        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}
