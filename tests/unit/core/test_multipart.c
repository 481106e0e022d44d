/* The multipart reader: whole bodies in one piece and byte by byte, edges of boundaries, limits,
 * and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mod_invokemu/multipart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#define TYPE "multipart/form-data; boundary=XX"

static apr_pool_t *root_pool;

typedef struct reading {
    apr_pool_t *p;
    char *file;
    apr_size_t len, room;
    imu_multipart *m;
    imu_err *err;
} reading;

static imu_err *keep(void *ctx, const char *data, apr_size_t len)
{
    reading *r = ctx;

    /* Byte by byte, a larger block each time would take the sanitizer minutes. */
    if (r->len + len >= r->room) {
        r->room = 2 * (r->len + len + 1);
        r->file = realloc(r->file, r->room);
    }
    memcpy(r->file + r->len, data, len);
    r->len += len;
    r->file[r->len] = '\0';
    return NULL;
}

/* Reads a body in portions of the given size. */
static reading read_in(const char *type, const char *body, apr_size_t len, apr_size_t portion,
                       apr_int64_t max_file)
{
    imu_multipart_limits limits = {4, 1000, max_file};
    reading r = {0};

    assert_int_equal(apr_pool_create(&r.p, root_pool), APR_SUCCESS);
    r.err = imu_multipart_new(r.p, type, &limits, keep, &r, &r.m);
    for (apr_size_t at = 0; !r.err && at < len; at += portion) {
        /* A block of just this size lets the sanitizer see the first byte behind it. */
        apr_size_t n = len - at < portion ? len - at : portion;
        char *exact = malloc(n);

        memcpy(exact, body + at, n);
        r.err = imu_multipart_push(r.m, exact, n);
        free(exact);
    }
    if (!r.err)
        r.err = imu_multipart_end(r.m);
    return r;
}

static void done(reading *r)
{
    free(r->file);
    apr_pool_destroy(r->p);
}

static const char whole[] =
    "--XX\r\n"
    "Content-Disposition: form-data; name=\"metadata\"\r\n"
    "\r\n"
    "{\"a\": 1}\r\n"
    "--XX\r\n"
    "content-disposition: form-data; name=\"file\"; filename=\"a\\\"b;c.png\"\r\n"
    "Content-Type: image/png\r\n"
    "\r\n"
    "one\r\n--X\r\n\r\n--XY\r\n-\r"
    "\r\n--XX--\r\n";

static void every_portion(void **state)
{
    (void)state;
    for (apr_size_t portion = 1; portion <= sizeof whole; portion++) {
        reading r = read_in(TYPE, whole, sizeof whole - 1, portion, 100);
        const imu_part *part;

        assert_null(r.err);
        part = imu_multipart_part(r.m, "metadata");
        assert_non_null(part);
        assert_string_equal(part->text, "{\"a\": 1}");
        assert_int_equal(part->text_len, 8);
        assert_null(part->filename);
        part = imu_multipart_part(r.m, "file");
        assert_non_null(part);
        assert_string_equal(part->filename, "a\"b;c.png");
        assert_string_equal(part->type, "image/png");
        assert_null(part->text);
        assert_int_equal(part->file_bytes, r.len);
        assert_string_equal(r.file, "one\r\n--X\r\n\r\n--XY\r\n-\r");
        assert_null(imu_multipart_part(r.m, "other"));
        done(&r);
    }
}

static void large_file(void **state)
{
    apr_size_t size = 300000;
    char *body = malloc(size + 200);
    apr_size_t len = (apr_size_t)snprintf(
        body, size + 200, "--XX\r\nContent-Disposition: form-data; name=file; filename=x\r\n\r\n");
    char *content = body + len;

    (void)state;
    for (apr_size_t i = 0; i < size; i++)
        content[i] = "\r\n--XQ"[i % 6];
    len += size;
    len += (apr_size_t)snprintf(body + len, size + 200 - len, "\r\n--XX--");
    for (int i = 0; i < 4; i++) {
        static const apr_size_t portions[] = {1, 77, 8000, 1000000};
        reading r = read_in(TYPE, body, len, portions[i], (apr_int64_t)size);

        assert_null(r.err);
        assert_int_equal(r.len, size);
        assert_memory_equal(r.file, content, size);
        done(&r);
        r = read_in(TYPE, body, len, portions[i], (apr_int64_t)size - 1);
        assert_int_equal(r.err->status, 413);
        assert_true(r.len <= size - 1);
        done(&r);
    }
    free(body);
}

