/* check-engine on the CUDA backend without a GPU: its own code and kernels, on a device that is the
 * processor. */
#include "tests/engine/check.h"

#include "worker/tensor/cuda/cuda.h"

#include <stdio.h>

enum {
    SCRATCH = 100 * 1000
}; /* so little that pictures and attentions are computed in several parts */

const bool check_networks_only = true;

imu_backend *check_backend(void)
{
    char why[200];
    imu_backend *b = imu_cuda_open(0, check_in_bf16(), why, sizeof why);
    if (b)
        ((imu_cuda *)b)->scratch = SCRATCH;
    else
        fprintf(stderr, "%s\n", why);
    return b;
}
