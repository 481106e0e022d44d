/* Fault texts. */
#include "worker/diffusion/fault.h"

#include <stdarg.h>
#include <stdio.h>

#undef imu_fail
#undef imu_fail_memory

imu_engine_status imu_fail(imu_fault *fault, imu_engine_status status, const char *format, ...)
{
    if (!fault)
        return status;
    fault->status = status;
    va_list ap;
    va_start(ap, format);
    vsnprintf(fault->text, sizeof fault->text, format, ap);
    va_end(ap);
    return status;
}

imu_engine_status imu_fail_memory(imu_fault *fault)
{
    return imu_fail(fault, IMU_ENGINE_NO_MEMORY,
                    "Not enough memory for this model and picture size. Try a smaller picture, "
                    "tiles where the node has them, or fewer ControlNets and adapters at once.");
}
