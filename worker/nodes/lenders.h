/* lenders.h: whose tokenizer a checkpoint of one file uses, as such files have none. */
#ifndef IMU_LENDERS_H
#define IMU_LENDERS_H

#include "worker/diffusion/pipeline.h"

/**
 * Gives a checkpoint a tokenizer whose words fit it: of those that the server keeps, CLIP's as it
 * was published; else that of a model that lies there as a folder; else another that is kept, as of
 * a model that is gone. All that fit have as many words, and the checkpoint knows itself what fills
 * its chunks. Without one, the model says what it lacks when a prompt is to be encoded.
 * @param kept   folder of kept tokenizers, each in a folder called by its hash; "" for none
 * @param where  folder of models
 */
void imu_lend_tokenizer(const char *kept, const char *where, imu_model *model);

#endif
