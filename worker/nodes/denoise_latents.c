/* The node that makes pictures out of noise. */
#include "worker/nodes/denoise.h"
#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"
#include "worker/nodes/latents.h"

#include <math.h>
#include <string.h>

static imu_freeu freeu_of(const json_t *unet)
{
    const json_t *f = json_object_get(unet, "freeu_config");
    return (imu_freeu){
        {json_number_value(json_object_get(f, "s1")), json_number_value(json_object_get(f, "s2"))},
        {json_number_value(json_object_get(f, "b1")), json_number_value(json_object_get(f, "b2"))}};
}

static int check_denoise(imu_call *call)
{
    if (imu_in_bool(call, "hidiffusion"))
        return imu_refuse(call->error, "NotSupported",
                          "This worker can't use HiDiffusion yet. Switch it off and try again.");
    return 0;
}

/* The value of an array between its cells; x and y from 0 to 1. */
static double sample(const imu_array *a, double x, double y)
{
    int64_t w = a->dim[3], h = a->dim[2];
    double u = x * (double)w - 0.5, v = y * (double)h - 0.5, sum = 0;
    int64_t left = (int64_t)floor(u), top = (int64_t)floor(v);
    for (int64_t k = 0; k < 4; k++) {
        int64_t i = left + k % 2, j = top + k / 2;
        double share = (1 - fabs(u - (double)i)) * (1 - fabs(v - (double)j));
        i = i < 0 ? 0 : i < w ? i : w - 1;
        j = j < 0 ? 0 : j < h ? j : h - 1;
        sum += share * (double)a->data[j * w + i];
    }
    return sum;
}

/* The mask as the engine takes it: in cells of the latents, 1 where they change. NULL without a
 * mask, or with call->error set. */
static int take_mask(imu_call *call, imu_denoise_args *args, imu_array **mask)
{
    const json_t *given = imu_in(call, "denoise_mask");
    if (!imu_in_given(call, "denoise_mask"))
        return 0;
    const struct imu_thing *masked = NULL, *thing = imu_env_tensor(call, given, "mask_name");
    if (thing && imu_json_str(given, "masked_latents_name") &&
        !(masked = imu_env_tensor(call, given, "masked_latents_name")))
        return -1;
    if (!thing)
        return -1;
    if (!args->latents || thing->latents->dim[1] != 1)
        return imu_refuse(call->error, "InvalidInput",
                          "\"denoise_mask\" needs \"latents\" of the picture that it is for.");
    int64_t h = args->latents->dim[2], w = args->latents->dim[3];
    *mask = imu_array_new(4, (int64_t[]){1, 1, h, w});
    if (!*mask)
        return imu_refuse(call->error, "OutOfMemory", "Not enough memory for the mask.");
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++)
            (*mask)->data[y * w + x] =
                (float)(1 - sample(thing->latents, ((double)x + 0.5) / (double)w,
                                   ((double)y + 0.5) / (double)h));
    args->mask = *mask;
    args->gradient_mask = json_is_true(json_object_get(given, "gradient"));
    args->masked_latents = masked ? masked->latents : NULL;
    return 0;
}

static int run_denoise(imu_call *call)
{
    imu_denoise_inputs in;
    imu_array *mask = NULL;
    if (check_denoise(call))
        return -1;
    int rc = imu_denoise_take(call, &in);
    imu_seamless_axes(imu_in(call, "unet"), &in.args.seamless_x, &in.args.seamless_y);
    in.args.freeu = freeu_of(imu_in(call, "unet"));
    if (!rc)
        rc = take_mask(call, &in.args, &mask);
    if (!rc)
        rc = imu_denoise_run(call, &in, NULL);
    imu_array_free(mask);
    imu_denoise_release(&in);
    return rc;
}

static const imu_node_type denoise_node = {
    "denoise_latents",
    "DenoiseLatentsInvocation",
    "Denoise - SD1.5, SDXL",
    "1.6.0",
    "latents",
    "latents denoise txt2img t2i t2l img2img i2i l2l",
    "Turns noise into the latents of a picture, step by step.",
    0,
    FIELDS(
        DENOISE_PROMPTS("positive_conditioning", IMU_F_OR_LIST, 1, "What the picture should show"),
        DENOISE_PROMPTS("negative_conditioning", IMU_F_OR_LIST, 2, "What it should not show"),
        DENOISE_UNET(3), DENOISE_LATENTS("noise", 4, "The noise to start from"),
        DENOISE_STEPS("10"), DENOISE_GUIDANCE("7.5"), DENOISE_WINDOW, DENOISE_SCHEDULER,
        DENOISE_RESCALE,
        DENOISE_LATENTS("latents", 5, "Latents of a picture to change, in place of a new one"),
        DENOISE_CONTROL(6),
        DENOISE_OTHER("ip_adapter", "IPAdapterField", 7, IMU_F_OR_LIST,
                      "IP adapters: pictures to take after"),
        DENOISE_OTHER("t2i_adapter", "T2IAdapterField", 8, IMU_F_OR_LIST,
                      "T2I adapters: pictures that steer"),
        DENOISE_OTHER("denoise_mask", "DenoiseMaskField", 9, 0,
                      "The part of the picture that is to change"),
        {.name = "hidiffusion",
         .type = IMU_T_BOOL,
         .fallback = "false",
         .title = "HiDiffusion",
         .help = "A trick for large pictures (not available here)"},
        {.name = "hidiffusion_raunet",
         .type = IMU_T_BOOL,
         .fallback = "true",
         .help = "Part of HiDiffusion"},
        {.name = "hidiffusion_window_attn",
         .type = IMU_T_BOOL,
         .fallback = "true",
         .help = "Part of HiDiffusion"},
        DENOISE_SHARE("hidiffusion_t1_ratio", "0.4", "Part of HiDiffusion"),
        DENOISE_SHARE("hidiffusion_t2_ratio", "0.0", "Part of HiDiffusion")),
    &imu_out_latents,
    run_denoise};

const imu_node_type *const imu_nodes_denoise[] = {&denoise_node, NULL};
