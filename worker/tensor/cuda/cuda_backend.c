/* The CUDA backend's front: opening, memory, and the table of kernels. */
#include "worker/tensor/cuda/cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_RESERVE ((uint64_t)256 << 20)

int imu_cuda_failed(imu_cuda *c, const char *what)
{
    snprintf(c->base.error, sizeof c->base.error, "the GPU refused %s: %s", what,
             imu_device_error(c->device));
    c->base.lost = imu_device_lost(c->device);
    return IMU_TENSOR_REFUSED;
}

int imu_cuda_refused(imu_cuda *c, const char *why)
{
    snprintf(c->base.error, sizeof c->base.error, "%s", why);
    return IMU_TENSOR_REFUSED;
}

float *imu_cuda_host(imu_cuda *c, size_t count)
{
    if (c->host_count >= count)
        return c->host;
    free(c->host);
    c->host = malloc(count * sizeof *c->host);
    c->host_count = c->host ? count : 0;
    return c->host;
}

void imu_cuda_free(imu_cuda *c, void *data, size_t bytes)
{
    if (!data)
        return;
    imu_device_free(c->device, data);
    c->held -= bytes;
}

/* Gives back unused work memory or, without any, the next weight that was used before turn
 * `until`. False when there is neither. */
static bool give_back(imu_cuda *c, uint64_t until)
{
    if (imu_arena_trim(&c->arena))
        return true;
    imu_resident *leaving = imu_residency_leaving(&c->base.residency, c->busy, until);
    if (!leaving)
        return false;
    if (leaving->turn == c->base.residency.turn)
        c->full = leaving->turn; /* it would only come back */
    imu_cuda_weight_unload(&c->base, (imu_weight *)leaving);
    return true;
}

/* A block of the device's memory. NULL without, or when the device is lost. */
static void *ask_device(imu_cuda *c, size_t bytes)
{
    void *data = c->base.lost ? NULL : imu_device_alloc(c->device, bytes);
    if (!data && !c->base.lost && imu_device_lost(c->device))
        imu_cuda_failed(c, "memory");
    return data;
}

void *imu_cuda_memory(imu_cuda *c, size_t bytes)
{
    void *data;
    do {
        data = c->held + bytes > c->base.budget ? NULL : ask_device(c, bytes);
    } while (!data && !c->base.lost && give_back(c, UINT64_MAX));
    if (data)
        c->held += bytes;
    return data;
}

bool imu_cuda_has_room(imu_cuda *c, uint64_t bytes)
{
    uint64_t now = c->base.residency.turn;
    while (c->full != now && c->held + bytes > c->base.budget)
        if (!give_back(c, now))
            c->full = now;
    return c->full != now;
}

static void *cuda_hold(imu_backend *b, size_t bytes)
{
    return imu_cuda_memory((imu_cuda *)b, bytes);
}

static void cuda_let_go(imu_backend *b, void *data, size_t bytes)
{
    imu_cuda_free((imu_cuda *)b, data, bytes);
}

static void *take_block(void *user, size_t bytes)
{
    return imu_cuda_memory(user, bytes);
}

static void give_block(void *user, void *data, size_t bytes)
{
    imu_cuda_free(user, data, bytes);
}

/* Work is done in the order it was started in, so a place may be given to the next tensor while
 * kernels of the last one are still under way. */
static void *cuda_alloc(imu_backend *b, size_t bytes)
{
    return imu_arena_alloc(&((imu_cuda *)b)->arena, bytes);
}

static void cuda_release(imu_backend *b, void *data, size_t bytes)
{
    (void)bytes;
    imu_arena_release(&((imu_cuda *)b)->arena, data);
}

static void cuda_trim(imu_backend *b)
{
    imu_cuda *c = (imu_cuda *)b;
    imu_arena_trim(&c->arena);
    free(c->host);
    c->host = NULL;
    c->host_count = 0;
}

static int cuda_upload(imu_backend *b, imu_tensor *dst, const float *src)
{
    imu_cuda *c = (imu_cuda *)b;
    size_t count = (size_t)imu_tensor_count(dst);
    const void *bytes = src;
    if (dst->type == IMU_BF16) {
        float *host = imu_cuda_host(c, (count + 1) / 2);
        if (!host)
            return IMU_TENSOR_NO_MEMORY;
        imu_f32_to_bf16(src, (uint16_t *)(void *)host, count);
        bytes = host;
    }
    return imu_device_upload(c->device, dst->data, bytes, dst->bytes)
               ? imu_cuda_failed(c, "an upload")
               : IMU_TENSOR_OK;
}

