/* CLIP's text transformer. */
#ifndef IMU_DIFFUSION_TEXT_ENCODER_H
#define IMU_DIFFUSION_TEXT_ENCODER_H

#include "worker/diffusion/net.h"

typedef struct imu_text_encoder imu_text_encoder;

imu_engine_status imu_text_encoder_open(imu_backend *backend, const imu_net_place *place,
                                        imu_text_encoder **out, imu_fault *fault);
void imu_text_encoder_close(imu_text_encoder *e);
imu_net *imu_text_encoder_net(imu_text_encoder *e);
int imu_text_encoder_width(const imu_text_encoder *e);
int imu_text_encoder_length(const imu_text_encoder *e); /* tokens a chunk: 77 */
int imu_text_encoder_layers(const imu_text_encoder *e);
/* The width of the projected embedding, 0 when there is no projection. */
int imu_text_encoder_projection(const imu_text_encoder *e);

enum { IMU_LEARNED_ID = 1 << 20 }; /* ids from here on are rows of `learned` */

typedef struct imu_text_request {
    const int *ids;       /* [count][length] */
    const float *learned; /* [rows][width], or NULL when no id names one */
    int count;
    int skip; /* layers left out at the end */
    bool final_norm;
    bool embeddings_only;  /* the sum of token and position embeddings, for comparison */
    const float *key_bias; /* NULL, or [count][length]: added to every score of a token; -INFINITY
                              hides it */
    float *hidden;         /* [count][length][width] */
    float *pooled;    /* NULL, or [count][width]: the final norm at the first highest id, after the
                         layers that are not left out */
    float *projected; /* NULL, or [count][projection] of `pooled` */
    int (*cancelled)(void *user); /* asked between products; may be NULL */
    void *user;
} imu_text_request;

/* Encodes chunks of token ids. */
imu_engine_status imu_text_encode(imu_text_encoder *e, const imu_text_request *request,
                                  imu_fault *fault);

#endif
