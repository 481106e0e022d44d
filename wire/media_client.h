/*
 * media_client.h: asks the media process to decode an uploaded picture.
 *
 * One call opens one connection, sends the file's descriptor and waits for the answer. Safe from
 * any thread; blocks its caller. Needs jansson.
 */
#ifndef IMU_MEDIA_CLIENT_H
#define IMU_MEDIA_CLIENT_H

#include <stdint.h>

struct imu_media_limits {
    uint64_t max_pixels; /**< width times height at most this; 0: the media process's own limit */
    int max_side;        /**< width and height at most this; 0: the media process's own limit */
    int thumbnail;       /**< longest side of the thumbnail, 16 to 1024 pixels */
    int resize_width;    /**< make the picture this size; 0 and 0 to keep its own */
    int resize_height;
    const char *account; /**< whose it is, up to 64 bytes: accounts take turns; NULL: nobody's */
    /** Asked some times a second while the answer is waited for; 0 gives it up. NULL: never asked.
     */
    int (*wanted)(void *user);
    void *user;
};

struct imu_media_result {
    int width, height; /**< of the stored picture */
    int png_fd; /**< the picture to store, a sealed memfd read from offset 0; -1 unless decoded */
    int thumbnail_fd;   /**< its WebP thumbnail, likewise */
    uint64_t png_bytes; /**< sizes of the two */
    uint64_t thumbnail_bytes;
    char *metadata;    /**< text chunk invokeai_metadata, UTF-8, or NULL */
    char *workflow;    /**< text chunk invokeai_workflow, or NULL */
    char *graph;       /**< text chunk invokeai_graph, or NULL */
    char code[16];     /**< when refused: "unsupported", "too_large", "corrupt" or "busy" */
    char message[256]; /**< when refused: a sentence for the person who uploads */
};

/**
 * Decodes the picture in file_fd (read from offset 0, position left alone; stays the caller's).
 * @param socket      path of the media process's socket
 * @param timeout_ms  for the whole call
 * @return 0 decoded; 1 refused, see code and message; -1 errno: the process can't be reached, took
 * too long (ETIMEDOUT), was given up (ECANCELED), or answered nonsense (EPROTO). In every case call
 * imu_media_result_free.
 */
int imu_media_decode(const char *socket, int file_fd, const struct imu_media_limits *limits,
                     int timeout_ms, struct imu_media_result *out);

/** Closes descriptors and frees texts of a result that imu_media_decode filled. */
void imu_media_result_free(struct imu_media_result *r);

#endif
