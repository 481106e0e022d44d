#include "mod_invokemu/events/websocket.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#define OP_CONTINUATION 0x0
#define OP_BINARY       0x2
#define OP_PING         0x9

#define KEY_LENGTH 24 /* base64 of 16 bytes */
#define MAGIC      "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

void imu_ws_init(imu_ws *ws, size_t max_message)
{
    memset(ws, 0, sizeof *ws);
    ws->max_message = max_message;
}

void imu_ws_clear(imu_ws *ws)
{
    free(ws->message);
    ws->message = NULL;
    ws->used = ws->room = 0;
}

static int is_control(const imu_ws *ws)
{
    return ws->opcode & 0x8;
}

static void broken(imu_ws *ws, imu_ws_event *event, int code)
{
    imu_ws_clear(ws);
    ws->ended = 1;
    event->what = IMU_WS_BROKEN;
    event->code = code;
}

/* ---- heads ---- */

static unsigned head_size(const imu_ws *ws)
{
    unsigned short_len;

    if (ws->head_len < 2)
        return 2;
    short_len = ws->head[1] & 0x7f;
    return 2 + (short_len == 126 ? 2 : short_len == 127 ? 8 : 0) + 4;
}

static uint64_t head_length(const imu_ws *ws)
{
    unsigned short_len = ws->head[1] & 0x7f, bytes = short_len == 126   ? 2
                                                     : short_len == 127 ? 8
                                                                        : 0;
    uint64_t len = 0;

    if (!bytes)
        return short_len;
    for (unsigned i = 0; i < bytes; i++)
        len = len << 8 | ws->head[2 + i];
    return len;
}

/* What can be judged from the first two bytes is judged before anything more is awaited. */
static int first_bytes_code(const imu_ws *ws)
{
    int opcode = ws->head[0] & 0xf, control = opcode & 0x8, fin = ws->head[0] & 0x80;

    if ((ws->head[0] & 0x70) || !(ws->head[1] & 0x80))
        return IMU_WS_PROTOCOL;
    if (control)
        return !fin || (ws->head[1] & 0x7f) > IMU_WS_MAX_CONTROL || opcode > IMU_WS_PONG
                   ? IMU_WS_PROTOCOL
                   : 0;
    if (opcode > OP_BINARY || (opcode == OP_CONTINUATION) != ws->in_message)
        return IMU_WS_PROTOCOL;
    return opcode == OP_BINARY ? IMU_WS_UNSUPPORTED : 0;
}

/* @return 0, or the close code for a frame that is not acceptable */
static int begin_payload(imu_ws *ws)
{
    unsigned size = head_size(ws), short_len = ws->head[1] & 0x7f;
    uint64_t len = head_length(ws);

    ws->fin = ws->head[0] & 0x80;
    ws->opcode = ws->head[0] & 0xf;
    /* Lengths in their shortest form only. */
    if ((short_len == 126 && len < 126) || (short_len == 127 && len < 65536))
        return IMU_WS_PROTOCOL;
    if (!is_control(ws) && (len > ws->max_message || ws->used + len > ws->max_message))
        return IMU_WS_TOO_BIG;
    memcpy(ws->mask, ws->head + size - 4, 4);
    ws->mask_at = 0;
    ws->left = len;
    ws->control_used = 0;
    ws->in_payload = 1;
    return 0;
}

/* ---- payload ---- */

static int make_room(imu_ws *ws, size_t more)
{
    size_t room = ws->room ? ws->room : 512;
    char *grown;

    while (room < ws->used + more)
        room *= 2;
    if (room == ws->room)
        return 0;
    grown = realloc(ws->message, room);
    if (!grown)
        return -1;
    ws->message = grown;
    ws->room = room;
    return 0;
}

static void unmask(imu_ws *ws, char *to, const unsigned char *from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (char)(from[i] ^ ws->mask[ws->mask_at++ & 3]);
}

/* @return 0, or -1 without memory */
static int take_payload(imu_ws *ws, const unsigned char *data, size_t len)
{
    if (is_control(ws)) {
        unmask(ws, ws->control + ws->control_used, data, len);
        ws->control_used += len;
    } else {
        if (make_room(ws, len) != 0)
            return -1;
        unmask(ws, ws->message + ws->used, data, len);
        ws->used += len;
    }
    ws->left -= len;
    return 0;
}

