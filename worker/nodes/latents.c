/* Nodes that draw noise and hold latents. */
#include "worker/nodes/latents.h"

#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"

#include <string.h>

json_t *imu_latents_output(const char *name, const imu_array *a, int64_t scale, uint64_t seed)
{
    json_int_t width = a->dim[3] * scale, height = a->dim[2] * scale;
    return json_pack("{s:{s:s,s:I},s:I,s:I}", "latents", "latents_name", name, "seed",
                     (json_int_t)seed, "width", width, "height", height);
}

void imu_seamless_axes(const json_t *part, bool *x, bool *y)
{
    const json_t *axis;
    size_t i;
    *x = *y = false;
    json_array_foreach (json_object_get(part, "seamless_axes"), i, axis) {
        const char *name = json_string_value(axis);
        *x |= name && !strcmp(name, "x");
        *y |= name && !strcmp(name, "y");
    }
}

/* ---- noise ---- */

static int run_noise(imu_call *call)
{
    if (strcmp(imu_in_text(call, "noise_type"), "SD"))
        return imu_refuse(call->error, "NotSupported",
                          "This worker makes noise for Stable Diffusion only.");
    uint64_t seed = (uint64_t)imu_in_int(call, "seed");
    imu_array *noise = imu_noise(seed, 4, (int)imu_in_int(call, "width"),
                                 (int)imu_in_int(call, "height"), IMU_CELL);
    const char *name = imu_env_keep_latents(call, noise, NULL, seed);
    if (!name)
        return -1;
    return imu_out(call, json_pack("{s:{s:s,s:I},s:O,s:O}", "noise", "latents_name", name, "seed",
                                   (json_int_t)seed, "width", imu_in(call, "width"), "height",
                                   imu_in(call, "height")));
}

static const char *const noise_types[] = {"SD",       "FLUX",    "FLUX.2", "SD3",
                                          "CogView4", "Z-Image", "Anima",  NULL};
#define PIXELS(field, words)                                                                       \
    {                                                                                              \
        .name = field, .type = IMU_T_INT, .flags = IMU_F_MIN | IMU_F_ABOVE_MIN | IMU_F_MAX,        \
        .max = IMU_ENV_MAX_SIDE, .multiple_of = 8, .fallback = "512", .help = words                \
    }
static const imu_output_type noise_output = {
    "NoiseOutput", "noise_output", "Noise to start from",
    FIELDS({.name = "noise", .type = IMU_T_LATENTS, .help = "The noise"},
           {.name = "width", .type = IMU_T_INT, .help = "Width of the picture in pixels"},
           {.name = "height", .type = IMU_T_INT, .help = "Height of the picture in pixels"})};
static const imu_node_type noise_node = {
    "noise",
    "NoiseInvocation",
    "Create Latent Noise",
    "1.1.0",
    "latents",
    "latents noise",
    "Draws the noise that a picture is made out of; the same seed gives the same noise.",
    0,
    FIELDS({.name = "noise_type",
            .type = IMU_T_ENUM,
            .choices = noise_types,
            .fallback = "\"SD\"",
            .help = "The family of models that the noise is for"},
           {.name = "seed",
            .type = IMU_T_INT,
            .flags = IMU_F_MIN | IMU_F_MAX,
            .min = 0,
            .max = 4294967295.0,
            .fallback = "0",
            .help = "Where the random numbers start"},
           PIXELS("width", "Width of the picture in pixels"),
           PIXELS("height", "Height of the picture in pixels"),
           {.name = "use_cpu",
            .type = IMU_T_BOOL,
            .fallback = "true",
            .help = "Draw on the processor, so that every machine draws the same; always so here"}),
    &noise_output,
    run_noise};

static int run_latents(imu_call *call)
{
    const struct imu_thing *t = imu_env_latents(call, imu_in(call, "latents"));
    return t ? imu_out(call, imu_latents_output(t->name, t->latents, IMU_CELL, t->seed)) : -1;
}

static const imu_node_type latents_node = {"latents",
                                           "LatentsInvocation",
                                           "Latents Primitive",
                                           "1.0.2",
                                           "primitives",
                                           "primitives latents",
                                           "Holds latents that other nodes can share.",
                                           0,
                                           FIELDS({.name = "latents",
                                                   .type = IMU_T_LATENTS,
                                                   .flags = IMU_F_REQUIRED | IMU_F_CONNECTION,
                                                   .help = "The latents"}),
                                           &imu_out_latents,
                                           run_latents};

const imu_node_type *const imu_nodes_latents[] = {&noise_node, &latents_node, NULL};
