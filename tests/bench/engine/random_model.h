/* A full-size Stable Diffusion 1.5 with random weights, to measure speed with: it draws noise. */
#ifndef IMU_BENCH_RANDOM_MODEL_H
#define IMU_BENCH_RANDOM_MODEL_H

/* Writes unet/, vae/ and text_encoder/ (config.json and float16 weights, 2 GB in all) below
 * `folder`, which must exist. Sizes are those of the published model's config files. The values are
 * scaled by the width of each layer's input, so that activations stay near one.
 * @return 0, or -1 with errno set */
int imu_random_sd15(const char *folder);

#endif
