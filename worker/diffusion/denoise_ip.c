#include "worker/diffusion/denoise_ip.h"

#include "worker/diffusion/fault.h"

#include <stdlib.h>
#include <string.h>

static bool holds_one(const char *name, const char *const *parts, int count)
{
    for (int i = 0; i < count; i++)
        if (strstr(name, parts[i]))
            return true;
    return false;
}

/* The largest of 2 by 2 cells, so that no small place is lost; at an odd edge, of what is there. */
static float *halved(const float *mask, int64_t height, int64_t width)
{
    int64_t h = (height + 1) / 2, w = (width + 1) / 2;
    float *out = calloc((size_t)(h * w), sizeof *out);
    for (int64_t i = 0; out && i < height * width; i++) {
        float *at = &out[i / width / 2 * w + i % width / 2];
        *at = mask[i] > *at ? mask[i] : *at;
    }
    return out;
}

static imu_engine_status prepare_masks(const imu_unet *u, const float *mask, int64_t height,
                                       int64_t width, imu_ip_run *run, imu_fault *fault)
{
    size_t area = (size_t)(height * width);
    if (!mask)
        return IMU_ENGINE_OK;
    run->mask[0] = malloc(area * sizeof *mask);
    if (!run->mask[0])
        return imu_fail_memory(fault);
    memcpy(run->mask[0], mask, area * sizeof *mask);
    for (int i = 1; i < u->levels; i++) {
        run->mask[i] = halved(run->mask[i - 1], height, width);
        if (!run->mask[i])
            return imu_fail_memory(fault);
        height = (height + 1) / 2;
        width = (width + 1) / 2;
    }
    return IMU_ENGINE_OK;
}

static imu_engine_status prepare_one(const imu_unet *u, const imu_ip_use *use, imu_ip_run *run,
                                     imu_fault *fault)
{
    const imu_array *t = use->tokens;
    if (!imu_ip_fits(use->adapter, u))
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "An IP adapter was made for another kind of model.");
    if (!t || t->ndim != 3 || t->dim[0] != 2 || t->dim[2] != imu_ip_width(use->adapter))
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "An IP adapter has no pictures.");
    size_t each = (size_t)(t->dim[1] * t->dim[2]);
    run->where = calloc((size_t)u->crossing_count, 1);
    run->averse = calloc(2 * each, sizeof *run->averse);
    if (!run->where || !run->averse)
        return imu_fail_memory(fault);
    memcpy(run->averse, t->data + each, each * sizeof *run->averse);
    for (int i = 0; i < u->crossing_count; i++) {
        const char *name = u->crossing[i].name;
        if (!use->block_count || holds_one(name, use->blocks, use->block_count))
            run->where[i] =
                holds_one(name, use->averse, use->averse_count) ? IMU_IP_AVERSE : IMU_IP_ON;
    }
    return IMU_ENGINE_OK;
}

imu_engine_status imu_ip_runs_prepare(const imu_unet *u, const imu_ip_use *uses, int count,
                                      int64_t height, int64_t width, imu_ip_run **runs,
                                      imu_fault *fault)
{
    *runs = calloc((size_t)count + 1, sizeof **runs);
    imu_engine_status s = *runs ? IMU_ENGINE_OK : imu_fail_memory(fault);
    for (int i = 0; i < count && !s; i++) {
        s = prepare_one(u, &uses[i], &(*runs)[i], fault);
        if (!s)
            s = prepare_masks(u, uses[i].mask, height, width, &(*runs)[i], fault);
    }
    return s;
}

void imu_ip_runs_free(imu_ip_run *runs, int count)
{
    for (int i = 0; runs && i < count; i++) {
        free(runs[i].where);
        free(runs[i].averse);
        for (int k = 0; k < IMU_UNET_MAX_LEVELS; k++)
            free(runs[i].mask[k]);
    }
    free(runs);
}

void imu_ip_run_call(const imu_ip_use *use, const imu_ip_run *run, int first, double weight,
                     imu_ip_call *call)
{
    size_t skipped = (size_t)first * (size_t)(use->tokens->dim[1] * use->tokens->dim[2]);
    *call = (imu_ip_call){.ip = use->adapter,
                          .tokens = use->tokens->dim[1],
                          .values = use->tokens->data + skipped,
                          .averse = run->averse + skipped,
                          .weight = weight,
                          .where = run->where,
                          .mask = run->mask[0] ? run->mask : NULL};
}