#define D   "Content-Disposition: form-data; name=a"
#define END "\r\n--XX--"

static void accepted(void **state)
{
    static const char *const bodies[] = {
        "preamble\r\n--XX\r\n" D "\r\n\r\nv" END,
        "--XX  \t\r\n" D "\r\n\r\nv" END "\r\nepilogue --XX",
        "--XX\r\n" D "; filename*=UTF-8''x\r\n\r\nv" END,
        "--XX\r\n" D ";\r\n\r\n" END,
        "--XX\r\n" D "\r\nX-Other: 1\r\n\r\n\r\n\r\n" END,
        "--XX\r\nContent-Disposition: FORM-DATA ; NAME = a\r\n\r\nv" END,
        "--XX--",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        for (apr_size_t portion = 1; portion < 100; portion += 13) {
            reading r = read_in(TYPE, bodies[i], strlen(bodies[i]), portion, 100);

            if (r.err)
                fail_msg("body %d refused: %s", (int)i, r.err->detail);
            done(&r);
        }
}

static void refused(void **state)
{
    static const char *const bodies[] = {
        "",
        "nothing of the kind",
        "--XX",
        "--XX\r\n" D "\r\n\r\nv",              /* cut off */
        "--XX\r\n" D "\r\n\r\nv\r\n--XX-",     /* cut off within the end */
        "--XX\r\n" D "\r\n\r\nv\r\n--XXY\r\n", /* a boundary with something behind it */
        "--XX\n" D "\n\nv\n--XX--",            /* bare line feeds */
        "--XX\r\n\r\nv" END,                   /* no head */
        "--XX\r\nContent-Type: text/plain\r\n\r\nv" END,
        "--XX\r\nContent-Disposition: form-data\r\n\r\nv" END,
        "--XX\r\nContent-Disposition: attachment; name=a\r\n\r\nv" END,
        "--XX\r\n" D "; name=b\r\n\r\nv" END,
        "--XX\r\n" D "\r\n" D "\r\n\r\nv" END,
        "--XX\r\nContent-Disposition: form-data; name=\"a\r\n\r\nv" END,
        "--XX\r\nContent-Disposition: form-data; name\r\n\r\nv" END,
        "--XX\r\n" D "\r\n folded\r\n\r\nv" END,
        "--XX\r\nno colon\r\n\r\nv" END,
        "--XX\r\n: nameless\r\n\r\nv" END,
        "--XX\r\n" D "\r\nContent-Transfer-Encoding: base64\r\n\r\nv" END,
        "--XX\r\n" D "; filename=x\r\n\r\nv\r\n--XX\r\n" D
        "; filename=y\r\n\r\nv" END, /* two files */
        "--XX\r\n" D "\r\n\r\n1\r\n--XX\r\n" D "\r\n\r\n2\r\n--XX\r\n" D "\r\n\r\n3\r\n--XX\r\n" D
        "\r\n\r\n4\r\n--XX\r\n" D "\r\n\r\n5" END, /* too many parts */
    };

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        for (apr_size_t portion = 1; portion < 200; portion += 23) {
            reading r = read_in(TYPE, bodies[i], strlen(bodies[i]), portion, 100);

            if (!r.err)
                fail_msg("body %d accepted", (int)i);
            assert_int_equal(r.err->status, 422);
            done(&r);
        }
}

static void nul_in_head(void **state)
{
    static const char body[] =
        "--XX\r\nContent-Disposition: form-data; name=a\0b\r\n\r\nv\r\n--XX--";
    reading r = read_in(TYPE, body, sizeof body - 1, 1000, 100);

    (void)state;
    assert_non_null(r.err);
    done(&r);
}

static void endless_head(void **state)
{
    char *body = malloc(20000);
    reading r;

    (void)state;
    memset(body, 'x', 20000);
    memcpy(body, "--XX\r\nA: ", 9);
    r = read_in(TYPE, body, 20000, 777, 100);
    assert_int_equal(r.err->status, 422);
    done(&r);
    free(body);
}

static void text_limit(void **state)
{
    char body[2000];
    int len = snprintf(
        body, sizeof body,
        "--XX\r\n" D
        "\r\n\r\n%0600d\r\n--XX\r\nContent-Disposition: form-data; name=b\r\n\r\n%0401d" END,
        1, 2);
    reading r = read_in(TYPE, body, (apr_size_t)len, 50, 100);

    (void)state;
    assert_int_equal(r.err->status, 413);
    done(&r);
    len = snprintf(
        body, sizeof body,
        "--XX\r\n" D
        "\r\n\r\n%0600d\r\n--XX\r\nContent-Disposition: form-data; name=b\r\n\r\n%0400d" END,
        1, 2);
    r = read_in(TYPE, body, (apr_size_t)len, 50, 100);
    assert_null(r.err);
    done(&r);
}

static imu_err *no_room(void *ctx, const char *data, apr_size_t len)
{
    (void)data;
    (void)len;
    return imu_error(ctx, 507, "disk_full", "full");
}

static void sink_fails(void **state)
{
    imu_multipart_limits limits = {4, 1000, 100};
    imu_multipart *m;
    apr_pool_t *p;

    (void)state;
    assert_int_equal(apr_pool_create(&p, root_pool), APR_SUCCESS);
    assert_null(imu_multipart_new(p, TYPE, &limits, no_room, p, &m));
    assert_int_equal(imu_multipart_push(m, whole, sizeof whole - 1)->status, 507);
    apr_pool_destroy(p);
}

static void content_types(void **state)
{
    static const struct {
        const char *type;
        int status;
    } cases[] = {
        {NULL, 415},
        {"application/json", 415},
        {"multipart/form-dataX; boundary=XX", 415},
        {"multipart/mixed; boundary=XX", 415},
        {"multipart/form-data", 422},
        {"multipart/form-data; boundary=", 422},
        {"multipart/form-data; boundary=\"\"", 422},
        {"multipart/form-data; boundary=\"a \"", 422},
        {"multipart/form-data; boundary=\"a\"b", 422},
        {"multipart/form-data; boundary=a; boundary=b", 422},
        {"multipart/form-data; boundary=\"a\r\nb\"", 422},
        {"multipart/form-data; "
         "boundary=12345678901234567890123456789012345678901234567890123456789012345678901",
         422},
        {"multipart/form-data; "
         "boundary=1234567890123456789012345678901234567890123456789012345678901234567890",
         0},
        {"Multipart/Form-Data;charset=utf-8;Boundary=\"a=b:c?\"", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        imu_multipart_limits limits = {4, 1000, 100};
        imu_multipart *m;
        imu_err *err = imu_multipart_new(root_pool, cases[i].type, &limits, keep, NULL, &m);

        if ((err ? err->status : 0) != cases[i].status)
            fail_msg("%s: %d", cases[i].type, err ? err->status : 0);
    }
}

static int set_up(void **state)
{
    (void)state;
    return apr_initialize() || apr_pool_create(&root_pool, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(root_pool);
    apr_terminate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_portion), cmocka_unit_test(large_file),
        cmocka_unit_test(accepted),      cmocka_unit_test(refused),
        cmocka_unit_test(nul_in_head),   cmocka_unit_test(endless_head),
        cmocka_unit_test(text_limit),    cmocka_unit_test(sink_fails),
        cmocka_unit_test(content_types),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
