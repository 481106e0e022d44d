/*
 * outbox.h: frames from the run thread to the dispatcher. Results (with a sequence number) stay
 * until they are acknowledged, across connections; everything else is forgotten when nobody is
 * connected.
 *
 * Safe from any thread; the I/O thread pumps.
 */
#ifndef IMU_OUTBOX_H
#define IMU_OUTBOX_H

#include "wire/wire.h"
#include "worker/util.h"

typedef struct imu_outbox imu_outbox;

typedef struct imu_message {
    uint8_t type;
    const json_t *header; /**< with run_id and, for results, seq; "fds" is added */
    const void *payload;
    size_t payload_len;
    const int *fds; /**< taken over, also on failure */
    int n_fds;
    bool keep; /**< a result: until its ACK */
} imu_message;

/** @param wake_fd  eventfd that is written when there is something to pump */
imu_outbox *imu_outbox_new(int wake_fd);
void imu_outbox_free(imu_outbox *o);

/** Adds a frame. @return 0, or -1 errno (EMSGSIZE: no frame can be so large). */
int imu_outbox_put(imu_outbox *o, const imu_message *m);
/** Moves waiting frames into the writer while it holds little. @return 1 some, 0 none, -1 failed.
 */
int imu_outbox_pump(imu_outbox *o, imu_wire_writer *wr);
/** Somebody connected (results are all to be sent again) or nobody is connected any more. */
void imu_outbox_connected(imu_outbox *o, bool connected);
/** Drops a result. */
void imu_outbox_ack(imu_outbox *o, const char *run_id, json_int_t seq);
/** [{run_id, item_id}] of runs with results not yet acknowledged. */
json_t *imu_outbox_held(imu_outbox *o);
/** Results not yet acknowledged. */
size_t imu_outbox_count(imu_outbox *o);

#endif
