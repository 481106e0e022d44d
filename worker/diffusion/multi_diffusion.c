/* Multi-diffusion (Bar-Tal et al., 2023): a large picture denoised in tiles that are put together
 * after each model call, so that each next call sees what its neighbours made. */
#include "worker/diffusion/denoise.h"
#include "worker/diffusion/tiles.h"

#include <stdlib.h>
#include <string.h>

/* Each tile has a sampler with vectors of its size and tables. */
enum { MAX_TILES = 1024, COLOURS = 3, CELL = 8 };

typedef struct multi_run {
    const imu_denoise_args *args; /* of the whole */
    imu_denoise_args tile_args;   /* of one tile: what `run` sees */
    imu_denoising run;            /* of one tile, which takes turns */
    imu_tile_axis rows, columns;
    imu_scheduler **schedulers; /* one for each tile: it remembers what came before */
    int64_t tiles;
    imu_array *whole, *guess; /* the latents now, and the guess at the end result */
    imu_array *sum, *guess_sum;
    float *share;              /* [h][w] summed weights of the tiles at a cell */
    float *row, *column;       /* weights of one tile */
    imu_array *start;          /* gives `run` its shape */
    imu_control_use *controls; /* with pictures of one tile */
    float *pictures;           /* theirs, one behind the other */
} multi_run;

static imu_engine_status check_tiles(const imu_denoise_args *a, const imu_tile_args *t,
                                     imu_fault *fault)
{
    if (a->mask || a->masked_latents || a->seamless_x || a->seamless_y || a->t2i_count ||
        a->ip_count)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "Denoising in tiles knows neither masks nor edges that meet, and no "
                        "adapters.");
    if (t->height < 1 || t->width < 1)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "A tile must be a cell or larger.");
    if (t->overlap < 1 || t->overlap >= t->height || t->overlap >= t->width)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "The overlap of tiles must be more than nothing and less than a tile.");
    return IMU_ENGINE_OK;
}

static imu_engine_status lay_out(multi_run *m, const imu_tile_args *t, imu_fault *fault)
{
    const imu_array *shape = m->args->latents ? m->args->latents : m->args->noise;
    m->rows = imu_tile_axis_make(shape->dim[2], t->height, t->overlap);
    m->columns = imu_tile_axis_make(shape->dim[3], t->width, t->overlap);
    if (m->rows.count > MAX_TILES / m->columns.count)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "That makes more than %d tiles. Make them larger, or let them overlap "
                        "less.",
                        MAX_TILES);
    m->tiles = m->rows.count * m->columns.count;
    m->whole = imu_array_clone(shape);
    m->guess = imu_array_clone(shape);
    m->sum = imu_array_new(4, shape->dim);
    m->guess_sum = imu_array_new(4, shape->dim);
    m->start = imu_array_new(4, (int64_t[]){1, shape->dim[1], m->rows.tile, m->columns.tile});
    m->share = malloc((size_t)(m->rows.size * m->columns.size) * sizeof *m->share);
    m->row = malloc((size_t)m->rows.tile * sizeof *m->row);
    m->column = malloc((size_t)m->columns.tile * sizeof *m->column);
    m->schedulers = calloc((size_t)m->tiles, sizeof(imu_scheduler *));
    return m->whole && m->guess && m->sum && m->guess_sum && m->start && m->share && m->row &&
                   m->column && m->schedulers
               ? IMU_ENGINE_OK
               : imu_fail_memory(fault);
}

/* Pixels of a picture of one tile. */
static size_t picture_values(const multi_run *m)
{
    return (size_t)(COLOURS * m->rows.tile * CELL * m->columns.tile * CELL);
}

static imu_engine_status take_controls(multi_run *m, imu_fault *fault)
{
    size_t count = (size_t)m->args->control_count, each = picture_values(m);
    if (!count)
        return IMU_ENGINE_OK;
    m->controls = malloc(count * sizeof *m->controls);
    m->pictures = calloc(count, each * sizeof *m->pictures);
    if (!m->controls || !m->pictures)
        return imu_fail_memory(fault);
    memcpy(m->controls, m->args->controls, count * sizeof *m->controls);
    for (size_t i = 0; i < count; i++)
        m->controls[i].picture = m->pictures + i * each;
    return IMU_ENGINE_OK;
}

static imu_engine_status prepare(multi_run *m, const imu_tile_args *t, imu_fault *fault)
{
    imu_engine_status s = lay_out(m, t, fault);
    if (!s)
        s = take_controls(m, fault);
    if (s)
        return s;
    m->tile_args = *m->args;
    m->tile_args.noise = NULL;
    m->tile_args.latents = m->start;
    m->tile_args.controls = m->controls;
    m->tile_args.progress = NULL; /* a tile by itself is nobody's picture */
    m->run.args = &m->tile_args;
    s = imu_denoising_prepare(&m->run, fault);
    m->schedulers[0] = m->run.scheduler;
    for (int64_t i = 1; i < m->tiles && !s; i++)
        s = imu_denoising_open_scheduler(&m->run, &m->schedulers[i], fault);
    return s;
}

/* A window of [planes][rows][columns] out of a larger array, each line of it side by side. */
static void cut(float *to, const float *from, int64_t planes, const int64_t size[2],
                const int64_t window[2], const int64_t at[2])
{
    for (int64_t p = 0; p < planes; p++)
        for (int64_t y = 0; y < window[0]; y++) {
            memcpy(to, from + (p * size[0] + at[0] + y) * size[1] + at[1],
                   (size_t)window[1] * sizeof *to);
            to += window[1];
        }
}

