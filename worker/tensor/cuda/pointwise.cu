/* Kernels that make each value from one or two others, or move values. */
#include "worker/tensor/cuda/launch.h"

static __global__ void activate(imu_values x, imu_values y, int64_t count, int act)
{
    for (IMU_EACH(i, count))
        imu_store(y, i, imu_activated(imu_load(x, i), act));
}

int imu_kernel_activate(void *stream, imu_values x, imu_values y, int64_t count, int act)
{
    return IMU_LAUNCH(activate, imu_blocks(count), IMU_BLOCK, stream, x, y, count, act);
}

static __global__ void add(imu_values y, imu_values x, int64_t count)
{
    for (IMU_EACH(i, count))
        imu_store(y, i, imu_load(y, i) + imu_load(x, i));
}

int imu_kernel_add(void *stream, imu_values y, imu_values x, int64_t count)
{
    return IMU_LAUNCH(add, imu_blocks(count), IMU_BLOCK, stream, y, x, count);
}

static __global__ void add_channels(float *y, const float *c, int64_t count, int64_t pixels,
                                    int64_t channels)
{
    for (IMU_EACH(i, count))
        y[i] += c[i / (pixels * channels) * channels + i % channels];
}

int imu_kernel_add_channels(void *stream, float *y, const float *c, int64_t count, int64_t pixels,
                            int64_t channels)
{
    return IMU_LAUNCH(add_channels, imu_blocks(count), IMU_BLOCK, stream, y, c, count, pixels,
                      channels);
}

static __global__ void geglu(imu_values x, imu_values y, int64_t count, int64_t width)
{
    for (IMU_EACH(i, count)) {
        int64_t at = i / width * 2 * width + i % width;
        imu_store(y, i, imu_load(x, at) * imu_activated(imu_load(x, at + width), 2));
    }
}

int imu_kernel_geglu(void *stream, imu_values x, imu_values y, int64_t rows, int64_t width)
{
    return IMU_LAUNCH(geglu, imu_blocks(rows * width), IMU_BLOCK, stream, x, y, rows * width,
                      width);
}

static __global__ void place(imu_values x, imu_values y, int64_t count, int64_t width,
                             int64_t y_width, int64_t at)
{
    for (IMU_EACH(i, count))
        imu_store(y, i / width * y_width + at + i % width, imu_load(x, i));
}

int imu_kernel_place(void *stream, imu_values x, imu_values y, int64_t rows, int64_t width,
                     int64_t y_width, int64_t at)
{
    return IMU_LAUNCH(place, imu_blocks(rows * width), IMU_BLOCK, stream, x, y, rows * width, width,
                      y_width, at);
}

static __global__ void upsample(imu_values x, imu_values y, imu_extent from, imu_extent to)
{
    for (IMU_EACH(i, to.n * to.height * to.width * to.channels)) {
        int64_t pixel = i / to.channels, row = pixel / to.width % to.height;
        int64_t source = pixel / to.width / to.height * from.height + row * from.height / to.height;
        source = source * from.width + pixel % to.width * from.width / to.width;
        imu_store(y, i, imu_load(x, source * from.channels + i % to.channels));
    }
}

int imu_kernel_upsample(void *stream, imu_values x, imu_values y, imu_extent from, imu_extent to)
{
    return IMU_LAUNCH(upsample, imu_blocks(to.n * to.height * to.width * to.channels), IMU_BLOCK,
                      stream, x, y, from, to);
}

static __global__ void permute(const float *x, float *y, imu_extent e, int back)
{
    int64_t area = e.height * e.width;
    for (IMU_EACH(i, e.n * area * e.channels)) {
        int64_t pixel = i / e.channels, channel = i % e.channels;
        int64_t first = (pixel / area * e.channels + channel) * area + pixel % area;
        if (back)
            y[first] = x[i];
        else
            y[i] = x[first];
    }
}

int imu_kernel_permute(void *stream, const float *x, float *y, imu_extent e, int back)
{
    return IMU_LAUNCH(permute, imu_blocks(e.n * e.height * e.width * e.channels), IMU_BLOCK, stream,
                      x, y, e, back);
}

