/* Textual inversions: vectors that a prompt puts in the place of words, by a trigger "<name>". A
 * safetensors file holds one matrix, or for XL one for each of its text encoders, "clip_l" and
 * "clip_g". The names are hostile like any file's. */
#ifndef IMU_DIFFUSION_INVERSION_H
#define IMU_DIFFUSION_INVERSION_H

#include "worker/diffusion/safetensors.h"

/* The matrices [vectors, width] (or [width]) of a file, for the family's first and second text
 * encoder; NULL for none. False when the file is no textual inversion. */
bool imu_inversion_parts(const imu_safetensors *st, const imu_st_entry **first,
                         const imu_st_entry **second);
/* The family that it was made for. */
const char *imu_inversion_base(const imu_st_entry *first, const imu_st_entry *second);

#endif