static void take_tile(multi_run *m, const int64_t at[2])
{
    const int64_t size[2] = {m->rows.size, m->columns.size};
    const int64_t window[2] = {m->rows.tile, m->columns.tile};
    cut(m->run.x->data, m->whole->data, m->whole->dim[1], size, window, at);
    for (int i = 0; i < m->args->control_count; i++)
        cut(m->pictures + (size_t)i * picture_values(m), m->args->controls[i].picture, COLOURS,
            (int64_t[]){size[0] * CELL, size[1] * CELL},
            (int64_t[]){window[0] * CELL, window[1] * CELL},
            (int64_t[]){at[0] * CELL, at[1] * CELL});
}

/* Adds what a tile became, weighted, to the sums. */
static void add_tile(multi_run *m, const int64_t at[2])
{
    int64_t h = m->rows.tile, w = m->columns.tile, width = m->columns.size;
    int64_t area = m->rows.size * width;
    for (int64_t y = 0; y < h; y++) {
        for (int64_t x = 0; x < w; x++) {
            float weight = m->row[y] * m->column[x];
            int64_t to = (at[0] + y) * width + at[1] + x, from = y * w + x;
            m->share[to] += weight;
            for (int64_t c = 0; c < m->whole->dim[1]; c++) {
                m->sum->data[c * area + to] += weight * m->run.x->data[c * h * w + from];
                m->guess_sum->data[c * area + to] += weight * m->run.x0->data[c * h * w + from];
            }
        }
    }
}

/* Sums to means; every cell has a tile that counts there. */
static void put_together(multi_run *m)
{
    size_t area = (size_t)(m->rows.size * m->columns.size);
    for (size_t i = 0; i < (size_t)imu_array_count(m->whole); i++) {
        m->whole->data[i] = m->sum->data[i] / m->share[i % area];
        m->guess->data[i] = m->guess_sum->data[i] / m->share[i % area];
    }
}

static void clear_sums(multi_run *m)
{
    size_t n = (size_t)imu_array_count(m->whole);
    memset(m->sum->data, 0, n * sizeof *m->sum->data);
    memset(m->guess_sum->data, 0, n * sizeof *m->guess_sum->data);
    memset(m->share, 0, (size_t)(m->rows.size * m->columns.size) * sizeof *m->share);
}

/* One model call for every tile. They draw from one row of random numbers, in their order; the
 * noise of a Brownian path is the same for each, as it is of the seed alone. */
static imu_engine_status make_step(multi_run *m, int position, int done, int total,
                                   imu_fault *fault)
{
    const imu_denoise_args *a = m->args;
    imu_engine_status s = IMU_ENGINE_OK;
    double t = imu_scheduler_timestep(m->schedulers[0], position);
    clear_sums(m);
    for (int64_t i = 0; i < m->tiles && !s; i++) {
        int64_t row = i / m->columns.count, column = i % m->columns.count;
        const int64_t at[2] = {imu_tile_start(&m->rows, row), imu_tile_start(&m->columns, column)};
        imu_tile_weights(&m->rows, row, m->row);
        imu_tile_weights(&m->columns, column, m->column);
        m->run.scheduler = m->schedulers[i];
        take_tile(m, at);
        s = imu_denoising_step(&m->run, position, done, total, fault);
        if (!s)
            add_tile(m, at);
    }
    if (s)
        return s;
    put_together(m);
    imu_progress p = {done + 1, total, t, m->whole, m->guess};
    if (a->progress && a->progress(a->user, &p))
        return imu_fail(fault, IMU_ENGINE_CANCELLED, "Cancelled.");
    return IMU_ENGINE_OK;
}

static imu_engine_status loop(multi_run *m, imu_fault *fault)
{
    int first, count;
    imu_engine_status s = IMU_ENGINE_OK;
    imu_scheduler_window(m->schedulers[0], m->args->denoising_start, m->args->denoising_end, &first,
                         &count);
    if (!count) /* nothing to do: the input as it is */
        return s;
    for (int64_t i = 0; i < m->tiles; i++)
        imu_scheduler_begin(m->schedulers[i], first);
    imu_denoising_add_noise(m->schedulers[0], first, m->args, m->whole);
    for (int i = 0; i < count && !s; i++)
        s = make_step(m, first + i, i, count, fault);
    return s;
}

static void release(multi_run *m)
{
    for (int64_t i = 0; i < m->tiles && m->schedulers; i++)
        imu_scheduler_close(m->schedulers[i]);
    m->run.scheduler = NULL; /* one of those */
    imu_denoising_free(&m->run);
    imu_array_free(m->whole);
    imu_array_free(m->guess);
    imu_array_free(m->sum);
    imu_array_free(m->guess_sum);
    imu_array_free(m->start);
    free(m->schedulers);
    free(m->share);
    free(m->row);
    free(m->column);
    free(m->controls);
    free(m->pictures);
}

imu_engine_status imu_model_denoise_tiles(imu_model *model, const imu_denoise_args *args,
                                          const imu_tile_args *tiles, imu_array **out,
                                          imu_fault *fault)
{
    multi_run m = {.args = args, .run = {.model = model}};
    imu_engine_status s = imu_model_need(model, IMU_PART_UNET, fault);
    if (!s)
        s = imu_denoising_check(model, args, fault);
    if (!s)
        s = check_tiles(args, tiles, fault);
    if (!s)
        s = prepare(&m, tiles, fault);
    if (!s)
        s = loop(&m, fault);
    if (!s) {
        *out = m.whole;
        m.whole = NULL;
    }
    release(&m);
    return s;
}
