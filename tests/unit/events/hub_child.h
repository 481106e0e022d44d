/*
 * hub_child.h: for tests of the hub: a child that only takes notes, and browsers that speak through
 * it. Every failure fails the test.
 */
#ifndef IMU_HUB_CHILD_H
#define IMU_HUB_CHILD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <apr_general.h>

#include "mod_invokemu/dispatch/hub.h"
#include "tests/unit/events/hub_stub.h"

extern apr_pool_t *pool;
extern imu_loop *loop;
extern imu_hub *hub;
extern imu_hub_child *child;
extern size_t used;
extern json_int_t next_conn;
extern int frames; /**< that the child was told */

/** The child: an imu_hub_send_fn. */
int take_note(void *baton, uint8_t type, json_t *header, const void *payload, size_t len);
/** It reads at once. */
size_t none_pending(void *baton);
/** What the child was told since: "R7:200:body|", "S7:text|", "P7:preview|", "C7:1000|", "F7|",
 * "K7:alice|" with the connection's number. */
const char *told(void);
/** Frames from the child. @return what the hub says of it */
int frame(uint8_t type, json_t *header, const char *payload, size_t len);
/** Requests and WebSockets of a browser. @return the connection's number */
json_int_t get(const char *sid, const char *token);
json_int_t post_bytes(const char *sid, const char *body, size_t len);
json_int_t post(const char *sid, const char *body);
json_int_t ws_open(const char *sid);
void ws_text(json_int_t conn, const char *text);
void gone(json_int_t conn);
/** The sid of the open packet in what was told last. */
const char *open_sid(const char *text);
/** Opens a WebSocket, connects with that token and listens to the queue. @return its number */
json_int_t listener(const char *token);
void emit(const char *name, const char *owner, const char *data);
/** What this thread has computed so far, in ns. */
int64_t cpu_ns(void);
/** The pool, for all tests. */
int setup_all(void **state);
int teardown_all(void **state);
/** A new hub with a child, for each test. */
int setup(void **state);
int teardown(void **state);
/** Whether that connection was told so, and how often anybody was. */
int heard(const char *text, json_int_t conn, const char *what);
int times(const char *text, const char *what);

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
