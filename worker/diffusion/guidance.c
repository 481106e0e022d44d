#include "worker/diffusion/guidance.h"

#include <math.h>

static double deviation(const float *v, size_t n)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i];
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += ((double)v[i] - mean) * ((double)v[i] - mean);
    return n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
}

void imu_guide(const float *uncond, const float *cond, size_t n, double scale, double rescale,
               float *out)
{
    double wanted = rescale > 0 ? deviation(cond, n) : 0;
    for (size_t i = 0; i < n; i++)
        out[i] = (float)((double)uncond[i] + scale * ((double)cond[i] - (double)uncond[i]));
    double have = rescale > 0 ? deviation(out, n) : 0;
    if (have <= 0)
        return;
    double factor = rescale * wanted / have + (1 - rescale);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(factor * (double)out[i]);
}

void imu_inpaint_before(const imu_inpaint *p, double keep, double add, double progress, float *x)
{
    for (size_t c = 0; c < p->channels; c++)
        for (size_t i = 0; i < p->area; i++) {
            size_t k = c * p->area + i;
            double kept = keep * (double)p->original[k] + add * (double)p->noise[k];
            double share = p->gradient ? (double)p->mask[i] > progress : (double)p->mask[i];
            x[k] = (float)(kept + share * ((double)x[k] - kept));
        }
}

void imu_inpaint_after(const imu_inpaint *p, float *x)
{
    for (size_t c = 0; c < p->channels; c++)
        for (size_t i = 0; i < p->area; i++) {
            size_t k = c * p->area + i;
            double kept = (double)p->original[k];
            double share = p->gradient ? p->mask[i] > 0 : (double)p->mask[i];
            x[k] = (float)(kept + share * ((double)x[k] - kept));
        }
}
