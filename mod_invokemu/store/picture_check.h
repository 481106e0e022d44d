/*
 * picture_check.h: whether the file of a picture is all there. Looks at how the file is divided,
 * never at the picture: decoding is the media process's. Free of httpd.
 */
#ifndef IMU_PICTURE_CHECK_H
#define IMU_PICTURE_CHECK_H

/** True when fd, read from its start, holds a PNG file from its signature to its last chunk. What
 * follows that one does not matter. (PNG, third edition, section 5) */
int imu_png_is_whole(int fd);
/** True when fd holds a WebP file as long as it says. (RFC 9649, section 2.4) */
int imu_webp_is_whole(int fd);

#endif
