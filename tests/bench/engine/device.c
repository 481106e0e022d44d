#include "tests/bench/engine/device.h"

#include "worker/tensor/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

imu_backend *imu_bench_device(char **argv, const char *type)
{
    const char *device = getenv("BENCH_DEVICE");
    bool bf16 = !strcmp(type, "bf16");
    char why[200] = "it has no products in that type";
    imu_threads_settle(argv);
    imu_backend *b = device && !strcmp(device, "cuda") ? imu_backend_cuda(0, bf16, why, sizeof why)
                                                       : imu_backend_cpu(0, bf16);
    if (b && bf16 == (b->compute == IMU_BF16)) {
        printf("# %s\n", b->description);
        return b;
    }
    printf("# nothing is measured in %s: %s\n", type, why);
    if (b)
        b->close(b);
    return NULL;
}
