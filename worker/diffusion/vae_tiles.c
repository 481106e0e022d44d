#include "worker/diffusion/vae_tiles.h"

#include <stdlib.h>
#include <string.h>

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static imu_array *cut_out(const imu_array *from, int64_t y, int64_t x, int64_t edge)
{
    int64_t h = smaller(edge, from->dim[2] - y), w = smaller(edge, from->dim[3] - x);
    imu_array *piece = imu_array_new(4, (int64_t[]){1, from->dim[1], h, w});
    for (int64_t c = 0; piece && c < from->dim[1]; c++)
        for (int64_t i = 0; i < h; i++)
            memcpy(piece->data + (c * h + i) * w,
                   from->data + (c * from->dim[2] + y + i) * from->dim[3] + x,
                   (size_t)w * sizeof *piece->data);
    return piece;
}

/* The first rows of b from the last ones of a, which lies above. */
static void blend_down(const imu_array *a, imu_array *b, int64_t extent)
{
    int64_t ha = a->dim[2], h = b->dim[2], w = b->dim[3];
    extent = smaller(extent, smaller(ha, h));
    for (int64_t c = 0; c < b->dim[1]; c++)
        for (int64_t y = 0; y < extent; y++)
            for (int64_t x = 0; x < w; x++) {
                float share = (float)y / (float)extent;
                float *to = b->data + (c * h + y) * w + x;
                *to = a->data[(c * ha + ha - extent + y) * w + x] * (1 - share) + *to * share;
            }
}

/* The first columns of b from the last ones of a, which lies to the left. */
static void blend_right(const imu_array *a, imu_array *b, int64_t extent)
{
    int64_t wa = a->dim[3], w = b->dim[3], rows = b->dim[1] * b->dim[2];
    extent = smaller(extent, smaller(wa, w));
    for (int64_t r = 0; r < rows; r++)
        for (int64_t x = 0; x < extent; x++) {
            float share = (float)x / (float)extent;
            float *to = b->data + r * w + x;
            *to = a->data[r * wa + wa - extent + x] * (1 - share) + *to * share;
        }
}

void imu_lay_tile(imu_array *to, const imu_array *tile, int64_t y, int64_t x, int64_t h, int64_t w)
{
    for (int64_t c = 0; c < to->dim[1]; c++)
        for (int64_t i = 0; i < h; i++)
            memcpy(to->data + (c * to->dim[2] + y + i) * to->dim[3] + x,
                   tile->data + (c * tile->dim[2] + i) * tile->dim[3],
                   (size_t)w * sizeof *to->data);
}

static imu_engine_status run_tile(const imu_tiling *t, const imu_array *from, int64_t y, int64_t x,
                                  imu_array **tile, imu_fault *fault)
{
    imu_array *piece = cut_out(from, y, x, t->in);
    imu_engine_status s = piece ? t->run(t->user, piece, tile, fault) : imu_fail_memory(fault);
    imu_array_free(piece);
    return s;
}

/* What the next tile blends over is left to that; beyond the last tile's part there is nothing. */
static void put_tile(const imu_tiling *t, const imu_array *tile, int64_t y, int64_t x)
{
    int64_t kept = t->out - t->out_overlap;
    t->put(t->user, tile, y, x, smaller(kept, tile->dim[2]), smaller(kept, tile->dim[3]));
}

imu_engine_status imu_run_tiles(const imu_tiling *t, const imu_array *from, imu_fault *fault)
{
    int64_t step = t->in - t->in_overlap, kept = t->out - t->out_overlap;
    bool whole = from->dim[2] <= t->in && from->dim[3] <= t->in;
    size_t across = whole ? 1 : (size_t)((from->dim[3] + step - 1) / step);
    imu_engine_status s = IMU_ENGINE_OK;
    /* The row of tiles above, each replaced as the row below comes along. */
    imu_array **above = calloc(across, sizeof(imu_array *));
    if (!above)
        return imu_fail_memory(fault);
    for (int64_t y = 0; y < from->dim[2] && !s; y += whole ? t->in : step)
        for (size_t k = 0; k < across && !s; k++) {
            imu_array *tile;
            s = run_tile(t, from, y, (int64_t)k * step, &tile, fault);
            if (s)
                break;
            if (above[k])
                blend_down(above[k], tile, t->out_overlap);
            if (k)
                blend_right(above[k - 1], tile, t->out_overlap);
            if (whole)
                t->put(t->user, tile, 0, 0, tile->dim[2], tile->dim[3]);
            else
                put_tile(t, tile, y / step * kept, (int64_t)k * kept);
            imu_array_free(above[k]);
            above[k] = tile;
        }
    for (size_t k = 0; k < across; k++)
        imu_array_free(above[k]);
    free(above);
    return s;
}
