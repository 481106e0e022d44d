#include "tests/bench/engine/profile.h"
#include "tests/bench/engine/lapse.h"

#include <stdio.h>

/* The operations, and what they take besides the backend. */
#define OPERATIONS(X)                                                                              \
    X(upload, (imu_backend * b, imu_tensor * dst, const float *src), (b, dst, src))                \
    X(download, (imu_backend * b, const imu_tensor *src, float *dst), (b, src, dst))               \
    X(linear,                                                                                      \
      (imu_backend * b, imu_weight * w, const imu_tensor *x, imu_tensor *y, bool accumulate),      \
      (b, w, x, y, accumulate))                                                                    \
    X(conv2d,                                                                                      \
      (imu_backend * b, imu_weight * w, const imu_tensor *x, const imu_conv_geometry *g,           \
       imu_tensor *y, bool accumulate),                                                            \
      (b, w, x, g, y, accumulate))                                                                 \
    X(group_norm,                                                                                  \
      (imu_backend * b, const imu_tensor *x, const imu_tensor *gamma, const imu_tensor *beta,      \
       int groups, float eps, imu_activation act, imu_tensor *y),                                  \
      (b, x, gamma, beta, groups, eps, act, y))                                                    \
    X(layer_norm,                                                                                  \
      (imu_backend * b, const imu_tensor *x, const imu_tensor *gamma, const imu_tensor *beta,      \
       float eps, imu_tensor *y),                                                                  \
      (b, x, gamma, beta, eps, y))                                                                 \
    X(attention,                                                                                   \
      (imu_backend * b, const imu_tensor *q, const imu_tensor *k, const imu_tensor *v, int heads,  \
       bool causal, const imu_tensor *bias, imu_tensor *y),                                        \
      (b, q, k, v, heads, causal, bias, y))                                                        \
    X(activate, (imu_backend * b, const imu_tensor *x, imu_activation act, imu_tensor *y),         \
      (b, x, act, y))                                                                              \
    X(geglu, (imu_backend * b, const imu_tensor *x, imu_tensor *y), (b, x, y))                     \
    X(add, (imu_backend * b, imu_tensor * y, const imu_tensor *x), (b, y, x))                      \
    X(add_channels, (imu_backend * b, imu_tensor * y, const imu_tensor *c), (b, y, c))             \
    X(upsample, (imu_backend * b, const imu_tensor *x, imu_tensor *y), (b, x, y))                  \
    X(concat, (imu_backend * b, const imu_tensor *x1, const imu_tensor *x2, imu_tensor *y),        \
      (b, x1, x2, y))                                                                              \
    X(cast, (imu_backend * b, const imu_tensor *x, imu_tensor *y), (b, x, y))                      \
    X(to_channels_last, (imu_backend * b, const imu_tensor *x, imu_tensor *y), (b, x, y))          \
    X(to_channels_first, (imu_backend * b, const imu_tensor *x, imu_tensor *y), (b, x, y))

#define NUMBER(name, takes, passes) OP_##name,
enum { OPERATIONS(NUMBER) COUNT };
#define NAME(name, takes, passes) #name,
static const char *const names[] = {OPERATIONS(NAME)};

/* One at a time: a backend's functions know no user. */
static imu_backend own;
static double spent[COUNT];

#define TIMED(name, takes, passes)                                                                 \
    static int name takes                                                                          \
    {                                                                                              \
        imu_lapse start = imu_lapse_now();                                                         \
        int rc = own.name passes;                                                                  \
        spent[OP_##name] += imu_lapse_since(start).wall;                                           \
        return rc;                                                                                 \
    }
OPERATIONS(TIMED)

void imu_profile_watch(imu_backend *backend)
{
    own = *backend;
#define REPLACE(name, takes, passes) backend->name = name;
    OPERATIONS(REPLACE)
}

void imu_profile_reset(void)
{
    for (int i = 0; i < COUNT; i++)
        spent[i] = 0;
}

void imu_profile_each(void (*tell)(void *user, const char *operation, double seconds), void *user)
{
    for (int i = 0; i < COUNT; i++)
        if (spent[i] > 0)
            tell(user, names[i], spent[i]);
}
