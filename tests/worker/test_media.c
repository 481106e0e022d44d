/* The media process through its client, and the sandbox: kept bytes, text chunks, formats, bombs,
 * damage. */
#include "tests/worker/helper.h"
#include "wire/media_client.h"
#include "worker/image/picture.h"
#include "worker/media/child.h"
#include "worker/media/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#define CHILDREN 2

static struct process media;
static const struct imu_media_limits usual = {.thumbnail = 256};

static int setup(void **state)
{
    (void)state;
    char children[12];
    snprintf(children, sizeof children, "%d", CHILDREN);
    start_process(&media, "--media", "--children", children, (char *)NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stop_process(&media);
    return 0;
}

static imu_picture *gradient(int width, int height, int channels)
{
    imu_picture *p = imu_picture_new(width, height, channels);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++)
                p->data[(y * width + x) * channels + c] = (uint8_t)(c == 0   ? x * 255 / width
                                                                    : c == 1 ? y * 255 / height
                                                                    : c == 2 ? 128
                                                                             : 200);
    return p;
}

static imu_bytes png_of(int width, int height, int channels, const imu_texts *texts)
{
    imu_error err = {.text = ""};
    imu_bytes out;
    imu_picture *p = gradient(width, height, channels);
    if (imu_png_encode(p, texts, &out, &err))
        fail_msg("%s", err.text);
    imu_picture_free(p);
    return out;
}

static int decode(const void *data, size_t len, const struct imu_media_limits *limits,
                  struct imu_media_result *r)
{
    int fd = imu_memfd_of("upload", data, len);
    assert_true(fd >= 0);
    int rc = imu_media_decode(media.socket, fd, limits, WAIT_MS, r);
    close(fd);
    if (rc < 0)
        fail_msg("imu_media_decode: %s", strerror(errno));
    return rc;
}

static uint8_t *content(int fd, uint64_t len)
{
    uint8_t *data = malloc(len);
    assert_int_equal(pread(fd, data, len, 0), (ssize_t)len);
    return data;
}

static imu_picture *picture_of(int fd, uint64_t len, imu_texts *texts)
{
    static const imu_decode_limits limits = {
        .max_pixels = 1 << 24, .max_side = 4096, .max_text = 1 << 21};
    imu_error err = {.text = ""};
    uint8_t *data = content(fd, len);
    imu_picture *p = imu_decode(data, len, &limits, texts, &err);
    if (!p)
        fail_msg("%s", err.text);
    free(data);
    return p;
}

static void expect_refused(const void *data, size_t len, const struct imu_media_limits *limits,
                           const char *code)
{
    struct imu_media_result r;
    int rc = decode(data, len, limits, &r);
    if (rc != 1 || strcmp(r.code, code))
        fail_msg("%s (%s), expected %s", rc == 1 ? r.code : "decoded", r.message, code);
    assert_true(r.message[0]);
    imu_media_result_free(&r);
}

static void test_png_is_kept(void **state)
{
    (void)state;
    struct imu_media_result r;
    imu_texts texts = {.text = {(char *)"{\"seed\":1,\"p\":\"füß\"}", (char *)"{\"name\":\"flow\"}",
                                (char *)"{\"nodes\":{}}"}};
    imu_bytes png = png_of(300, 100, 3, &texts);
    assert_int_equal(decode(png.data, png.len, &usual, &r), 0);
    assert_int_equal(r.width, 300);
    assert_int_equal(r.height, 100);
    assert_int_equal(r.png_bytes, png.len);
    uint8_t *kept = content(r.png_fd, r.png_bytes);
    assert_memory_equal(kept, png.data, png.len);
    free(kept);
    assert_string_equal(r.metadata, texts.text[0]);
    assert_string_equal(r.workflow, texts.text[1]);
    assert_string_equal(r.graph, texts.text[2]);
    assert_int_equal(write(r.png_fd, "x", 1), -1);
    imu_picture *thumbnail = picture_of(r.thumbnail_fd, r.thumbnail_bytes, NULL);
    assert_int_equal(thumbnail->width, 256);
    assert_int_equal(thumbnail->height, 85);
    imu_picture_free(thumbnail);
    imu_media_result_free(&r);
    free(png.data);
}

