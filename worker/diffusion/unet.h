/* The conditional UNet of Stable Diffusion 1.x, 2.x and XL, built from its config.json. */
#ifndef IMU_DIFFUSION_UNET_H
#define IMU_DIFFUSION_UNET_H

#include "worker/diffusion/net.h"

typedef struct imu_unet imu_unet;

imu_engine_status imu_unet_open(imu_backend *backend, const imu_net_place *place, imu_unet **out,
                                imu_fault *fault);
void imu_unet_close(imu_unet *u);
imu_net *imu_unet_net(imu_unet *u);

typedef struct imu_unet_info {
    int in_channels, out_channels, sample_size, context_width;
    int time_frequencies;  /* width of the sinusoid of a timestep */
    int time_width;        /* of its embedding */
    int added_frequencies; /* XL: sinusoid width of one size number; 0 when there is none */
    int pooled_width;      /* XL; else 0 */
    int size_numbers;      /* XL: 6 numbers of time ids, a refiner's 5; else 0 */
} imu_unet_info;

const imu_unet_info *imu_unet_get_info(const imu_unet *u);

typedef struct imu_unet_request {
    int64_t batch, height, width; /* of the latents */
    const float *latents;         /* [batch, in_channels, height, width] */
    const double *timesteps;      /* [batch] */
    const float *context;         /* [batch, tokens, context_width] */
    int64_t tokens;
    const float *pooled;   /* XL: [batch, pooled_width] */
    const float *time_ids; /* XL: [batch, size_numbers] */
    float *out;            /* [batch, out_channels, height, width] */
    unsigned wrap;         /* IMU_WRAP_... */
    imu_freeu freeu;
    const struct imu_residuals *residuals; /* of ControlNets (control.h), or NULL */
    const struct imu_features *features;   /* of T2I adapters (t2i.h), or NULL */
    const struct imu_ip_calls *ips;        /* IP adapters (ip.h), or NULL */
    int (*cancelled)(void *user);
    void *user;
    void (*probe)(void *user, const char *stage,
                  const imu_tensor *value); /* inner stages, for comparison */
    void *probe_user;
} imu_unet_request;

imu_engine_status imu_unet_run(imu_unet *u, const imu_unet_request *request, imu_fault *fault);

/* The sinusoid of a timestep, width `n`: cosines first, unless the model's config says otherwise.
 */
void imu_unet_sinusoid(const imu_unet *u, double t, int n, float *out);
/* The time MLP alone: sinusoids [count, time_frequencies] to embeddings [count, time_width]. */
imu_engine_status imu_unet_embed_time(imu_unet *u, const float *sinusoids, int64_t count,
                                      float *out, imu_fault *fault);
/* XL: pooled and time ids to the added embedding [batch, time_width]. */
imu_engine_status imu_unet_embed_added(imu_unet *u, const imu_unet_request *request, float *out,
                                       imu_fault *fault);

#endif
