#include "worker/tensor/threads.h"

#include <stdlib.h>
#include <unistd.h>

/* A few microseconds: about the gap between two kernels, far shorter than a time slice. */
#define SPIN_COUNT "200"

void imu_threads_settle(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY"))
        return;
    if (setenv("GOMP_SPINCOUNT", SPIN_COUNT, 1))
        return;
    execv("/proc/self/exe", argv); /* on failure it goes on as it is, only slower */
}
