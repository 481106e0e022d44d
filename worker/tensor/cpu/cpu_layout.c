/* The values of a weight on their way from the file to the blocked layout that oneDNN asked for:
 * one pass over all processors, a block of output channels each. oneDNN's own reorder takes float32
 * only here, one processor, and several times as long. */
#include "worker/tensor/cpu/cpu.h"

#include <stdlib.h>
#include <string.h>

enum { OUT, IN, ROW, COLUMN, AXES, WIDENED = 1024 };

/* Where a value goes. A block is `count` neighbouring values: block_out channels times block_in. */
typedef struct layout {
    int64_t out, in, taps, columns; /* taps of a kernel, and in one row of it */
    int64_t step[AXES];             /* values from one block to the next */
    int64_t blocks_out, block_out, blocks_in, block_in, count;
    int64_t *from;   /* of each value of a block: its place in the rows, counted from the first */
    int64_t *member; /* and which of the block's input channels it belongs to */
    imu_dtype type;
} layout;

/* The rows of the block in work. */
typedef struct rows {
    char *values; /* in the layout's type */
    char *raw;    /* in the file's, where that is another */
} rows;

static void layout_close(layout *l)
{
    free(l->from);
    free(l->member);
}

/* The axis that a dimension of oneDNN's is: kernels are [out, in, row, column], matrices [in, out].
 */
static int axis_of(const imu_weight_desc *d, int64_t dimension)
{
    return d->kernel_h ? (int)dimension : dimension == 0 ? IN : OUT;
}

/* Sorts a block's values: the last of the inner blocks runs fastest. */
static void fill_block(const imu_weight_desc *d, const dnnl_blocking_desc_t *b, layout *l)
{
    for (int64_t k = 0; k < l->count; k++) {
        int64_t at[AXES] = {0}, weight[AXES] = {1, 1, 1, 1}, left = k;
        for (int i = b->inner_nblks - 1; i >= 0; i--) {
            int axis = axis_of(d, b->inner_idxs[i]);
            at[axis] += left % b->inner_blks[i] * weight[axis];
            weight[axis] *= b->inner_blks[i];
            left /= b->inner_blks[i];
        }
        l->from[k] = (at[OUT] * l->in + at[IN]) * l->taps;
        l->member[k] = at[IN];
    }
}

static int refused(imu_cpu *cpu)
{
    imu_cpu_dnnl_error(cpu, dnnl_unimplemented, "a weight's layout");
    return IMU_TENSOR_REFUSED;
}

static int layout_open(imu_cpu *cpu, const imu_weight_desc *d, const dnnl_memory_desc_t *md,
                       layout *l)
{
    const dnnl_blocking_desc_t *b = &md->format_desc.blocking;
    int64_t block[AXES] = {1, 1, 1, 1}, padded[AXES] = {1, 1, 1, 1};
    if (md->format_kind != dnnl_blocked || md->extra.flags || md->offset0)
        return refused(cpu);
    *l = (layout){.out = d->out, .in = d->in, .taps = 1, .columns = 1, .count = 1};
    if (d->kernel_h) {
        l->taps = (int64_t)d->kernel_h * d->kernel_w;
        l->columns = d->kernel_w;
    }
    for (int i = 0; i < b->inner_nblks; i++) {
        block[axis_of(d, b->inner_idxs[i])] *= b->inner_blks[i];
        l->count *= b->inner_blks[i];
    }
    for (int i = 0; i < md->ndims; i++) {
        l->step[axis_of(d, i)] = b->strides[i];
        padded[axis_of(d, i)] = md->padded_dims[i];
    }
    if (block[ROW] != 1 || block[COLUMN] != 1)
        return refused(cpu);
    l->block_out = block[OUT];
    l->block_in = block[IN];
    l->blocks_out = padded[OUT] / block[OUT];
    l->blocks_in = padded[IN] / block[IN];
    l->type = md->data_type == dnnl_bf16 ? IMU_BF16 : IMU_F32;
    l->from = malloc((size_t)l->count * sizeof *l->from);
    l->member = malloc((size_t)l->count * sizeof *l->member);
    if (!l->from || !l->member) {
        layout_close(l);
        return IMU_TENSOR_NO_MEMORY;
    }
    fill_block(d, b, l);
    return IMU_TENSOR_OK;
}

static void convert(imu_dtype from, const char *raw, imu_dtype to, char *values, size_t count)
{
    float wide[WIDENED];
    if (to == IMU_F32) {
        imu_to_f32(from, raw, (float *)(void *)values, count);
        return;
    }
    for (size_t at = 0; at < count; at += WIDENED) {
        size_t n = count - at < WIDENED ? count - at : WIDENED;
        imu_to_f32(from, raw + at * imu_dtype_size(from), wide, n);
        imu_f32_to_bf16(wide, (uint16_t *)(void *)values + at, n);
    }
}