/* Codes that may stand in a close frame. */
static int close_code_ok(int code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static void end_close(imu_ws *ws, imu_ws_event *event)
{
    int code = IMU_WS_NORMAL;

    if (ws->control_used == 1) {
        broken(ws, event, IMU_WS_PROTOCOL);
        return;
    }
    if (ws->control_used >= 2) {
        code = (unsigned char)ws->control[0] << 8 | (unsigned char)ws->control[1];
        if (!close_code_ok(code) || !imu_utf8_ok(ws->control + 2, ws->control_used - 2)) {
            broken(ws, event, close_code_ok(code) ? IMU_WS_BAD_TEXT : IMU_WS_PROTOCOL);
            return;
        }
    }
    imu_ws_clear(ws);
    ws->ended = 1;
    event->what = IMU_WS_GOT_CLOSE;
    event->code = code;
}

static void end_frame(imu_ws *ws, imu_ws_event *event)
{
    ws->in_payload = 0;
    ws->head_len = 0;
    if (ws->opcode == IMU_WS_CLOSE) {
        end_close(ws, event);
    } else if (is_control(ws)) {
        event->what = ws->opcode == OP_PING ? IMU_WS_GOT_PING : IMU_WS_GOT_PONG;
        event->data = ws->control;
        event->len = ws->control_used;
    } else if (!ws->fin) {
        ws->in_message = 1;
    } else if (!imu_utf8_ok(ws->message, ws->used)) {
        broken(ws, event, IMU_WS_BAD_TEXT);
    } else {
        ws->in_message = 0;
        ws->deliver = 1;
        event->what = IMU_WS_GOT_TEXT;
        event->data = ws->message ? ws->message : "";
        event->len = ws->used;
    }
}

size_t imu_ws_feed(imu_ws *ws, const void *data, size_t len, imu_ws_event *event)
{
    const unsigned char *at = data, *end = at + len;
    int code;

    *event = (imu_ws_event){.what = IMU_WS_MORE};
    if (ws->deliver) {
        imu_ws_clear(ws);
        ws->deliver = 0;
    }
    if (ws->ended)
        return len;
    while (event->what == IMU_WS_MORE && (at < end || (ws->in_payload && ws->left == 0))) {
        if (!ws->in_payload) {
            ws->head[ws->head_len++] = *at++;
            code = ws->head_len == 2 ? first_bytes_code(ws) : 0;
            if (!code && ws->head_len >= 2 && ws->head_len == head_size(ws))
                code = begin_payload(ws);
            if (code)
                broken(ws, event, code);
            continue;
        }
        if (ws->left) {
            size_t now = (uint64_t)(end - at) < ws->left ? (size_t)(end - at) : (size_t)ws->left;

            if (take_payload(ws, at, now) != 0) {
                broken(ws, event, IMU_WS_TRY_LATER);
                continue;
            }
            at += now;
        }
        if (ws->left == 0)
            end_frame(ws, event);
    }
    return ws->ended ? len : (size_t)(at - (const unsigned char *)data);
}

size_t imu_ws_head(unsigned char head[IMU_WS_MAX_HEAD], int opcode, size_t len)
{
    unsigned bytes = len < 126 ? 0 : len < 65536 ? 2 : 8;

    head[0] = (unsigned char)(0x80 | opcode);
    head[1] = (unsigned char)(bytes == 0 ? len : bytes == 2 ? 126 : 127);
    for (unsigned i = 0; i < bytes; i++)
        head[2 + i] = (unsigned char)((uint64_t)len >> (8 * (bytes - 1 - i)));
    return 2 + bytes;
}

int imu_ws_accept(const char *key, char accept[IMU_WS_ACCEPT_SIZE])
{
    unsigned char raw[KEY_LENGTH], again[KEY_LENGTH + 1], digest[SHA_DIGEST_LENGTH];
    char text[KEY_LENGTH + sizeof MAGIC];

    if (!key || strlen(key) != KEY_LENGTH ||
        EVP_DecodeBlock(raw, (const unsigned char *)key, KEY_LENGTH) != 18)
        return -1;
    /* Encoding the 16 bytes again tells padding and stray bits from the canonical form. */
    EVP_EncodeBlock(again, raw, 16);
    if (strcmp((const char *)again, key) != 0)
        return -1;
    memcpy(text, key, KEY_LENGTH);
    memcpy(text + KEY_LENGTH, MAGIC, sizeof MAGIC);
    SHA1((const unsigned char *)text, strlen(text), digest);
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
    return 0;
}

/* Bytes of the sequence that starts with c, and the bounds of its second byte (RFC 3629 section 4);
 * 0 for none. */
static unsigned sequence(unsigned char c, unsigned char *low, unsigned char *high)
{
    *low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    *high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf)
        return 2;
    if (c >= 0xe0 && c <= 0xef)
        return 3;
    return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

int imu_utf8_ok(const char *text, size_t len)
{
    const unsigned char *c = (const unsigned char *)text;

    for (size_t i = 0; i < len;) {
        unsigned char low, high;
        unsigned n = sequence(c[i], &low, &high);

        if (n == 0 || n > len - i)
            return 0;
        for (unsigned k = 1; k < n; k++)
            if (c[i + k] < (k == 1 ? low : 0x80) || c[i + k] > (k == 1 ? high : 0xbf))
                return 0;
        i += n;
    }
    return 1;
}
