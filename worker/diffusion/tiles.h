/* Where the tiles of multi-diffusion lie, and how much each counts where several lie. Rows and
 * columns are laid out alike, so this is one axis; all in cells of latents. */
#ifndef IMU_DIFFUSION_TILES_H
#define IMU_DIFFUSION_TILES_H

#include <stdint.h>

typedef struct imu_tile_axis {
    int64_t size;  /* of the whole */
    int64_t tile;  /* of each tile, at most `size` */
    int64_t count; /* of tiles */
} imu_tile_axis;

/* As few tiles as overlap by at least `overlap`, which is from 0 to `tile` - 1; what they overlap
 * beyond that is spread among them, as InvokeAI does. */
imu_tile_axis imu_tile_axis_make(int64_t size, int64_t tile, int64_t overlap);
/* The first cell of tile i. */
int64_t imu_tile_start(const imu_tile_axis *axis, int64_t i);
/* How much each cell of tile i counts: 1, and a straight line from or to 0 over what it shares with
 * the tile before and the tile behind. weights[axis->tile]. */
void imu_tile_weights(const imu_tile_axis *axis, int64_t i, float *weights);

#endif
