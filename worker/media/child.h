/* The decoding child: from an uploaded file to a PNG, a thumbnail and an answer. */
#ifndef IMU_MEDIA_CHILD_H
#define IMU_MEDIA_CHILD_H

#include "worker/image/picture.h"

#define IMU_MEDIA_MAX_FILE    (256l * 1024 * 1024)
#define IMU_MEDIA_MAX_PIXELS  (64ull * 1024 * 1024)
#define IMU_MEDIA_MAX_SIDE    16384
#define IMU_MEDIA_MAX_ANSWER  (15u * 1024 * 1024)
#define IMU_MEDIA_CPU_SECONDS 20

typedef struct imu_media_request {
    imu_decode_limits limits;
    int thumbnail;
    int resize_width, resize_height; /**< 0: keep the size */
} imu_media_request;

/**
 * Decodes data, writes the PNG and the thumbnail to two descriptors and makes the answer: the
 * header of DECODED, or {code, message}. Uses no call but those the sandbox allows.
 * @return a new object, or NULL without memory
 */
json_t *imu_media_decode_bytes(const imu_media_request *q, const uint8_t *data, size_t len,
                               int png_fd, int thumbnail_fd);

/**
 * Makes a sandboxed child that decodes file_fd.
 * @param[out] answer_fd  where its answer comes, JSON text until end of file
 * @return its process id, or -1 errno
 */
int imu_media_spawn(const imu_media_request *q, int file_fd, int png_fd, int thumbnail_fd,
                    int *answer_fd);

#endif
