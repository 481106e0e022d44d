/* What the nodes that make latents (latents.c) and those that turn them into pictures (vae.c)
 * share. */
#ifndef IMU_NODES_LATENTS_H
#define IMU_NODES_LATENTS_H

#include "worker/diffusion/pipeline.h"
#include "worker/nodes/env.h"

/** Pixels that a cell of latents is wide. */
#define IMU_CELL 8

/** A LatentsOutput's fields for stored latents. @param scale pixels that a cell is wide */
json_t *imu_latents_output(const char *name, const imu_array *a, int64_t scale, uint64_t seed);

/** The axes at which a part of a model (UNet, VAE) is to make pictures that tile. */
void imu_seamless_axes(const json_t *part, bool *x, bool *y);

/** The picture (taken over) with sides that are multiples of a cell of latents, resized for that
 * where it must be. NULL with call->error. */
imu_picture *imu_on_grid(imu_call *call, imu_picture *p);
/** Turns an RGB picture into latents by that VAE. @return 0, or -1 with call->error */
int imu_encode_picture(imu_call *call, const json_t *vae, const imu_picture *rgb, imu_model **model,
                       imu_array **latents);

#endif
