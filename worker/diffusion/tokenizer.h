/* The CLIP tokenizer: NFC, collapsed white space, lower case, CLIP's word pattern, byte-level BPE
 * with an end-of-word mark. Read-only after opening, so any thread may use it. */
#ifndef IMU_DIFFUSION_TOKENIZER_H
#define IMU_DIFFUSION_TOKENIZER_H

#include "worker/diffusion/fault.h"

typedef struct imu_tokenizer imu_tokenizer;

/* Reads vocab.json, merges.txt and the special tokens of a folder. With a `hash`, the first two
 * alone, which must have it (tokenizer_files.h); NULL: whatever they hold.
 * IMU_ENGINE_BAD_MODEL when they have another. */
imu_engine_status imu_tokenizer_open(const char *folder, const char *hash, imu_tokenizer **out,
                                     imu_fault *fault);
void imu_tokenizer_close(imu_tokenizer *t);

int imu_tokenizer_bos(const imu_tokenizer *t);
int imu_tokenizer_eos(const imu_tokenizer *t);
int imu_tokenizer_pad(const imu_tokenizer *t);

/* The symbol of a token id, "" for none, e.g. "cat</w>". */
const char *imu_tokenizer_text(const imu_tokenizer *t, int id);

/* Token ids of UTF-8 `text` (at most 16 KiB), without start and end, not cut. Broken UTF-8 becomes
 * U+FFFD. *ids is the caller's to free. */
imu_engine_status imu_tokenize(const imu_tokenizer *t, const char *text, int **ids, size_t *count,
                               imu_fault *fault);

#endif
