/* Operations as the networks write them: each makes its result, and does nothing once something
 * failed.
 *
 * A run is one evaluation of a network. Its first failure, or cancellation, sticks: from then on
 * every operation returns NULL and accepts NULL, so that network code needs one check at its end.
 * Results belong to the caller, who gives them back with imu_drop; what is left when a run ends is
 * freed by it.
 */
#ifndef IMU_TENSOR_OPS_H
#define IMU_TENSOR_OPS_H

#include "worker/tensor/tensor.h"

enum { IMU_WRAP_X = 1, IMU_WRAP_Y = 2 }; /* left meets right; top meets bottom */

typedef struct imu_run {
    imu_backend *backend;
    imu_dtype compute; /* what products take in; starts as the backend's */
    unsigned wrap;     /* IMU_WRAP_...: edges at which convolutions see the opposite one */
    int status;        /* IMU_TENSOR_... */
    int (*cancelled)(void *user); /* may be NULL */
    void *user;
    struct imu_run_node *live; /* results not yet given back */
    /* Called with named inner results (for comparison with a reference); may be NULL. */
    void (*probe)(void *user, const char *stage, const imu_tensor *value);
    void *probe_user;
} imu_run;

/* Starts a run; zeroes what it does not set. */
void imu_run_begin(imu_run *run, imu_backend *backend, int (*cancelled)(void *), void *user);
/* Frees what is left. Returns the status. */
int imu_run_end(imu_run *run);
/* Asks `cancelled`; nonzero when the run is over. */
int imu_run_check(imu_run *run);
void imu_run_fail(imu_run *run, int status);
void imu_run_probe(imu_run *run, const char *stage, const imu_tensor *value);

imu_tensor *imu_op_new(imu_run *run, imu_dtype type, int ndim, const int64_t *dim);
/* Uploads host values. */
imu_tensor *imu_op_from(imu_run *run, int ndim, const int64_t *dim, const float *values);
void imu_drop(imu_run *run, imu_tensor *t); /* NULL is fine */

/* [N, C, H, W] host values to channels-last, and back into dst. */
imu_tensor *imu_op_from_nchw(imu_run *run, const int64_t *dim, const float *values);
void imu_op_to_nchw(imu_run *run, const imu_tensor *x, float *dst);

/* `out` is the type of the result. x in another type than the backend's products take is converted.
 */
imu_tensor *imu_op_linear(imu_run *run, imu_weight *w, int64_t width, const imu_tensor *x,
                          imu_dtype out);
/* y += linear(x) */
void imu_op_linear_add(imu_run *run, imu_weight *w, const imu_tensor *x, imu_tensor *y);
imu_tensor *imu_op_conv(imu_run *run, imu_weight *w, int64_t channels, int kernel,
                        const imu_tensor *x, const imu_conv_geometry *g, imu_dtype out);
/* y += conv(x) */
void imu_op_conv_add(imu_run *run, imu_weight *w, const imu_tensor *x, const imu_conv_geometry *g,
                     imu_tensor *y);
/* Norms give the type that products take. */
imu_tensor *imu_op_group_norm(imu_run *run, const imu_tensor *x, const imu_tensor *gamma,
                              const imu_tensor *beta, int groups, double eps, imu_activation act);
imu_tensor *imu_op_layer_norm(imu_run *run, const imu_tensor *x, const imu_tensor *gamma,
                              const imu_tensor *beta, double eps, imu_dtype out);
imu_tensor *imu_op_attention(imu_run *run, const imu_tensor *q, const imu_tensor *k,
                             const imu_tensor *v, int heads, bool causal,
                             const imu_tensor *key_bias);
imu_tensor *imu_op_activate(imu_run *run, const imu_tensor *x, imu_activation act);
imu_tensor *imu_op_geglu(imu_run *run, const imu_tensor *x);
void imu_op_add(imu_run *run, imu_tensor *y, const imu_tensor *x);
void imu_op_add_channels(imu_run *run, imu_tensor *y, const imu_tensor *c);
/* Each row of y times its value. */
void imu_op_scale_rows(imu_run *run, imu_tensor *y, const imu_tensor *rows);
/* Nearest neighbour, in the type that products take. */
imu_tensor *imu_op_upsample(imu_run *run, const imu_tensor *x, int64_t height, int64_t width);
void imu_op_leaky(imu_run *run, imu_tensor *y, const imu_tensor *slopes, float slope);
void imu_op_scale_channels(imu_run *run, imu_tensor *y, int64_t channels, double factor);
void imu_op_scale_low(imu_run *run, imu_tensor *y, double factor);
imu_tensor *imu_op_concat(imu_run *run, const imu_tensor *x1, const imu_tensor *x2);

#endif
