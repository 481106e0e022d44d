/* The command line of invokemu-worker. */
#ifndef IMU_OPTIONS_H
#define IMU_OPTIONS_H

#include "worker/diffusion/pipeline.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define IMU_MAX_PEERS 16
/* The exit status of a worker that lost its device: whoever supervises it starts it again. */
#define IMU_EXIT_LOST 75

typedef struct imu_options {
    const char *socket;
    const char *models;         /**< folder, or NULL */
    const char *tokenizers;     /**< folder of those that the server keeps, or NULL */
    const char *user;           /**< to become, when started as root; or NULL */
    const char *group;          /**< of the socket file, or NULL */
    const char *device;         /**< what computes, as imu_engine_options has it; or NULL */
    const char *name;           /**< how the worker calls itself; the host's name by default */
    int threads;                /**< 0: one per processor */
    uint64_t cache_bytes;       /**< of weights to keep on the processor */
    uint64_t gpu_bytes;         /**< of a GPU's memory to use; 0: what is free, but for a reserve */
    imu_precision precision;    /**< what products take in; IMU_PRECISION_AUTO by default */
    bool sequential;            /**< guidance in two calls of the network instead of one */
    uid_t peers[IMU_MAX_PEERS]; /**< who may connect, besides root and the worker's own user */
    int n_peers;
    bool media, print_schemas;
    int media_children; /**< pictures decoded at once */
} imu_options;

/** Reads the command line. @return 0 to go on, 1 help was printed, -1 an error was printed. */
int imu_options_read(imu_options *o, int argc, char **argv);
/**
 * Becomes o->user when running as root; gives the socket file to that user and o->group before.
 * @return 0, or -1 with a message on stderr
 */
int imu_options_drop_root(const imu_options *o);
/** Whether that user may connect. */
bool imu_options_peer_allowed(const imu_options *o, long uid);

#endif
