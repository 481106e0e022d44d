/* Fuzzes the multipart reader: the first line is the Content-Type, the byte behind it says in which
 * portions the rest arrives. */
#include "mod_invokemu/multipart.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static apr_int64_t received;

static imu_err *count(void *ctx, const char *data, apr_size_t len)
{
    volatile char sink = 0;

    (void)ctx;
    for (apr_size_t i = 0; i < len; i++)
        sink ^= data[i];
    (void)sink;
    received += (apr_int64_t)len;
    return NULL;
}

/* What was accepted must be within the limits, and its texts must end where they say. */
static void check(const imu_multipart *m, const imu_multipart_limits *limits)
{
    static const char *const names[] = {"file", "metadata", "a"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const imu_part *part = imu_multipart_part(m, names[i]);

        if (!part)
            continue;
        if (part->filename ? part->file_bytes != received || part->text
                           : !part->text || part->text[part->text_len] != '\0')
            abort();
        if (part->text_len > limits->text || part->file_bytes > limits->file)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int ready;
    const imu_multipart_limits limits = {8, 4096, 10000};
    const uint8_t *line = memchr(data, '\n', size);
    size_t portion, at;
    imu_multipart *m;
    apr_pool_t *p;
    imu_err *err;

    if (!ready)
        ready = apr_initialize() == APR_SUCCESS;
    if (!ready || !line || (size_t)(line - data) + 2 > size ||
        apr_pool_create(&p, NULL) != APR_SUCCESS)
        return 0;
    received = 0;
    err = imu_multipart_new(p, apr_pstrmemdup(p, (const char *)data, (apr_size_t)(line - data)),
                            &limits, count, NULL, &m);
    at = (size_t)(line - data) + 2;
    portion = line[1] ? line[1] : 65536;
    while (!err && at < size) {
        size_t n = size - at < portion ? size - at : portion;

        err = imu_multipart_push(m, (const char *)data + at, n);
        at += n;
    }
    if (received > limits.file)
        abort();
    if (!err && !imu_multipart_end(m))
        check(m, &limits);
    apr_pool_destroy(p);
    return 0;
}
