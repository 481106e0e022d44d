/*
 * websocket.h: reads the frames of a browser's WebSocket (RFC 6455) as they come in, and writes the
 * heads of ours.
 *
 * Free of httpd. A reader belongs to one thread at a time and holds memory only while a message is
 * incomplete. Browsers mask their frames, servers don't; there are no extensions.
 */
#ifndef IMU_WEBSOCKET_H
#define IMU_WEBSOCKET_H

#include <stddef.h>
#include <stdint.h>

#define IMU_WS_ACCEPT_SIZE 29 /* Sec-WebSocket-Accept with its NUL */
#define IMU_WS_MAX_HEAD    10
#define IMU_WS_MAX_CONTROL 125

/** Opcodes of frames that we send. */
#define IMU_WS_TEXT  0x1
#define IMU_WS_CLOSE 0x8
#define IMU_WS_PONG  0xA

/** Close codes (RFC 6455 section 7.4.1). */
#define IMU_WS_NORMAL      1000
#define IMU_WS_GOING_AWAY  1001
#define IMU_WS_PROTOCOL    1002
#define IMU_WS_UNSUPPORTED 1003
#define IMU_WS_BAD_TEXT    1007
#define IMU_WS_TOO_BIG     1009
#define IMU_WS_RESTART     1012
#define IMU_WS_TRY_LATER   1013

typedef enum imu_ws_what {
    IMU_WS_MORE = 0, /**< nothing complete: feed more */
    IMU_WS_GOT_TEXT, /**< a whole text message of valid UTF-8 */
    IMU_WS_GOT_PING, /**< answer it with a pong of the same data */
    IMU_WS_GOT_PONG,
    IMU_WS_GOT_CLOSE, /**< answer with a close frame of that code and end */
    IMU_WS_BROKEN     /**< send a close frame of that code and end */
} imu_ws_what;

typedef struct imu_ws_event {
    imu_ws_what what;
    const char *data; /**< lives until the next call */
    size_t len;
    int code;
} imu_ws_event;

typedef struct imu_ws {
    size_t max_message; /* bytes */
    unsigned char head[14];
    unsigned head_len;
    int in_payload, fin, opcode, in_message, ended;
    uint64_t left; /* payload bytes still to come */
    unsigned mask_at;
    unsigned char mask[4];
    char *message; /* the data message so far */
    size_t used, room;
    char control[IMU_WS_MAX_CONTROL];
    size_t control_used;
    int deliver; /* message is to be released at the next call */
} imu_ws;

void imu_ws_init(imu_ws *ws, size_t max_message);
/** Frees what it holds. */
void imu_ws_clear(imu_ws *ws);
/**
 * Reads on, up to the first thing to tell.
 * @return bytes consumed; call again with the rest until they are all consumed and event->what is
 * IMU_WS_MORE. After IMU_WS_GOT_CLOSE or IMU_WS_BROKEN everything is consumed and ignored.
 */
size_t imu_ws_feed(imu_ws *ws, const void *data, size_t len, imu_ws_event *event);
/** Writes the head of an unmasked, final frame. @return its length */
size_t imu_ws_head(unsigned char head[IMU_WS_MAX_HEAD], int opcode, size_t len);
/** Computes Sec-WebSocket-Accept. @return 0, or -1 when key is not the base64 of 16 bytes */
int imu_ws_accept(const char *key, char accept[IMU_WS_ACCEPT_SIZE]);
/** True for valid UTF-8 (RFC 3629). */
int imu_utf8_ok(const char *text, size_t len);

#endif
