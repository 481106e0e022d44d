/* Memory of the CPU backend.
 *
 * oneDNN and OpenMP take some by themselves, for code that they generate, packed operands and
 * threads, and end the process where they get none. So some is always left to them: it is asked for
 * and given back before each of their turns, and what the backend takes never comes out of it. */
#include "worker/tensor/cpu/cpu.h"

#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Left to the libraries, in all and for each thread. */
#define RESERVE            ((size_t)64 << 20)
#define RESERVE_FOR_THREAD ((size_t)4 << 20)
/* Blocks below this come out of what the C library holds already, or nearly. */
#define SMALL ((size_t)64 << 10)

static size_t reserve(const imu_cpu *cpu)
{
    return RESERVE + (size_t)cpu->threads * RESERVE_FOR_THREAD;
}

/* Whether the system would give that much. Nothing of it is touched: it costs two calls. */
static bool obtainable(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED && !munmap(p, bytes);
}

/* Gives back unused work memory or, without any, the next weight of an earlier turn. False when
 * there is neither. */
static bool give_back(imu_cpu *cpu)
{
    imu_residency *r = &cpu->base.residency;
    if (imu_arena_trim(&cpu->arena))
        return true;
    imu_resident *leaving = imu_residency_leaving(r, NULL, r->turn);
    if (leaving)
        imu_cpu_weight_unload(&cpu->base, (imu_weight *)leaving);
    return leaving != NULL;
}

static int no_memory(imu_cpu *cpu)
{
    snprintf(cpu->base.error, sizeof cpu->base.error, "no memory");
    return IMU_TENSOR_NO_MEMORY;
}

int imu_cpu_leave_reserve(imu_cpu *cpu)
{
    while (!obtainable(reserve(cpu)))
        if (!give_back(cpu))
            return no_memory(cpu);
    return IMU_TENSOR_OK;
}

void *imu_cpu_memory(imu_cpu *cpu, size_t bytes)
{
    void *data = NULL;
    do {
        if ((bytes < SMALL || obtainable(bytes + reserve(cpu))) &&
            !posix_memalign(&data, IMU_ARENA_ALIGN, bytes ? bytes : 1))
            return data;
    } while (give_back(cpu));
    return NULL;
}

/* OpenMP keeps a team of threads for each thread that asks. */
int imu_cpu_enter(imu_backend *b)
{
    static _Thread_local int team = 1;
    imu_cpu *cpu = (imu_cpu *)b;
    size_t stack = 0;
    pthread_attr_t attr;
    omp_set_num_threads(cpu->threads);
    if (team >= cpu->threads)
        return IMU_TENSOR_OK;
    if (!pthread_getattr_default_np(&attr)) {
        pthread_attr_getstacksize(&attr, &stack);
        pthread_attr_destroy(&attr);
    }
    if (!obtainable((size_t)cpu->threads * stack + reserve(cpu)))
        return no_memory(cpu);
    int made = 1;
#pragma omp parallel num_threads(cpu->threads) reduction(max : made)
    made = omp_get_num_threads();
    team = made;
    return IMU_TENSOR_OK;
}
