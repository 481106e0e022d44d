/* LoRAs: files of small changes to the weights of a network. A change is computed when a weight is
 * read, so that taking a LoRA off is reading the weight again, and nothing drifts. */
#ifndef IMU_DIFFUSION_LORA_H
#define IMU_DIFFUSION_LORA_H

#include "worker/diffusion/fault.h"

typedef enum imu_lora_part {
    IMU_LORA_UNET = 0,
    IMU_LORA_TEXT,  /* the first or only text encoder */
    IMU_LORA_TEXT_2 /* XL's second one */
} imu_lora_part;

/* Which layers a LoRA has something for, by part and flattened name ("mid_block_resnets_0_conv1").
 */
typedef struct imu_lora_module imu_lora_module;

/* NULL when the LoRA leaves that layer as it is. */
const imu_lora_module *imu_lora_find(const imu_lora *lora, imu_lora_part part, const char *name);

/* w[out][rest] += strength * change, float32. `rest`: what follows the first dimension. A shape
 * that doesn't fit is a fault that names the layer. */
imu_engine_status imu_lora_add(const imu_lora *lora, const imu_lora_module *module, double strength,
                               int64_t out, int64_t rest, float *w, imu_fault *fault);
/* The same for the layer's bias. */
imu_engine_status imu_lora_add_bias(const imu_lora *lora, const imu_lora_module *module,
                                    double strength, int64_t out, float *bias, imu_fault *fault);

/* One more holder; each gives it back with imu_lora_close. */
imu_lora *imu_lora_hold(imu_lora *lora);
/* Whether both were opened from the same file, unchanged in between. */
bool imu_lora_same(const imu_lora *a, const imu_lora *b);

#endif
