/* The pointwise half of the training on a processor: norms with activation, the gated unit and the
 * update of the weights, each in one or two passes over memory. Tensors are bfloat16, pictures
 * channels-last; sums are float. Called from kernels.py, which sees to it that sizes and layouts
 * are right. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint16_t bf16;

static inline float wide(bf16 x)
{
    union {
        uint32_t bits;
        float value;
    } u = {(uint32_t)x << 16};
    return u.value;
}

/* To the nearest, ties to even. */
static inline bf16 narrow(float x)
{
    union {
        float value;
        uint32_t bits;
    } u = {x};
    return (bf16)((u.bits + 0x7fff + ((u.bits >> 16) & 1)) >> 16);
}

static inline float logistic(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

/* Mean and reciprocal deviation of each group from sums per channel. */
static void group_moments(int channels, int groups, int64_t places, float eps, const float *sum,
                          const float *square, float *mean, float *rstd)
{
    int width = channels / groups;
    float count = (float)places * (float)width;
    for (int g = 0; g < groups; g++) {
        float a = 0, b = 0;
        for (int c = g * width; c < (g + 1) * width; c++) {
            a += sum[c];
            b += square[c];
        }
        mean[g] = a / count;
        rstd[g] = 1.0f / sqrtf(fmaxf(b / count - mean[g] * mean[g], 0) + eps);
    }
}

/* y = act(norm(x + shift)): x, y [n][places][channels]; shift [n][channels] or NULL; mean, rstd
 * [n][groups] come out. The activation is SiLU or none. Returns -1 without memory, or with more
 * groups than channels. */
int group_norm(int64_t n, int64_t places, int channels, int groups, float eps, int silu,
               const bf16 *x, const bf16 *shift, const float *gamma, const float *beta, float *mean,
               float *rstd, bf16 *y)
{
    int failed = 0, width = groups > 0 ? channels / groups : 0;
    if (width < 1)
        return -1;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) {
        float *sum = calloc(4 * (size_t)channels, sizeof *sum);
        if (!sum) {
            failed = 1;
            continue;
        }
        float *square = sum + channels, *scale = square + channels, *offset = scale + channels;
        const bf16 *in = x + i * places * channels;
        bf16 *out = y + i * places * channels;
        for (int c = 0; shift && c < channels; c++)
            offset[c] = wide(shift[i * channels + c]);
        for (int64_t p = 0; p < places; p++)
            for (int c = 0; c < channels; c++) {
                float v = wide(in[p * channels + c]) + offset[c];
                sum[c] += v;
                square[c] += v * v;
            }
        group_moments(channels, groups, places, eps, sum, square, mean + i * groups,
                      rstd + i * groups);
        for (int c = 0; c < channels; c++) {
            int64_t g = i * groups + c / width;
            scale[c] = gamma[c] * rstd[g];
            offset[c] = beta[c] + (offset[c] - mean[g]) * scale[c];
        }
        for (int64_t p = 0; p < places; p++)
            for (int c = 0; c < channels; c++) {
                float v = wide(in[p * channels + c]) * scale[c] + offset[c];
                out[p * channels + c] = narrow(silu ? v * logistic(v) : v);
            }
        free(sum);
    }
    return failed ? -1 : 0;
}

/* Gradients of group_norm: dx like x; dsums [n][2][channels]: of gamma and of beta, before they are
 * added up over n; dshift [n][channels] or NULL. */
int group_norm_back(int64_t n, int64_t places, int channels, int groups, int silu, const bf16 *x,
                    const bf16 *shift, const float *gamma, const float *beta, const float *mean,
                    const float *rstd, const bf16 *dy, bf16 *dx, float *dsums, bf16 *dshift)
{
    int failed = 0, width = groups > 0 ? channels / groups : 0;
    if (width < 1)
        return -1;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) {
        float *r = calloc(5 * (size_t)channels, sizeof *r);
        if (!r) {
            failed = 1;
            continue;
        }
        float *m = r + channels, *a = m + channels, *b = a + channels, *total = b + channels;
        const bf16 *in = x + i * places * channels, *up = dy + i * places * channels;
        bf16 *out = dx + i * places * channels;
        float *dgamma = dsums + 2 * i * channels, *dbeta = dgamma + channels;
        memset(dgamma, 0, 2 * (size_t)channels * sizeof *dgamma);
        for (int c = 0; c < channels; c++) {
            r[c] = rstd[i * groups + c / width];
            m[c] = mean[i * groups + c / width] - (shift ? wide(shift[i * channels + c]) : 0);
        }
        for (int64_t p = 0; p < places; p++)
            for (int c = 0; c < channels; c++) {
                float h = (wide(in[p * channels + c]) - m[c]) * r[c],
                      d = wide(up[p * channels + c]);
                if (silu) {
                    float v = h * gamma[c] + beta[c], s = logistic(v);
                    d *= s * (1 + v * (1 - s));
                }
                out[p * channels + c] = narrow(d);
                dgamma[c] += d * h;
                dbeta[c] += d;
            }
        for (int g = 0; g < groups; g++) {
            float along = 0, level = 0, count = (float)places * (float)width;
            for (int c = g * width; c < (g + 1) * width; c++) {
                along += gamma[c] * dgamma[c];
                level += gamma[c] * dbeta[c];
            }
            for (int c = g * width; c < (g + 1) * width; c++) {
                a[c] = along / count;
                b[c] = level / count;
            }
        }
        for (int64_t p = 0; p < places; p++)
            for (int c = 0; c < channels; c++) {
                float h = (wide(in[p * channels + c]) - m[c]) * r[c];
                float d = r[c] * (wide(out[p * channels + c]) * gamma[c] - b[c] - h * a[c]);
                out[p * channels + c] = narrow(d);
                total[c] += d;
            }
        for (int c = 0; dshift && c < channels; c++)
            dshift[i * channels + c] = narrow(total[c]);
        free(r);
    }
    return failed ? -1 : 0;
}

