/* A worker whose GPU is the processor: the CUDA backend on the emulated device, which is lost at
 * SIGUSR1. */
#include "tests/engine/device_host.h"
#include "worker/tensor/cuda/cuda.h"

static void lose_device(int number)
{
    (void)number;
    imu_host_loss.lost = 1;
}

/* Instead of the one that loads the plugin. */
imu_backend *imu_backend_cuda(int index, bool bf16, char *why, size_t size)
{
    signal(SIGUSR1, lose_device);
    return imu_cuda_open(index, bf16, why, size);
}
