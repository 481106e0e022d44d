/*
 * upload.h: an uploaded file on its way from the client to the picture store.
 */
#ifndef IMU_UPLOAD_H
#define IMU_UPLOAD_H

#include "mod_invokemu/multipart.h"
#include "mod_invokemu/request.h"
#include "wire/media_client.h"

typedef struct imu_upload {
    imu_multipart *form;  /**< its text parts */
    const imu_part *file; /**< NULL when it was optional and left out */
    int fd; /**< nameless temporary file with the file's bytes; closed with the request */
} imu_upload;

/**
 * Reads a multipart body with one file.
 * @param field  name of the part that must be that file
 * @return 413, 415, 422 (no such file), 400 when the client breaks off, 507
 */
imu_err *imu_upload_read(imu_req *req, const char *field, imu_upload *upload);
/** The same for a file that may be left out: upload->file is NULL then. */
imu_err *imu_upload_read_optional(imu_req *req, const char *field, imu_upload *upload);

/**
 * Has the media process decode the file. Nothing of the picture is looked at in this process.
 * @param thumbnail     longest side of the thumbnail, pixels
 * @param width, height size to bring the picture to, or 0 and 0
 * @param out           descriptors and texts, freed with the request
 * @return 415 no picture, 413 too many pixels, 429 it is busy, or too many of this account's wait
 * for it, 503 it is away
 */
imu_err *imu_upload_decode(imu_req *req, const imu_upload *upload, int thumbnail, int width,
                           int height, struct imu_media_result *out);

#endif
