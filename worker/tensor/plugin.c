/* Loads the CUDA backend: a program that computes on the processor needs none of NVIDIA's
 * libraries, which are larger than all the rest of it. */
#include "worker/tensor/tensor.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PLUGIN "invokemu-cuda.so"

typedef imu_backend *open_fn(int index, bool bf16, char *why, size_t size);

/* Nothing is loaded where the driver has made no device. */
static bool driver_present(void)
{
    return !access("/dev/nvidiactl", F_OK) || !access("/dev/dxg", F_OK);
}

/* The plugin's path: beside the program, where only who installed that can write. */
static bool plugin_path(char path[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (n <= 0)
        return false;
    path[n] = 0;
    char *end = strrchr(path, '/');
    if (!end || (size_t)(end + 1 - path) + sizeof PLUGIN > PATH_MAX)
        return false;
    memcpy(end + 1, PLUGIN, sizeof PLUGIN);
    return true;
}

imu_backend *imu_backend_cuda(int index, bool bf16, char *why, size_t size)
{
    char path[PATH_MAX];
    if (!driver_present() || !plugin_path(path)) {
        snprintf(why, size, "NVIDIA's driver has made no device");
        return NULL;
    }
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!plugin) {
        snprintf(why, size, "%s", dlerror());
        return NULL;
    }
    open_fn *open_backend;
    void *symbol = dlsym(plugin, "imu_cuda_open");
    memcpy(&open_backend, &symbol, sizeof symbol); /* ISO C has no cast from one to the other */
    imu_backend *b = symbol ? open_backend(index, bf16, why, size) : NULL;
    if (!symbol)
        snprintf(why, size, "%s is of another version", PLUGIN);
    if (!b)
        dlclose(plugin);
    return b;
}