/* y = norm(x) over each row of `width`; mean and rstd [rows] come out. */
void layer_norm(int64_t rows, int width, float eps, const bf16 *x, const float *gamma,
                const float *beta, float *mean, float *rstd, bf16 *y)
{
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < rows; i++) {
        const bf16 *in = x + i * width;
        float sum = 0, square = 0;
        for (int c = 0; c < width; c++) {
            float v = wide(in[c]);
            sum += v;
            square += v * v;
        }
        float m = sum / (float)width,
              r = 1.0f / sqrtf(fmaxf(square / (float)width - m * m, 0) + eps);
        for (int c = 0; c < width; c++)
            y[i * width + c] = narrow((wide(in[c]) - m) * r * gamma[c] + beta[c]);
        mean[i] = m;
        rstd[i] = r;
    }
}

/* Gradients of layer_norm; dsums [parts][2][width] are those of gamma and beta, each part's sum
 * over its share of the rows. */
void layer_norm_back(int64_t rows, int width, int parts, const bf16 *x, const float *gamma,
                     const float *mean, const float *rstd, const bf16 *dy, bf16 *dx, float *dsums)
{
#pragma omp parallel for schedule(static)
    for (int k = 0; k < parts; k++) {
        float *dgamma = dsums + (int64_t)2 * k * width, *dbeta = dgamma + width;
        memset(dgamma, 0, 2 * (size_t)width * sizeof *dgamma);
        for (int64_t i = rows * k / parts; i < rows * (k + 1) / parts; i++) {
            const bf16 *in = x + i * width, *up = dy + i * width;
            float a = 0, b = 0, m = mean[i], r = rstd[i];
            for (int c = 0; c < width; c++) {
                float h = (wide(in[c]) - m) * r, d = wide(up[c]);
                dgamma[c] += d * h;
                dbeta[c] += d;
                a += d * gamma[c] * h;
                b += d * gamma[c];
            }
            a /= (float)width;
            b /= (float)width;
            for (int c = 0; c < width; c++) {
                float h = (wide(in[c]) - m) * r;
                dx[i * width + c] = narrow(r * (wide(up[c]) * gamma[c] - b - h * a));
            }
        }
    }
}

/* The normal distribution function (Abramowitz and Stegun 7.1.26, wrong by 1e-7 at most) and its
 * density. */
static inline void normal(float x, float *below, float *density)
{
    float z = fabsf(x) * 0.70710678f, t = 1.0f / (1.0f + 0.3275911f * z), e = expf(-z * z);
    float tail = 0.5f * e * t *
                 (0.254829592f + t * (-0.284496736f +
                                      t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    *below = x > 0 ? 1.0f - tail : tail;
    *density = 0.39894228f * e;
}

/* y = value * gelu(gate): x [rows][2 * width] holds values, then gates. */
void gated(int64_t rows, int width, const bf16 *x, bf16 *y)
{
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < rows; i++)
        for (int c = 0; c < width; c++) {
            float below, density, gate = wide(x[2 * i * width + width + c]);
            normal(gate, &below, &density);
            y[i * width + c] = narrow(wide(x[2 * i * width + c]) * gate * below);
        }
}

void gated_back(int64_t rows, int width, const bf16 *x, const bf16 *dy, bf16 *dx)
{
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < rows; i++)
        for (int c = 0; c < width; c++) {
            int64_t at = 2 * i * width + c;
            float below, density, gate = wide(x[at + width]), d = wide(dy[i * width + c]);
            normal(gate, &below, &density);
            dx[at] = narrow(d * gate * below);
            dx[at + width] = narrow(d * wide(x[at]) * (below + gate * density));
        }
}

/* Sum of squares. */
double squares(int64_t n, const bf16 *x)
{
    double total = 0;
#pragma omp parallel for schedule(static) reduction(+ : total)
    for (int64_t from = 0; from < n; from += 4096) {
        float part = 0;
        for (int64_t i = from; i < from + 4096 && i < n; i++)
            part += wide(x[i]) * wide(x[i]);
        total += part;
    }
    return total;
}

/* What one update needs, besides the weights. */
typedef struct update {
    float rate, beta1, beta2, eps, decay, correct1, correct2, keep, scale;
} update;

/* AdamW on master weights with momentum, square and moving average (NULL: none), and the copy to
 * compute with. */
void adamw(int64_t n, const update *u, const bf16 *grad, float *master, float *momentum,
           float *square, float *average, bf16 *low)
{
    float step = u->rate / u->correct1, shrink = 1 - u->rate * u->decay,
          root = 1 / sqrtf(u->correct2);
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) {
        float g = wide(grad[i]) * u->scale;
        momentum[i] = u->beta1 * momentum[i] + (1 - u->beta1) * g;
        square[i] = u->beta2 * square[i] + (1 - u->beta2) * g * g;
        float w = master[i] * shrink - step * momentum[i] / (sqrtf(square[i]) * root + u->eps);
        master[i] = w;
        low[i] = narrow(w);
        if (average)
            average[i] += (1 - u->keep) * (w - average[i]);
    }
}