static void test_resize_keeps_texts(void **state)
{
    (void)state;
    struct imu_media_result r;
    struct imu_media_limits limits = usual;
    imu_texts texts = {.text = {(char *)"{\"a\":1}", NULL, NULL}}, found = {.text = {NULL}};
    imu_bytes png = png_of(300, 100, 4, &texts);
    limits.resize_width = 60;
    limits.resize_height = 50;
    assert_int_equal(decode(png.data, png.len, &limits, &r), 0);
    assert_int_equal(r.width, 60);
    imu_picture *p = picture_of(r.png_fd, r.png_bytes, &found);
    assert_int_equal(p->width, 60);
    assert_int_equal(p->height, 50);
    assert_int_equal(p->channels, 4);
    assert_true(abs(p->data[(25 * 60 + 30) * 4] - 128) <
                6); /* the middle of the gradient is still its middle */
    assert_int_equal(p->data[(25 * 60 + 30) * 4 + 3], 200);
    assert_string_equal(found.text[0], "{\"a\":1}");
    assert_string_equal(r.metadata, "{\"a\":1}");
    imu_picture_free(p);
    imu_texts_free(&found);
    imu_media_result_free(&r);
    free(png.data);
}

/* A JPEG whose EXIF says that its first row is the right side. */
static void test_jpeg_orientation(void **state)
{
    (void)state;
    static const uint8_t exif[] = {0xff, 0xe1, 0, 34, 'E', 'x', 'i', 'f', 0,    0,    'M', 'M',
                                   0,    42,   0, 0,  0,   8,   0,   1,   0x01, 0x12, 0,   3,
                                   0,    0,    0, 1,  0,   6,   0,   0,   0,    0,    0,   0};
    struct imu_media_result r;
    imu_error err;
    imu_bytes jpeg;
    imu_picture *p = gradient(64, 32, 3);
    assert_int_equal(imu_jpeg_encode(p, 95, &jpeg, &err), 0);
    imu_picture_free(p);
    uint8_t *turned = malloc(jpeg.len + sizeof exif);
    memcpy(turned, jpeg.data, 2);
    memcpy(turned + 2, exif, sizeof exif);
    memcpy(turned + 2 + sizeof exif, jpeg.data + 2, jpeg.len - 2);
    assert_int_equal(decode(turned, jpeg.len + sizeof exif, &usual, &r), 0);
    assert_int_equal(r.width, 32);
    assert_int_equal(r.height, 64);
    p = picture_of(r.png_fd, r.png_bytes, NULL);
    assert_true(p->data[0] < 20 && p->data[1] > 235);              /* was the lower left corner */
    assert_true(p->data[31 * 3] < 20 && p->data[31 * 3 + 1] < 20); /* was the upper left one */
    assert_true(p->data[(63 * 32 + 31) * 3] > 235);                /* was the upper right one */
    imu_picture_free(p);
    imu_media_result_free(&r);
    for (size_t len = jpeg.len - 3; len > jpeg.len / 2; len -= jpeg.len / 9)
        expect_refused(jpeg.data, len, &usual, "corrupt");
    free(turned);
    free(jpeg.data);
}

static void test_webp(void **state)
{
    (void)state;
    struct imu_media_result r;
    imu_error err;
    imu_bytes webp;
    imu_picture *p = gradient(90, 70, 4);
    assert_int_equal(imu_webp_encode(p, 90, &webp, &err), 0);
    imu_picture_free(p);
    assert_int_equal(decode(webp.data, webp.len, &usual, &r), 0);
    p = picture_of(r.png_fd, r.png_bytes, NULL);
    assert_int_equal(p->width, 90);
    assert_int_equal(p->channels, 4);
    imu_picture_free(p);
    imu_media_result_free(&r);
    for (size_t len = 12; len < webp.len; len += 1 + webp.len / 7)
        expect_refused(webp.data, len, &usual, "corrupt");
    free(webp.data);
}

static void put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* Appends a chunk with its checksum. @return the new length */
static size_t add_chunk(uint8_t *to, size_t at, const char *type, const void *data, size_t len)
{
    put32(to + at, (uint32_t)len);
    memcpy(to + at + 4, type, 4);
    if (len)
        memcpy(to + at + 8, data, len);
    put32(to + at + 8 + len, (uint32_t)crc32(0, to + at + 4, (uInt)len + 4));
    return at + 12 + len;
}

