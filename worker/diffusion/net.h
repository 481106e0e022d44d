/* One network of a model: its file, its layers' weights, and the memory they take. Layers are built
 * by name and expected shape; a missing tensor or another shape is a fault of the model. */
#ifndef IMU_DIFFUSION_NET_H
#define IMU_DIFFUSION_NET_H

#include "worker/diffusion/lora.h"
#include "worker/diffusion/model_files.h"
#include "worker/diffusion/names.h"
#include "worker/diffusion/safetensors.h"
#include "worker/tensor/ops.h"

#include <jansson.h>

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

/* Where a network's configuration and tensors are. */
typedef struct imu_net_place {
    const char *folder; /* of diffusers: config.json, and the first of the usual weights files */
    /* Or, with folder NULL, a part of a checkpoint of one file, which must outlive the network. */
    const imu_safetensors *file;
    imu_naming naming;
    const json_t *config; /* in the form of config.json */
} imu_net_place;

/* The configuration; a new reference. */
imu_engine_status imu_net_config(const imu_net_place *place, json_t **out, imu_fault *fault);
imu_engine_status imu_net_open(imu_backend *backend, const imu_net_place *place, imu_net **out,
                               imu_fault *fault);
void imu_net_close(imu_net *net);
/* Lays these LoRAs, and no others, on the network; holds them. Layers that they change are read
 * again when next used. */
imu_engine_status imu_net_set_loras(imu_net *net, imu_lora_part part, const imu_lora_use *uses,
                                    size_t count, imu_fault *fault);
/* Asks the system to read the file into its cache. */
void imu_net_read_ahead(const imu_net *net);

/* Size of the layers in memory now; norms are always there. */
uint64_t imu_net_bytes(const imu_net *net);
imu_backend *imu_net_backend(const imu_net *net);
bool imu_net_has(const imu_net *net, const char *name);
/* Fails when the file holds tensors below `place` (as the file names things, "middle_block.") that
 * no layer built so far reads: IMU_ENGINE_BAD_MODEL, with the name of one of them. */
imu_engine_status imu_net_all_read(const imu_net *net, const char *place, imu_fault *fault);

/* The old names of LoRAs' layers are found by the shape of the UNet. */
void imu_net_set_naming(imu_net *net, const imu_naming *naming);

/* prefix.weight [out, in] (or [out, in, 1, 1]) and prefix.bias [out]. */
imu_engine_status imu_net_linear(imu_net *net, const char *prefix, int64_t in, int64_t out,
                                 imu_bias bias, imu_linear *layer, imu_fault *fault);
imu_engine_status imu_net_conv(imu_net *net, const char *prefix, int64_t in, int64_t out,
                               int kernel, imu_conv *layer, imu_fault *fault);
/* The same without a bias. */
imu_engine_status imu_net_plain_conv(imu_net *net, const char *prefix, int64_t in, int64_t out,
                                     int kernel, imu_conv *layer, imu_fault *fault);
imu_engine_status imu_net_norm(imu_net *net, const char *prefix, int64_t width, imu_norm *layer,
                               imu_fault *fault);
/* prefix.weight [width], in memory as it is. */
imu_engine_status imu_net_vector(imu_net *net, const char *prefix, int64_t width, imu_tensor **out,
                                 imu_fault *fault);
/* Row `row` of the matrix `name`, which must be [rows, width]. */
imu_engine_status imu_net_row(imu_net *net, const char *name, int64_t row, int64_t width,
                              float *dst, imu_fault *fault);

/* All values of the tensor `name`, which must have this shape. */
imu_engine_status imu_net_values(imu_net *net, const char *name, int ndim, const int64_t *dim,
                                 float *dst, imu_fault *fault);

/* Adds the values of all layers to *all, and of those that are in memory to *there. */
void imu_net_count_loaded(const imu_net *net, uint64_t *there, uint64_t *all);

/* Turns the status of a finished run into the caller's. */
imu_engine_status imu_net_status(imu_net *net, int run_status, imu_fault *fault);

/* IMU_WRAP_... */
static inline unsigned imu_wrap_of(bool x, bool y)
{
    return (x ? IMU_WRAP_X : 0) | (y ? IMU_WRAP_Y : 0);
}

/* Layers in a run. */
imu_tensor *imu_linear_run(imu_run *run, const imu_linear *l, const imu_tensor *x, imu_dtype out);
/* Convolution that keeps the size (odd kernel, stride 1). */
imu_tensor *imu_conv_run(imu_run *run, const imu_conv *c, const imu_tensor *x, imu_dtype out);

#endif
