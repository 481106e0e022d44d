/*
 * mask.h: what is done to grey pictures that say which part of another picture is to change. Black
 * is what changes, white what stays.
 *
 * Everything allocates with malloc only and is safe from any thread.
 */
#ifndef IMU_MASK_H
#define IMU_MASK_H

#include "worker/image/picture.h"

/** How a mask's edge is widened. */
enum imu_mask_edge {
    IMU_EDGE_GAUSS,  /**< falls off like a bell */
    IMU_EDGE_LINEAR, /**< falls off evenly */
    IMU_EDGE_STAGED  /**< all of the edge alike, at `lightest` */
};

/**
 * Widens the dark part of a grey picture by `radius` pixels, growing lighter with the distance.
 * What is not white becomes at most `lightest` (0 to 255).
 * @param stop  asked after each row; may be NULL
 * @return a new grey picture, or NULL without memory or when stopped
 */
imu_picture *imu_mask_widen(const imu_picture *grey, int radius, enum imu_mask_edge edge,
                            double lightest, int (*stop)(void *user), void *user);

/**
 * What is at most `threshold` becomes black, the rest fades to white over `size` pixels (1 or
 * more) with the distance from it.
 * @return a new grey picture, or NULL without memory
 */
imu_picture *imu_mask_fade(const imu_picture *grey, int threshold, int size);

/** How light a grey picture is at a place, 0 to 255, between its pixels. @param x, y 0 to 1 */
double imu_mask_at(const imu_picture *grey, double x, double y);

/**
 * Gives what is transparent the colours around it: coarser and coarser averages of what is there.
 * @param p  RGBA
 * @return a new RGB picture, or NULL without memory
 */
imu_picture *imu_fill_holes(const imu_picture *p);

#endif