/* A PNG made by hand: header fields as given, rows of raw samples. */
static size_t hand_made(uint8_t *to, size_t room, uint32_t w, uint32_t h, int depth, int colour,
                        const void *rows, size_t len)
{
    uint8_t head[13] = {0}, *packed = malloc(room);
    uLongf packed_len = room;
    put32(head, w);
    put32(head + 4, h);
    head[8] = (uint8_t)depth;
    head[9] = (uint8_t)colour;
    assert_int_equal(compress(packed, &packed_len, rows, len), Z_OK);
    memcpy(to, "\x89PNG\r\n\x1a\n", 8);
    size_t at = add_chunk(to, 8, "IHDR", head, 13);
    if (colour == 3)
        at = add_chunk(to, at, "PLTE", "\xff\0\0\0\xff\0", 6);
    if (colour == 3)
        at = add_chunk(to, at, "tRNS", "\x80", 1);
    at = add_chunk(to, at, "IDAT", packed, packed_len);
    free(packed);
    return add_chunk(to, at, "IEND", "", 0);
}

static void test_kinds_of_png(void **state)
{
    (void)state;
    static const struct {
        int depth, colour;
        size_t row; /* bytes of a row of four pixels, filter included */
    } kinds[] = {{1, 0, 2},   {4, 0, 3},   {16, 0, 9}, {8, 4, 9},
                 {16, 2, 25}, {16, 6, 33}, {8, 3, 5},  {2, 3, 2}};
    uint8_t file[4096], rows[256];
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct imu_media_result r;
        memset(rows, 0, sizeof rows);
        size_t len = hand_made(file, sizeof file, 4, 4, kinds[i].depth, kinds[i].colour, rows,
                               4 * kinds[i].row);
        assert_int_equal(decode(file, len, &usual, &r), 0);
        assert_int_equal(r.png_bytes, len); /* kept as it is, 16 bits and palette included */
        imu_picture *p = picture_of(r.png_fd, r.png_bytes, NULL);
        assert_int_equal(p->channels, kinds[i].colour == 3 || kinds[i].colour == 6 ? 4
                                      : kinds[i].colour == 4                       ? 2
                                      : kinds[i].colour == 2                       ? 3
                                                                                   : 1);
        if (kinds[i].colour == 3)
            assert_memory_equal(p->data, "\xff\0\0\x80", 4);
        imu_picture_free(p);
        imu_media_result_free(&r);
    }
}

static void test_bombs(void **state)
{
    (void)state;
    uint8_t file[4096], rows[64] = {0};
    size_t len = hand_made(file, sizeof file, 60000, 60000, 8, 2, rows, sizeof rows);
    expect_refused(file, len, &usual, "too_large");
    len = hand_made(file, sizeof file, 16000, 16000, 8, 2, rows, sizeof rows);
    expect_refused(file, len, &usual, "too_large");
    len = hand_made(file, sizeof file, 4000, 4000, 8, 2, rows,
                    sizeof rows); /* allowed in size, but hardly any data */
    expect_refused(file, len, &usual, "corrupt");
    struct imu_media_limits small = {.thumbnail = 64, .max_pixels = 1000, .max_side = 0};
    imu_bytes png = png_of(40, 40, 1, NULL);
    expect_refused(png.data, png.len, &small, "too_large");
    small = (struct imu_media_limits){.thumbnail = 64, .max_side = 39};
    expect_refused(png.data, png.len, &small, "too_large");
    free(png.data);
    /* A text chunk that unpacks to 64 MiB: dropped or refused, never kept. */
    size_t big = 64u << 20;
    uint8_t *zeros = calloc(1, big), *packed = malloc(compressBound(big)), *bomb = malloc(1u << 20);
    uLongf packed_len = compressBound(big);
    memset(zeros, 'x', big);
    assert_int_equal(compress(packed, &packed_len, zeros, big), Z_OK);
    uint8_t *chunk = malloc(packed_len + 32);
    memcpy(chunk, "invokeai_metadata\0\0", 19);
    memcpy(chunk + 19, packed, packed_len);
    png = png_of(8, 8, 3, NULL);
    memcpy(bomb, png.data, 33);
    size_t at = add_chunk(bomb, 33, "zTXt", chunk, packed_len + 19);
    memcpy(bomb + at, png.data + 33, png.len - 33);
    struct imu_media_result r;
    int rc = decode(bomb, at + png.len - 33, &usual, &r);
    assert_true(rc == 1 || r.metadata == NULL);
    imu_media_result_free(&r);
    free(png.data);
    free(zeros);
    free(packed);
    free(chunk);
    free(bomb);
}

