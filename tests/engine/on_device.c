/* What check-engine computes on: the processor or, with CHECK_DEVICE=cuda, a GPU. */
#include "tests/engine/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const bool check_networks_only = false;

imu_backend *check_backend(void)
{
    const char *device = getenv("CHECK_DEVICE");
    char why[200] = "CHECK_DEVICE is cpu or cuda";
    bool bf16 = check_in_bf16();
    imu_backend *b = NULL;
    if (!device || !strcmp(device, "cpu"))
        return imu_backend_cpu(1, bf16); /* tiny networks: threads would only wait */
    if (!strcmp(device, "cuda"))
        b = imu_backend_cuda(0, bf16, why, sizeof why);
    if (!b)
        fprintf(stderr, "%s\n", why);
    return b;
}