static __global__ void unfold(imu_values x, imu_values y, imu_extent e, imu_windows w,
                              int64_t first, int64_t count)
{
    int64_t across = w.kernel_w * e.channels, wide = w.kernel_h * across;
    for (IMU_EACH(i, count)) {
        int64_t pixel = first + i / wide, in_window = i % wide;
        int64_t row =
            pixel / w.out_width % w.out_height * w.stride - w.pad_top + in_window / across;
        int64_t column =
            pixel % w.out_width * w.stride - w.pad_left + in_window % across / e.channels;
        bool inside = row >= 0 && row < e.height && column >= 0 && column < e.width;
        int64_t n = pixel / w.out_width / w.out_height;
        int64_t from = ((n * e.height + row) * e.width + column) * e.channels + i % e.channels;
        if (x.bf16)
            ((uint16_t *)y.data)[i] = inside ? ((const uint16_t *)x.data)[from] : (uint16_t)0;
        else
            ((float *)y.data)[i] = inside ? ((const float *)x.data)[from] : 0.0f;
    }
}

int imu_kernel_unfold(void *stream, imu_values x, imu_values y, imu_extent e, imu_windows w,
                      int64_t first, int64_t rows)
{
    int64_t count = rows * w.kernel_h * w.kernel_w * e.channels;
    return IMU_LAUNCH(unfold, imu_blocks(count), IMU_BLOCK, stream, x, y, e, w, first, count);
}

static __global__ void pack(const float *x, imu_values y, int64_t count, int64_t in, int64_t area)
{
    for (IMU_EACH(i, count)) {
        int64_t out = i / (area * in), place_in = i / in % area, channel = i % in;
        imu_store(y, i, x[(out * in + channel) * area + place_in]);
    }
}

int imu_kernel_pack(void *stream, const float *x, imu_values y, int64_t out, int64_t in,
                    int64_t area)
{
    return IMU_LAUNCH(pack, imu_blocks(out * in * area), IMU_BLOCK, stream, x, y, out * in * area,
                      in, area);
}

static __global__ void wrap(imu_values x, imu_values y, imu_extent from, imu_extent to, int top,
                            int left)
{
    for (IMU_EACH(i, to.n * to.height * to.width * to.channels)) {
        int64_t pixel = i / to.channels, column = pixel % to.width, row = pixel / to.width;
        int64_t source =
            row / to.height * from.height + (row % to.height - top + from.height) % from.height;
        source = source * from.width + (column - left + from.width) % from.width;
        imu_store(y, i, imu_load(x, source * from.channels + i % to.channels));
    }
}

int imu_kernel_wrap(void *stream, imu_values x, imu_values y, imu_extent from, imu_extent to,
                    int top, int left)
{
    return IMU_LAUNCH(wrap, imu_blocks(to.n * to.height * to.width * to.channels), IMU_BLOCK,
                      stream, x, y, from, to, top, left);
}

static __global__ void scale_rows(imu_values y, const float *rows, int64_t count, int64_t width)
{
    for (IMU_EACH(i, count))
        imu_store(y, i, imu_load(y, i) * rows[i / width]);
}

int imu_kernel_scale_rows(void *stream, imu_values y, const float *rows, int64_t count,
                          int64_t width)
{
    return IMU_LAUNCH(scale_rows, imu_blocks(count), IMU_BLOCK, stream, y, rows, count, width);
}

static __global__ void scale_channels(float *y, int64_t count, int64_t width, int64_t channels,
                                      float factor)
{
    for (IMU_EACH(i, count))
        if (i % width < channels)
            y[i] *= factor;
}

int imu_kernel_scale_channels(void *stream, float *y, int64_t rows, int64_t width, int64_t channels,
                              float factor)
{
    return IMU_LAUNCH(scale_channels, imu_blocks(rows * width), IMU_BLOCK, stream, y, rows * width,
                      width, channels, factor);
}

static __global__ void leaky(float *y, const float *slopes, int64_t count, int64_t width,
                             float slope)
{
    for (IMU_EACH(i, count))
        if (y[i] < 0)
            y[i] *= slopes ? slopes[i % width] : slope;
}

int imu_kernel_leaky(void *stream, float *y, const float *slopes, int64_t rows, int64_t width,
                     float slope)
{
    return IMU_LAUNCH(leaky, imu_blocks(rows * width), IMU_BLOCK, stream, y, slopes, rows * width,
                      width, slope);
}
