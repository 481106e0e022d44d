/* The node that refines large pictures in tiles. */
#include "worker/nodes/denoise.h"
#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"
#include "worker/nodes/latents.h"

static int run_tiles(imu_call *call)
{
    imu_denoise_inputs in;
    const imu_tile_args tiles = {imu_in_int(call, "tile_height") / IMU_CELL,
                                 imu_in_int(call, "tile_width") / IMU_CELL,
                                 imu_in_int(call, "tile_overlap") / IMU_CELL};
    if (tiles.overlap >= tiles.height || tiles.overlap >= tiles.width)
        return imu_refuse(call->error, "InvalidInput",
                          "\"tile_overlap\" must be less than \"tile_height\" and "
                          "\"tile_width\".");
    int rc = imu_denoise_take(call, &in);
    if (!rc)
        rc = imu_denoise_run(call, &in, &tiles);
    imu_denoise_release(&in);
    return rc;
}

#define TILE_SIZE(field, value, words)                                                             \
    {                                                                                              \
        .name = field, .type = IMU_T_INT, .flags = IMU_F_MIN | IMU_F_ABOVE_MIN, .multiple_of = 8,  \
        .fallback = value, .help = words                                                           \
    }
static const imu_node_type tiles_node = {
    "tiled_multi_diffusion_denoise_latents",
    "TiledMultiDiffusionDenoiseLatents",
    "Tiled Multi-Diffusion Denoise - SD1.5, SDXL",
    "1.0.1",
    "latents",
    "upscale denoise",
    "Refines a large picture in tiles that pass into each other after each step.",
    0,
    FIELDS(DENOISE_PROMPTS("positive_conditioning", 0, 0, "What the picture should show"),
           DENOISE_PROMPTS("negative_conditioning", 0, 0, "What it should not show"),
           DENOISE_LATENTS("noise", 0, "The noise to start from"),
           DENOISE_LATENTS("latents", 0, "Latents of the picture to refine"),
           TILE_SIZE("tile_height", "1024", "Height of a tile in pixels"),
           TILE_SIZE("tile_width", "1024", "Width of a tile in pixels"),
           TILE_SIZE("tile_overlap", "32",
                     "What neighbouring tiles share at the least, in pixels; less than a tile"),
           DENOISE_STEPS("18"), DENOISE_GUIDANCE("6.0"), DENOISE_WINDOW, DENOISE_SCHEDULER,
           DENOISE_UNET(0), DENOISE_RESCALE, DENOISE_CONTROL(0)),
    &imu_out_latents,
    run_tiles};

const imu_node_type *const imu_nodes_tiles[] = {&tiles_node, NULL};