static void test_damage(void **state)
{
    (void)state;
    imu_bytes png = png_of(50, 40, 3, NULL);
    for (size_t len = 1; len < png.len; len += 1 + png.len / 23)
        expect_refused(png.data, len, &usual, len < 8 ? "unsupported" : "corrupt");
    uint8_t *broken = malloc(png.len);
    memcpy(broken, png.data, png.len);
    broken[png.len / 2] ^= 0x55;
    expect_refused(broken, png.len, &usual, "corrupt");
    free(broken);
    free(png.data);
    expect_refused("hello", 5, &usual, "unsupported");
    expect_refused("GIF89a..........", 16, &usual, "unsupported");
    expect_refused("<svg xmlns='http://www.w3.org/2000/svg'/>", 41, &usual, "unsupported");
    expect_refused("\x89PNG\r\n\x1a\n", 8, &usual, "corrupt");
    expect_refused("RIFF\xff\xff\xff\xffWEBPVP8X", 16, &usual, "corrupt");
    expect_refused("\xff\xd8\xff\xe0", 4, &usual, "corrupt");
}

/* A PNG followed by something else is made anew: what is stored is a picture and nothing more. */
static void test_polyglot(void **state)
{
    (void)state;
    static const char tail[] = "PK\x03\x04<script>alert(1)</script>";
    struct imu_media_result r;
    imu_texts texts = {.text = {(char *)"{\"a\":1}", NULL, NULL}};
    imu_bytes png = png_of(20, 20, 3, &texts);
    uint8_t *both = malloc(png.len + sizeof tail);
    memcpy(both, png.data, png.len);
    memcpy(both + png.len, tail, sizeof tail);
    assert_int_equal(decode(both, png.len + sizeof tail, &usual, &r), 0);
    uint8_t *kept = content(r.png_fd, r.png_bytes);
    assert_null(memmem(kept, r.png_bytes, "script", 6));
    assert_true(imu_png_is_clean(kept, r.png_bytes));
    assert_string_equal(r.metadata, "{\"a\":1}");
    free(kept);
    imu_media_result_free(&r);
    free(both);
    free(png.data);
}

static void test_text_encodings(void **state)
{
    (void)state;
    static const struct {
        const char *chunk;
        size_t len;
        const char *want;
    } rows[] = {
        {"invokeai_metadata\0{\"a\":\"\xfc\"}", 27,
         "{\"a\":\"ü\"}"}, /* Latin-1, as the standard says */
        {"invokeai_metadata\0{\"a\":\"\xc3\xbc\"}", 28, "{\"a\":\"ü\"}"}, /* UTF-8 all the same */
        {"other_keyword\0text", 18, NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct imu_media_result r;
        uint8_t file[8192];
        imu_bytes png = png_of(8, 8, 3, NULL);
        memcpy(file, png.data, 33);
        size_t at = add_chunk(file, 33, "tEXt", rows[i].chunk, rows[i].len);
        memcpy(file + at, png.data + 33, png.len - 33);
        assert_int_equal(decode(file, at + png.len - 33, &usual, &r), 0);
        if (rows[i].want)
            assert_string_equal(r.metadata, rows[i].want);
        else
            assert_null(r.metadata);
        imu_media_result_free(&r);
        free(png.data);
    }
}

static void *one_upload(void *arg)
{
    const imu_bytes *png = arg;
    struct imu_media_result r;
    intptr_t rc = decode(png->data, png->len, &usual, &r);
    imu_media_result_free(&r);
    return (void *)rc;
}

static void test_many_at_once(void **state)
{
    (void)state;
    imu_bytes png = png_of(700, 700, 3, NULL);
    pthread_t threads[12];
    for (int i = 0; i < 12; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, one_upload, &png), 0);
    for (int i = 0; i < 12; i++) {
        void *rc;
        pthread_join(threads[i], &rc);
        assert_null(rc);
    }
    free(png.data);
}

