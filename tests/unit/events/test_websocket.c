/* Tests of the WebSocket reader: what browsers send in whatever portions, and what nobody may send.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mod_invokemu/events/websocket.h"

#define MAX 1000

/* Writes a masked frame; b0 is the first byte. @return its length */
static size_t frame(unsigned char *out, int b0, const char *data, size_t len)
{
    static const unsigned char mask[4] = {0x12, 0xfe, 0x00, 0x9a};
    size_t n = 0;

    out[n++] = (unsigned char)b0;
    if (len < 126) {
        out[n++] = (unsigned char)(0x80 | len);
    } else {
        out[n++] = 0x80 | 126;
        out[n++] = (unsigned char)(len >> 8);
        out[n++] = (unsigned char)len;
    }
    memcpy(out + n, mask, 4);
    n += 4;
    for (size_t i = 0; i < len; i++)
        out[n++] = (unsigned char)data[i] ^ mask[i & 3];
    return n;
}

/* Feeds bytes in portions and writes what comes out as text: T:abc; P:; C1000; B1002; */
static const char *read_all(const unsigned char *data, size_t len, size_t portion)
{
    static char told[4096];
    imu_ws ws;
    size_t used = 0;

    told[0] = '\0';
    imu_ws_init(&ws, MAX);
    for (size_t at = 0; at < len; at += portion) {
        const unsigned char *part = data + at;
        size_t left = len - at < portion ? len - at : portion;
        imu_ws_event event;

        do {
            size_t n = imu_ws_feed(&ws, part, left, &event);

            assert_true(n <= left);
            part += n;
            left -= n;
            if (event.what == IMU_WS_GOT_CLOSE || event.what == IMU_WS_BROKEN)
                used += (size_t)snprintf(told + used, sizeof told - used, "%c%d;",
                                         event.what == IMU_WS_BROKEN ? 'B' : 'C', event.code);
            else if (event.what != IMU_WS_MORE)
                used += (size_t)snprintf(told + used, sizeof told - used, "%c:%.*s;",
                                         event.what == IMU_WS_GOT_TEXT   ? 'T'
                                         : event.what == IMU_WS_GOT_PING ? 'P'
                                                                         : 'O',
                                         (int)event.len, event.data);
        } while (event.what != IMU_WS_MORE);
        assert_int_equal(left, 0);
    }
    imu_ws_clear(&ws);
    return told;
}

static void expect(const unsigned char *data, size_t len, const char *told)
{
    for (size_t portion = 1; portion <= len; portion++)
        assert_string_equal(read_all(data, len, portion), told);
}

static void messages(void **state)
{
    unsigned char buf[2048];
    size_t n = frame(buf, 0x81, "2probe", 6);

    (void)state;
    n += frame(buf + n, 0x81, "", 0);
    n += frame(buf + n, 0x89, "hi", 2);
    n += frame(buf + n, 0x8a, "", 0);
    n += frame(buf + n, 0x88,
               "\x03\xe8"
               "bye",
               5);
    n += frame(buf + n, 0x81, "ignored", 7);
    expect(buf, n, "T:2probe;T:;P:hi;O:;C1000;");
}

static void fragments(void **state)
{
    unsigned char buf[2048];
    size_t n = frame(buf, 0x01, "gr\xc3", 3);

    (void)state;
    n += frame(buf + n, 0x89, "p", 1);
    n += frame(buf + n, 0x00, "\xbc\xc3\x9f", 3);
    n += frame(buf + n, 0x80, "e", 1);
    expect(buf, n,
           "P:p;T:gr\xc3\xbc\xc3\x9f"
           "e;");
}

static void sizes(void **state)
{
    static const size_t lengths[] = {125, 126, 127, MAX};
    unsigned char buf[2048];
    char text[MAX + 1], told[MAX + 8];

    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t n = frame(buf, 0x81, text, lengths[i]);

        snprintf(told, sizeof told, "T:%.*s;", (int)lengths[i], text);
        assert_string_equal(read_all(buf, n, 7), told);
    }
    assert_string_equal(read_all(buf, frame(buf, 0x81, text, MAX + 1), 64), "B1009;");
}

