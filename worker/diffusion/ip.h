/* IP adapters (Ye et al., 2023): pictures become tokens, which the UNet's attentions look at beside
 * the text, through keys and values of the adapter's own. */
#ifndef IMU_DIFFUSION_IP_H
#define IMU_DIFFUSION_IP_H

#include "worker/diffusion/clip_vision.h"
#include "worker/diffusion/unet_parts.h"

imu_engine_status imu_ip_build(imu_backend *backend, const char *path, imu_ip **out,
                               imu_fault *fault);
/* Whether its attentions are those of this UNet. */
bool imu_ip_fits(const imu_ip *ip, const imu_unet *u);
/* Numbers of a token. */
int64_t imu_ip_width(const imu_ip *ip);

/* One adapter in a call of the UNet, for all of its rows. */
typedef struct imu_ip_call {
    const imu_ip *ip;
    int64_t tokens;      /* of each row */
    const float *values; /* [rows, tokens, width] */
    const float *averse; /* the same where `where` says IMU_IP_AVERSE */
    double weight;
    const unsigned char *where; /* of each attention of the UNet: IMU_IP_... */
    /* Of each level of the UNet: [area of its features], what is found there is multiplied by.
     * NULL: nothing. */
    float *const *mask;
} imu_ip_call;

enum { IMU_IP_OFF = 0, IMU_IP_ON, IMU_IP_AVERSE };

typedef struct imu_ip_calls {
    int count;
    imu_ip_call *call;
} imu_ip_calls;

/* What attentions need while a network runs: the tokens on the device. Freed with the run. */
typedef struct imu_ip_tokens_there {
    imu_tensor *keys[2], *values[2]; /* as they are and averse; values times the weight */
    imu_tensor *mask[IMU_UNET_MAX_LEVELS];
} imu_ip_tokens_there;

typedef struct imu_ip_state {
    const imu_ip_calls *calls;
    const imu_crossing *crossing; /* of the UNet */
    imu_ip_tokens_there *there;
} imu_ip_state;

/* -1 when memory is lacking: then the run has failed. To be freed: state->there. */
int imu_ip_begin(imu_run *run, const imu_unet *u, const imu_unet_request *r, imu_ip_state *state);
/* mixed += what queries find in the pictures, at the UNet's attention of that number. */
void imu_ip_add(imu_run *run, const imu_ip_state *state, int number, const imu_tensor *q, int heads,
                imu_tensor *mixed);

#endif