static void ask_for(struct peer *c, const char *account, const imu_bytes *png, int side)
{
    int fd = imu_memfd_of("upload", png->data, png->len);
    connect_peer(c, media.socket);
    send_json(c, IMU_WIRE_DECODE,
              json_pack("{s:s,s:[i,i]}", "account", account, "resize_to", side, side), &fd, 1);
    close(fd);
}

static int answered(struct peer *all, int n)
{
    int count = 0;
    for (int i = 0; i < n; i++) {
        struct pollfd p = {.fd = all[i].fd, .events = POLLIN};
        count += poll(&p, 1, 0) == 1;
    }
    return count;
}

/* Whoever has one picture does not wait for all those of somebody else. */
static void test_accounts_take_turns(void **state)
{
    (void)state;
    imu_bytes png = png_of(60, 60, 3, NULL);
    struct peer greedy[8], other;
    struct got g = {.h = NULL};
    for (int i = 0; i < 8; i++)
        ask_for(&greedy[i], "greedy", &png, 1000);
    expect_type(&greedy[0], &g, IMU_WIRE_DECODED);
    ask_for(&other, "other", &png, 30);
    expect_type(&other, &g, IMU_WIRE_DECODED);
    assert_in_range(answered(greedy + 1, 7), 0, 4);
    close_peer(&other);
    close_peer(&greedy[0]);
    for (int i = 1; i < 8; i++) {
        assert_true(next_frame(&greedy[i], &g)); /* on a slow machine the last may wait in vain */
        close_peer(&greedy[i]);
    }
    clear_got(&g);
    free(png.data);
}

/* One account can't fill all places. */
static void test_one_account_leaves_room(void **state)
{
    (void)state;
    imu_bytes png = png_of(60, 60, 3, NULL);
    struct peer greedy[40], other;
    struct got g = {.h = NULL};
    int decoded = 0;
    for (int i = 0; i < 40; i++)
        ask_for(&greedy[i], "greedy", &png, 300);
    ask_for(&other, "other", &png, 30);
    expect_type(&other, &g, IMU_WIRE_DECODED);
    close_peer(&other);
    for (int i = 0; i < 40; i++) {
        assert_true(next_frame(&greedy[i], &g));
        decoded += g.type == IMU_WIRE_DECODED;
        if (g.type == IMU_WIRE_REJECTED)
            assert_string_equal(json_string_value(json_object_get(g.h, "code")), "busy");
        close_peer(&greedy[i]);
    }
    assert_in_range(decoded, 32, 39);
    clear_got(&g);
    free(png.data);
}

/* Nor can it take all children, each of which has a while to do. */
static void test_one_account_leaves_a_child(void **state)
{
    (void)state;
    imu_bytes png = png_of(60, 60, 3, NULL);
    struct peer greedy[CHILDREN], other;
    struct got g = {.h = NULL};
    for (int i = 0; i < CHILDREN; i++)
        ask_for(&greedy[i], "greedy", &png, 4000);
    ask_for(&other, "other", &png, 30);
    expect_type(&other, &g, IMU_WIRE_DECODED);
    assert_int_equal(answered(greedy, CHILDREN), 0);
    close_peer(&other);
    for (int i = 0; i < CHILDREN; i++)
        close_peer(&greedy[i]);
    clear_got(&g);
    free(png.data);
}

/* Nor can two together. */
static void test_two_accounts_leave_a_child(void **state)
{
    (void)state;
    struct process few = media;
    imu_bytes png = png_of(60, 60, 3, NULL);
    struct peer greedy[6], other;
    struct got g = {.h = NULL};
    start_process(&media, "--media", "--children", "4", (char *)NULL);
    for (int i = 0; i < 6; i++)
        ask_for(&greedy[i], i % 2 ? "greedy" : "as greedy", &png, 4000);
    ask_for(&other, "other", &png, 30);
    expect_type(&other, &g, IMU_WIRE_DECODED);
    assert_int_equal(answered(greedy, 6), 0);
    close_peer(&other);
    for (int i = 0; i < 6; i++)
        close_peer(&greedy[i]);
    stop_process(&media);
    media = few;
    clear_got(&g);
    free(png.data);
}

