/* For tests that talk to a real worker process: start it, connect, send frames, expect frames.
 * Every failure fails the test. */
#ifndef IMU_TEST_HELPER_H
#define IMU_TEST_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "wire/wire.h"
#include "worker/util.h"

#include <sys/types.h>

#define WAIT_MS 60000 /* longer than anything takes under sanitizers */

struct process {
    pid_t pid;
    char dir[64], socket[96], log[96];
};

/** Starts invokemu-worker with --socket and further arguments (NULL-terminated) and waits until it
 * listens. */
void start_process(struct process *p, ...) __attribute__((sentinel));
/** Ends it by SIGTERM and expects exit status 0; removes its folder. */
void stop_process(struct process *p);
/** True when its log contains text. */
bool log_has(const struct process *p, const char *text);

struct peer {
    int fd;
    imu_wire_reader *rd;
};

/** A received frame; fds belong to it. */
struct got {
    uint8_t type;
    json_t *h;
    size_t payload_len;
    uint8_t payload[65536];
    int fds[IMU_WIRE_MAX_FDS];
    int n_fds;
};

/** Connects, retrying while the worker still takes leave of the one before. */
void connect_peer(struct peer *c, const char *socket);
void close_peer(struct peer *c);
/** Sends a frame; takes the reference. "fds" is added. */
void send_json(struct peer *c, uint8_t type, json_t *h, const int *fds, int n_fds);
/** The next frame; clears g first. @return false when the connection ended. */
bool next_frame(struct peer *c, struct got *g);
/** The next frame of that type; others are dropped. */
void expect_type(struct peer *c, struct got *g, uint8_t type);
void clear_got(struct got *g);

/** A RUN header for the graph in JSON text (' for "); models and images as the test adds them. */
json_t *make_run(const char *run_id, const char *graph);
/** Parses JSON written with ' in place of ". */
json_t *parse(const char *text);

#endif