/* Rows of the source in the layout's type; those beyond the last are zero. */
static int bring(const layout *l, const imu_weight_source *s, imu_dtype type, int64_t block,
                 const rows *r)
{
    int64_t first = block * l->block_out, width = l->in * l->taps;
    int64_t there = l->out - first < l->block_out ? l->out - first : l->block_out;
    size_t size = imu_dtype_size(l->type), count = (size_t)(there > 0 ? there * width : 0);
    int rc = IMU_TENSOR_OK;
    if (count)
        rc = s->part(s->user, s->key, (size_t)(first * width), count, r->raw ? r->raw : r->values);
    if (!rc && r->raw)
        convert(type, r->raw, l->type, r->values, count);
    memset(r->values + count * size, 0, ((size_t)(l->block_out * width) - count) * size);
    return rc;
}

/* One block of the layout from rows at `from`, of which `channels` input channels are left. */
static inline void place_block(const layout *l, const char *from, char *to, int64_t channels,
                               size_t size)
{
    if (channels >= l->block_in) {
        for (int64_t k = 0; k < l->count; k++)
            memcpy(to + (size_t)k * size, from + (size_t)l->from[k] * size, size);
        return;
    }
    for (int64_t k = 0; k < l->count; k++)
        if (l->member[k] < channels)
            memcpy(to + (size_t)k * size, from + (size_t)l->from[k] * size, size);
        else
            memset(to + (size_t)k * size, 0, size);
}

/* All blocks of a block's rows. The taps of a kernel, which are neighbours in the rows, come
 * innermost: their lines are still in the cache. */
static inline void place_rows(const layout *l, const char *values, char *to, size_t size)
{
    for (int64_t i = 0; i < l->blocks_in; i++)
        for (int64_t t = 0; t < l->taps; t++) {
            int64_t at =
                i * l->step[IN] + t / l->columns * l->step[ROW] + t % l->columns * l->step[COLUMN];
            place_block(l, values + (size_t)(i * l->block_in * l->taps + t) * size,
                        to + (size_t)at * size, l->in - i * l->block_in, size);
        }
}

static int rows_open(const layout *l, imu_dtype type, rows *r)
{
    size_t count = (size_t)(l->block_out * l->in * l->taps), other = imu_dtype_size(type);
    bool same = type == l->type;
    r->values = malloc(count * imu_dtype_size(l->type));
    r->raw = same || !other ? NULL : malloc(count * other);
    return r->values && (same || r->raw) ? IMU_TENSOR_OK : IMU_TENSOR_NO_MEMORY;
}

static int lay_out(imu_cpu *cpu, const layout *l, const imu_weight_source *s, imu_dtype type,
                   char *to)
{
    int rc = IMU_TENSOR_OK;
#pragma omp parallel num_threads(cpu->threads) reduction(min : rc)
    {
        rows r = {0};
        rc = rows_open(l, type, &r);
/* Rows that share cache lines of the result stay with one processor. */
#pragma omp for schedule(dynamic, l->block_out < 16 ? 16 : 1)
        for (int64_t b = 0; b < l->blocks_out; b++) {
            char *at = to + (size_t)(b * l->step[OUT]) * imu_dtype_size(l->type);
            if (!rc)
                rc = bring(l, s, type, b, &r);
            if (!rc && l->type == IMU_BF16)
                place_rows(l, r.values, at, sizeof(uint16_t));
            else if (!rc)
                place_rows(l, r.values, at, sizeof(float));
        }
        free(r.values);
        free(r.raw);
    }
    return rc;
}

static int from_memory(void *user, const void *key, size_t at, size_t count, void *dst)
{
    (void)user;
    memcpy(dst, (const float *)key + at, count * sizeof(float));
    return IMU_TENSOR_OK;
}

/* For values that are not those of the file: read whole, as float32. */
static int lay_out_read(imu_cpu *cpu, const layout *l, const imu_weight_source *s, char *to)
{
    size_t count = (size_t)(l->out * l->in * l->taps);
    float *values = malloc(count * sizeof *values);
    imu_weight_source whole = {.key = values, .part = from_memory};
    int rc = values ? s->read(s->user, s->key, values, count) : IMU_TENSOR_NO_MEMORY;
    if (!rc)
        rc = lay_out(cpu, l, &whole, IMU_F32, to);
    free(values);
    return rc;
}

int imu_cpu_lay_out(imu_cpu *cpu, const imu_weight_desc *d, const dnnl_memory_desc_t *md, void *to)
{
    const imu_weight_source *s = &d->weight;
    imu_dtype type = s->type ? s->type(s->user, s->key) : IMU_DTYPE_COUNT;
    layout l;
    int rc = layout_open(cpu, d, md, &l);
    if (rc)
        return rc;
    rc = type == IMU_DTYPE_COUNT ? lay_out_read(cpu, &l, s, to) : lay_out(cpu, &l, s, type, to);
    layout_close(&l);
    return rc;
}
