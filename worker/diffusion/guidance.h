/* Arithmetic between the network and the sampler: classifier-free guidance and inpainting masks. */
#ifndef IMU_DIFFUSION_GUIDANCE_H
#define IMU_DIFFUSION_GUIDANCE_H

#include <stdbool.h>
#include <stddef.h>

/* out[n] = u + scale (c - u); with `rescale` r > 0 pulled towards the deviation of c: r e
 * std(c)/std(e) + (1 - r) e. `out` may be one of the inputs. */
void imu_guide(const float *uncond, const float *cond, size_t n, double scale, double rescale,
               float *out);

typedef struct imu_inpaint {
    const float *original, *noise; /* [channels][area] */
    const float *mask;             /* [area] */
    bool gradient;
    size_t channels, area;
} imu_inpaint;

/* Before a model call: x becomes the original at this noise level (keep * original + add * noise)
 * where the mask keeps it. `progress`: timestep / training timesteps, for gradient masks. */
void imu_inpaint_before(const imu_inpaint *p, double keep, double add, double progress, float *x);
/* After the last: the original itself where the mask keeps it. */
void imu_inpaint_after(const imu_inpaint *p, float *x);

#endif
