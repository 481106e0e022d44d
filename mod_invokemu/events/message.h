/*
 * message.h: a frame of a WebSocket that many sockets send: they share its bytes.
 */
#ifndef IMU_MESSAGE_H
#define IMU_MESSAGE_H

#include <stdatomic.h>
#include <stddef.h>

typedef struct imu_message {
    atomic_int refs;
    size_t len;
    int event;   /**< of Socket.IO, in a frame */
    char data[]; /**< of the whole frame */
} imu_message;

/** Bytes for the caller to fill in; he owns one reference. @return NULL without memory */
imu_message *imu_message_new(size_t len);
/** A frame with that opcode and payload. @return NULL without memory */
imu_message *imu_message_frame(int opcode, const char *payload, size_t len);
/** One more reference. */
imu_message *imu_message_share(imu_message *message);
/** Gives a reference back; NULL is ignored. Any thread. */
void imu_message_release(imu_message *message);

#endif
