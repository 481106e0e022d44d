/* One network of a model: its file, its layers' weights, and the memory they take. Layers are built
 * by name and expected shape; a missing tensor or another shape is a fault of the model. */
#ifndef IMU_DIFFUSION_NET_H
#define IMU_DIFFUSION_NET_H

#include "worker/diffusion/model_files.h"
#include "worker/diffusion/safetensors.h"
#include "worker/tensor/ops.h"

typedef struct imu_net imu_net;

typedef struct imu_linear {
    imu_weight *w;
    int64_t in, out;
} imu_linear;

typedef struct imu_conv {
    imu_weight *w;
    int64_t in, out;
    int kernel;
} imu_conv;

typedef struct imu_norm {
    imu_tensor *gamma, *beta;
} imu_norm;

typedef enum imu_bias { IMU_BIAS_NONE, IMU_BIAS_REQUIRED, IMU_BIAS_OPTIONAL } imu_bias;

/* Opens the first of the usual file names in `folder` (*.safetensors, *.fp16.safetensors). */
imu_engine_status imu_net_open(imu_backend *backend, const char *folder, imu_net **out,
                               imu_fault *fault);
void imu_net_close(imu_net *net);
/* Asks the system to read the file into its cache. */
void imu_net_read_ahead(const imu_net *net);

/* Size of the weights in memory now. */
uint64_t imu_net_bytes(const imu_net *net);
imu_backend *imu_net_backend(const imu_net *net);
const imu_st_entry *imu_net_find(const imu_net *net, const char *name);

/* prefix.weight [out, in] (or [out, in, 1, 1]) and prefix.bias [out]. */
imu_engine_status imu_net_linear(imu_net *net, const char *prefix, int64_t in, int64_t out,
                                 imu_bias bias, imu_linear *layer, imu_fault *fault);
imu_engine_status imu_net_conv(imu_net *net, const char *prefix, int64_t in, int64_t out,
                               int kernel, imu_conv *layer, imu_fault *fault);
imu_engine_status imu_net_norm(imu_net *net, const char *prefix, int64_t width, imu_norm *layer,
                               imu_fault *fault);
/* Row `row` of the matrix `name`, which must be [rows, width]. */
imu_engine_status imu_net_row(imu_net *net, const char *name, int64_t row, int64_t width,
                              float *dst, imu_fault *fault);

/* Turns the status of a finished run into the caller's. */
imu_engine_status imu_net_status(imu_net *net, int run_status, imu_fault *fault);

/* Layers in a run. */
imu_tensor *imu_linear_run(imu_run *run, const imu_linear *l, const imu_tensor *x, imu_dtype out);
/* Convolution that keeps the size (odd kernel, stride 1). */
imu_tensor *imu_conv_run(imu_run *run, const imu_conv *c, const imu_tensor *x, imu_dtype out);

#endif
