#include "worker/diffusion/tiles.h"

imu_tile_axis imu_tile_axis_make(int64_t size, int64_t tile, int64_t overlap)
{
    if (size <= tile)
        return (imu_tile_axis){size, size, 1};
    int64_t fresh = tile - overlap; /* cells that each tile adds to those before it */
    return (imu_tile_axis){size, tile, (size - overlap + fresh - 1) / fresh};
}

int64_t imu_tile_start(const imu_tile_axis *a, int64_t i)
{
    return a->count > 1 ? i * (a->size - a->tile) / (a->count - 1) : 0;
}

/* What tiles i and i + 1 share. */
static int64_t shared(const imu_tile_axis *a, int64_t i)
{
    int64_t n = imu_tile_start(a, i) + a->tile - imu_tile_start(a, i + 1);
    return n > 0 ? n : 0;
}

void imu_tile_weights(const imu_tile_axis *a, int64_t i, float *weights)
{
    int64_t before = i > 0 ? shared(a, i - 1) : 0, behind = i + 1 < a->count ? shared(a, i) : 0;
    for (int64_t k = 0; k < a->tile; k++)
        weights[k] = 1;
    /* A line through one cell alone is its beginning: what a tile shares of one cell belongs to the
     * tile before. */
    for (int64_t k = 0; k < before; k++)
        weights[k] *= before > 1 ? (float)((double)k / (double)(before - 1)) : 0;
    for (int64_t k = 0; k < behind; k++)
        weights[a->tile - behind + k] *=
            behind > 1 ? (float)(1 - (double)k / (double)(behind - 1)) : 1;
}