static int cuda_download(imu_backend *b, const imu_tensor *src, float *dst)
{
    imu_cuda *c = (imu_cuda *)b;
    size_t count = (size_t)imu_tensor_count(src);
    float *host = src->type == IMU_F32 ? dst : imu_cuda_host(c, (count + 1) / 2);
    if (!host)
        return IMU_TENSOR_NO_MEMORY;
    if (imu_device_download(c->device, host, src->data, src->bytes))
        return imu_cuda_failed(c, "a download");
    if (host != dst)
        imu_to_f32(src->type, host, dst, count);
    return IMU_TENSOR_OK;
}

static int cuda_enter(imu_backend *b)
{
    imu_cuda *c = (imu_cuda *)b;
    return imu_device_enter(c->device) ? imu_cuda_failed(c, "to be used") : IMU_TENSOR_OK;
}

static void cuda_close(imu_backend *b)
{
    imu_cuda *c = (imu_cuda *)b;
    cuda_trim(b);
    imu_arena_close(&c->arena);
    imu_device_close(c->device);
    free(c);
}

static const imu_backend cuda_table = {
    .name = "cuda",
    .close = cuda_close,
    .enter = cuda_enter,
    .alloc = cuda_alloc,
    .release = cuda_release,
    .trim = cuda_trim,
    .hold = cuda_hold,
    .let_go = cuda_let_go,
    .upload = cuda_upload,
    .download = cuda_download,
    .weight_new = imu_cuda_weight_new,
    .weight_free = imu_cuda_weight_free,
    .weight_unload = imu_cuda_weight_unload,
    .weight_bytes = imu_cuda_weight_bytes,
    .linear = imu_cuda_linear,
    .conv2d = imu_cuda_conv2d,
    .group_norm = imu_cuda_group_norm,
    .layer_norm = imu_cuda_layer_norm,
    .attention = imu_cuda_attention,
    .activate = imu_cuda_activate,
    .geglu = imu_cuda_geglu,
    .add = imu_cuda_add,
    .add_channels = imu_cuda_add_channels,
    .upsample = imu_cuda_upsample,
    .scale_rows = imu_cuda_scale_rows,
    .wrap = imu_cuda_wrap,
    .leaky = imu_cuda_leaky,
    .scale_channels = imu_cuda_scale_channels,
    .scale_low = imu_cuda_scale_low,
    .concat = imu_cuda_concat,
    .cast = imu_cuda_cast,
    .to_channels_last = imu_cuda_to_channels_last,
    .to_channels_first = imu_cuda_to_channels_first,
};

/* Of what is free, a sixteenth is left to others and to what the driver needs later, and not less
 * than it needs at the least. */
static uint64_t default_budget(uint64_t left)
{
    uint64_t reserve = left / 16 < LEAST_RESERVE ? LEAST_RESERVE : left / 16;
    return left / 2 > reserve ? left - reserve : left / 2;
}

imu_backend *imu_cuda_open(int index, bool bf16, char *why, size_t size)
{
    imu_cuda *c = calloc(1, sizeof *c);
    if (!c) {
        snprintf(why, size, "no memory");
        return NULL;
    }
    c->base = cuda_table;
    c->scratch = IMU_CUDA_SCRATCH;
    imu_arena_open(&c->arena, &(imu_arena_source){take_block, give_block, c});
    c->device = imu_device_open(index, why, size);
    if (!c->device) {
        free(c);
        return NULL;
    }
    c->base.budget = default_budget(imu_device_memory(c->device));
    c->base.residency.turn = 1; /* so that none is full yet */
    c->stream = imu_device_stream(c->device);
    c->base.compute = bf16 && imu_device_has_bf16(c->device) ? IMU_BF16 : IMU_F32;
    snprintf(c->base.description, sizeof c->base.description, "cuda, %.60s, %s",
             imu_device_name(c->device), c->base.compute == IMU_BF16 ? "bf16" : "f32");
    return &c->base;
}
