/* The inside of a tokenizer: the table of words and merges, shared by what reads it and what turns
 * text into ids. Free of Unicode, so that the server can look at the files of one too. */
#ifndef IMU_DIFFUSION_TOKENIZER_TABLE_H
#define IMU_DIFFUSION_TOKENIZER_TABLE_H

#include "worker/diffusion/int_map.h"
#include "worker/diffusion/tokenizer.h"

#include <jansson.h>

#define IMU_BOS_TEXT "<|startoftext|>"
#define IMU_EOS_TEXT "<|endoftext|>"

struct imu_tokenizer {
    json_t *vocab; /* owns the strings that `by_text` points to */
    imu_int_map by_text;
    imu_int_map ranks;    /* pair of ids -> rank of their merge */
    int *merged;          /* rank -> id */
    const char **texts;   /* by id */
    int byte_id[256];     /* id of a byte inside a word */
    int byte_end_id[256]; /* id of a byte at a word's end */
    int bos, eos, pad;
};

/* The rank of a pair of ids in `ranks` is found by this. */
static inline uint64_t imu_pair_key(int a, int b)
{
    return (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
}

#endif