static void too_big_in_parts(void **state)
{
    unsigned char buf[4096];
    char text[600];
    size_t n;

    (void)state;
    memset(text, 'x', sizeof text);
    n = frame(buf, 0x01, text, sizeof text);
    n += frame(buf + n, 0x80, text, sizeof text);
    assert_string_equal(read_all(buf, n, 100), "B1009;");
}

static void refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *told;
    } cases[] = {
        {"\x81\x01x", 3, "B1002;"},                    /* not masked */
        {"\xc1\x80", 2, "B1002;"},                     /* an extension's bit */
        {"\x83\x80", 2, "B1002;"},                     /* unknown opcode */
        {"\x8b\x80", 2, "B1002;"},                     /* unknown control opcode */
        {"\x82\x80", 2, "B1003;"},                     /* binary */
        {"\x80\x80", 2, "B1002;"},                     /* continues nothing */
        {"\x09\x80", 2, "B1002;"},                     /* fragmented control */
        {"\x89\xfe", 2, "B1002;"},                     /* long control */
        {"\x88\x81\0\0\0\0x", 7, "B1002;"},            /* half a close code */
        {"\x88\x82\0\0\0\0\x03\xed", 8, "B1002;"},     /* 1005 is never sent */
        {"\x88\x82\0\0\0\0\x00\x01", 8, "B1002;"},     /* no close code */
        {"\x88\x83\0\0\0\0\x03\xe8\xff", 9, "B1007;"}, /* reason is no text */
        {"\x88\x80\0\0\0\0", 6, "C1000;"},             /* close without a code is fine */
        {"\x81\x81\0\0\0\0\xff", 7, "B1007;"},         /* no UTF-8 */
        {"\x81\xfe\0\x05\0\0\0\0", 8, "B1002;"},       /* length not in its shortest form */
        {"\x81\xff\0\0\0\0\0\0\0\x05\0\0\0\0", 14, "B1002;"},
        {"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14,
         "B1009;"},                                /* all bits set: no overflow */
        {"\x01\x80\0\0\0\0\x81\x80", 8, "B1002;"}, /* a new message inside of one */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect((const unsigned char *)cases[i].bytes, cases[i].len, cases[i].told);
}

static void utf8(void **state)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\xc3\xa9",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x98\x80",
                                       "\xef\xbf\xbf",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\x80",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x80\x80",
        "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xc3",         "\xe2\x82",         "\xf0\x9f\x98",     "\xc3(",
        "\xff"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(imu_utf8_ok(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(imu_utf8_ok(bad[i], strlen(bad[i])));
}

static void handshake(void **state)
{
    char accept[IMU_WS_ACCEPT_SIZE];

    (void)state;
    /* The example of RFC 6455 section 1.3. */
    assert_int_equal(imu_ws_accept("dGhlIHNhbXBsZSBub25jZQ==", accept), 0);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_int_equal(imu_ws_accept(NULL, accept), -1);
    assert_int_equal(imu_ws_accept("", accept), -1);
    assert_int_equal(imu_ws_accept("dGhlIHNhbXBsZSBub25jZQ=", accept), -1);
    assert_int_equal(imu_ws_accept("dGhlIHNhbXBsZSBub25jZR==", accept), -1);
    assert_int_equal(imu_ws_accept("dGhlIHNhbXBsZSBub25jZQAA", accept), -1);
    assert_int_equal(imu_ws_accept("\"GhlIHNhbXBsZSBub25jZQ==", accept), -1);
}

static void heads(void **state)
{
    unsigned char head[IMU_WS_MAX_HEAD];

    (void)state;
    assert_int_equal(imu_ws_head(head, IMU_WS_TEXT, 5), 2);
    assert_memory_equal(head, "\x81\x05", 2);
    assert_int_equal(imu_ws_head(head, IMU_WS_TEXT, 126), 4);
    assert_memory_equal(head, "\x81\x7e\x00\x7e", 4);
    assert_int_equal(imu_ws_head(head, IMU_WS_TEXT, 65536), 10);
    assert_memory_equal(head, "\x81\x7f\0\0\0\0\0\x01\0\0", 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages),         cmocka_unit_test(fragments), cmocka_unit_test(sizes),
        cmocka_unit_test(too_big_in_parts), cmocka_unit_test(refused),   cmocka_unit_test(utf8),
        cmocka_unit_test(handshake),        cmocka_unit_test(heads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