static void test_hostile_requests(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{'fds':1,'max_side':-1}",       "{'fds':1,'resize_to':[0,5]}",
        "{'fds':1,'resize_to':[1e9,5]}", "{'fds':1,'resize_to':[99999,99999]}",
        "{'fds':1,'thumbnail':'x'}",     "[1]"};
    struct got g = {.h = NULL};
    struct peer c;
    int fd = imu_memfd_of("x", "x", 1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        connect_peer(&c, media.socket);
        json_t *h = parse(bad[i]);
        send_json(&c, IMU_WIRE_DECODE, h, &fd, json_is_object(h) ? 1 : 0);
        assert_true(next_frame(&c, &g));
        assert_int_equal(g.type, IMU_WIRE_REJECTED);
        assert_false(next_frame(&c, &g)); /* one request, one answer */
        close_peer(&c);
    }
    connect_peer(&c, media.socket);
    send_json(&c, IMU_WIRE_DECODE, json_object(), NULL, 0); /* no file */
    assert_true(next_frame(&c, &g));
    assert_int_equal(g.type, IMU_WIRE_REJECTED);
    close_peer(&c);
    int pair[2];
    assert_int_equal(pipe(pair), 0); /* a pipe is no file: it could keep a child waiting */
    connect_peer(&c, media.socket);
    send_json(&c, IMU_WIRE_DECODE, json_object(), pair, 1);
    assert_true(next_frame(&c, &g));
    assert_int_equal(g.type, IMU_WIRE_REJECTED);
    close_peer(&c);
    clear_got(&g);
    close(pair[0]);
    close(pair[1]);
    close(fd);
    connect_peer(&c, media.socket); /* left in the middle of a frame */
    assert_int_equal(write(c.fd, "\0\0\1", 3), 3);
    close_peer(&c);
}

static void test_client_errors(void **state)
{
    (void)state;
    struct imu_media_result r;
    int fd = imu_memfd_of("x", "x", 1);
    assert_int_equal(imu_media_decode("/nonexistent/socket", fd, &usual, 1000, &r), -1);
    imu_media_result_free(&r);
    assert_int_equal(r.png_fd, -1);
    close(fd);
}

/* What a decoder taken over by its input might try. Each must kill the process by SIGSYS. */
static void attack(int which)
{
    switch (which) {
    case 0:
        open("/etc/passwd", O_RDONLY);
        break;
    case 1:
        socket(AF_INET, SOCK_STREAM, 0);
        break;
    case 2:
        execl("/bin/true", "true", (char *)NULL);
        break;
    case 3:
        fork();
        break;
    case 4:
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        break;
    case 5:
        kill(getppid(), SIGCONT);
        break;
    case 6:
        unlink("/tmp/nothing");
        break;
    case 7:
        dup2(0, 9);
        break;
    default:
        mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 0, 0);
    }
}

static void test_sandbox(void **state)
{
    (void)state;
    assert_int_equal(imu_sandbox_prepare(), 0);
    for (int which = 0; which < 9; which++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (imu_sandbox_enter(5))
                _exit(7);
            attack(which);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
            fail_msg("attack %d: status %x", which, status);
    }
    pid_t pid = fork(); /* what a decoder does is allowed */
    if (pid == 0) {
        if (imu_sandbox_enter(5))
            _exit(7);
        char *block = malloc(50u << 20);
        if (!block)
            _exit(8);
        memset(block, 1, 50u << 20);
        free(block);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_endless_work_ends(void **state)
{
    (void)state;
    assert_int_equal(imu_sandbox_prepare(), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (imu_sandbox_enter(1))
            _exit(7);
        for (volatile int i = 0;; i++)
            continue;
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png_is_kept),
        cmocka_unit_test(test_resize_keeps_texts),
        cmocka_unit_test(test_jpeg_orientation),
        cmocka_unit_test(test_webp),
        cmocka_unit_test(test_kinds_of_png),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_polyglot),
        cmocka_unit_test(test_text_encodings),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_accounts_take_turns),
        cmocka_unit_test(test_one_account_leaves_room),
        cmocka_unit_test(test_one_account_leaves_a_child),
        cmocka_unit_test(test_two_accounts_leave_a_child),
        cmocka_unit_test(test_hostile_requests),
        cmocka_unit_test(test_client_errors),
        cmocka_unit_test(test_sandbox),
        cmocka_unit_test(test_endless_work_ends),
    };
    return cmocka_run_group_tests_name("media process", tests, setup, teardown);
}
