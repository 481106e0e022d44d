/* The autoencoder (AutoencoderKL): pictures to latents and back, built from its config.json. */
#ifndef IMU_DIFFUSION_VAE_H
#define IMU_DIFFUSION_VAE_H

#include "worker/diffusion/net.h"

typedef struct imu_vae imu_vae;

imu_engine_status imu_vae_open(imu_backend *backend, const imu_net_place *place, imu_vae **out,
                               imu_fault *fault);
void imu_vae_close(imu_vae *v);
imu_net *imu_vae_net(imu_vae *v);
int imu_vae_scale(const imu_vae *v); /* pixels a latent cell is wide: 8 */
double imu_vae_scaling_factor(const imu_vae *v);

/* Scaled latents [1, C, h, w] to a picture [1, 3, scale h, scale w] from -1 to 1 (not clamped).
 * `args` may be NULL. */
imu_engine_status imu_vae_decode(imu_vae *v, const imu_array *latents, const imu_vae_args *args,
                                 imu_array **image, imu_fault *fault);
/* A picture [1, 3, H, W] from -1 to 1, H and W multiples of the scale, to mean and log variance of
 * the posterior, unscaled. */
imu_engine_status imu_vae_encode(imu_vae *v, const imu_array *image, const imu_vae_args *args,
                                 imu_array **mean, imu_array **logvar, imu_fault *fault);

#endif
