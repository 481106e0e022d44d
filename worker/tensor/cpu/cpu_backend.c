/* The CPU backend's front: opening, memory, and the table of kernels. */
#include "worker/tensor/cpu/cpu.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A sanitizer shall see who reads beside a tensor, though all of them lie in one block. */
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define OFF_LIMITS(data, bytes) ASAN_POISON_MEMORY_REGION(data, bytes)
#define IN_BOUNDS(data, bytes)  ASAN_UNPOISON_MEMORY_REGION(data, bytes)
#else
#define OFF_LIMITS(data, bytes) ((void)(data), (void)(bytes))
#define IN_BOUNDS(data, bytes)  ((void)(data), (void)(bytes))
#endif

bool imu_cpu_has_bf16(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw");
#else
    return false;
#endif
}

int imu_cpu_dnnl_error(imu_cpu *cpu, dnnl_status_t status, const char *what)
{
    snprintf(cpu->base.error, sizeof cpu->base.error, "oneDNN refused %s (status %d)", what,
             (int)status);
    return status == dnnl_out_of_memory ? IMU_TENSOR_NO_MEMORY : IMU_TENSOR_REFUSED;
}

static void *cpu_hold(imu_backend *b, size_t bytes)
{
    return imu_cpu_memory((imu_cpu *)b, bytes);
}

static void cpu_let_go(imu_backend *b, void *data, size_t bytes)
{
    (void)b;
    (void)bytes;
    free(data);
}

static void *take_block(void *user, size_t bytes)
{
    void *data = imu_cpu_memory(user, bytes);
    if (data)
        OFF_LIMITS(data, bytes);
    return data;
}

static void give_block(void *user, void *data, size_t bytes)
{
    (void)user;
    IN_BOUNDS(data, bytes);
    free(data);
}

static void *cpu_alloc(imu_backend *b, size_t bytes)
{
    void *data = imu_arena_alloc(&((imu_cpu *)b)->arena, bytes);
    if (data)
        IN_BOUNDS(data, bytes);
    return data;
}

static void cpu_release(imu_backend *b, void *data, size_t bytes)
{
    if (data)
        OFF_LIMITS(data, bytes);
    imu_arena_release(&((imu_cpu *)b)->arena, data);
}

static void cpu_trim(imu_backend *b)
{
    imu_arena_trim(&((imu_cpu *)b)->arena);
}

static int cpu_upload(imu_backend *b, imu_tensor *dst, const float *src)
{
    (void)b;
    size_t n = (size_t)imu_tensor_count(dst);
    if (dst->type == IMU_BF16)
        imu_f32_to_bf16(src, dst->data, n);
    else
        memcpy(dst->data, src, n * sizeof *src);
    return IMU_TENSOR_OK;
}

static int cpu_download(imu_backend *b, const imu_tensor *src, float *dst)
{
    (void)b;
    imu_to_f32(src->type, src->data, dst, (size_t)imu_tensor_count(src));
    return IMU_TENSOR_OK;
}

static void cpu_close(imu_backend *b)
{
    imu_cpu *cpu = (imu_cpu *)b;
    imu_arena_close(&cpu->arena);
    if (cpu->stream)
        dnnl_stream_destroy(cpu->stream);
    if (cpu->engine)
        dnnl_engine_destroy(cpu->engine);
    free(cpu);
}

static const imu_backend cpu_table = {
    .name = "cpu",
    .close = cpu_close,
    .enter = imu_cpu_enter,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .trim = cpu_trim,
    .hold = cpu_hold,
    .let_go = cpu_let_go,
    .upload = cpu_upload,
    .download = cpu_download,
    .weight_new = imu_cpu_weight_new,
    .weight_free = imu_cpu_weight_free,
    .weight_unload = imu_cpu_weight_unload,
    .weight_bytes = imu_cpu_weight_bytes,
    .linear = imu_cpu_linear,
    .conv2d = imu_cpu_conv2d,
    .group_norm = imu_cpu_group_norm,
    .layer_norm = imu_cpu_layer_norm,
    .attention = imu_cpu_attention,
    .activate = imu_cpu_activate,
    .geglu = imu_cpu_geglu,
    .add = imu_cpu_add,
    .add_channels = imu_cpu_add_channels,
    .upsample = imu_cpu_upsample,
    .scale_rows = imu_cpu_scale_rows,
    .wrap = imu_cpu_wrap,
    .leaky = imu_cpu_leaky,
    .scale_channels = imu_cpu_scale_channels,
    .scale_low = imu_cpu_scale_low,
    .concat = imu_cpu_concat,
    .cast = imu_cpu_cast,
    .to_channels_last = imu_cpu_to_channels_last,
    .to_channels_first = imu_cpu_to_channels_first,
};

imu_backend *imu_backend_cpu(int threads, bool bf16)
{
    imu_cpu *cpu = calloc(1, sizeof *cpu);
    if (!cpu)
        return NULL;
    cpu->base = cpu_table;
    cpu->base.budget = UINT64_MAX;
    imu_arena_open(&cpu->arena, &(imu_arena_source){take_block, give_block, cpu});
    cpu->threads = threads > 0 ? threads : omp_get_num_procs();
    cpu->base.compute = bf16 && imu_cpu_has_bf16() ? IMU_BF16 : IMU_F32;
    snprintf(cpu->base.description, sizeof cpu->base.description, "cpu, %d thread%s, %s",
             cpu->threads, cpu->threads == 1 ? "" : "s",
             cpu->base.compute == IMU_BF16 ? "bf16" : "f32");
    if (dnnl_engine_create(&cpu->engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&cpu->stream, cpu->engine, dnnl_stream_default_flags) != dnnl_success) {
        cpu_close(&cpu->base);
        return NULL;
    }
    return &cpu->base;
}
