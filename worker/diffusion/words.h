/* A prompt's text as the ids of one text encoder: the tokenizer's, and in the places of triggers
 * ids of learned vectors, which lie beyond any vocabulary. */
#ifndef IMU_DIFFUSION_WORDS_H
#define IMU_DIFFUSION_WORDS_H

#include "worker/diffusion/model.h"

enum { IMU_MAX_INVERSIONS = 32 };

typedef struct imu_words {
    const imu_tokenizer *tokenizer;
    int count;                         /* of inversions */
    int first[IMU_MAX_INVERSIONS + 1]; /* row of the table at which each one's vectors begin */
    float *table;                      /* [first[count]][width] */
} imu_words;

/* Reads the vectors of the prompt's inversions for a text encoder. */
imu_engine_status imu_words_open(imu_model *m, int which, const imu_prompt_args *a, imu_words *w,
                                 imu_fault *fault);
void imu_words_close(imu_words *w);

/* The text with each trigger as one character that stands for it, so that the prompt's syntax sees
 * a word; to be freed. NULL without memory. */
char *imu_words_mark(const imu_prompt_args *a, const char *text);

/* imu_tokenize for a text so marked. */
imu_engine_status imu_words_tokenize(const imu_words *w, const char *text, int **ids, size_t *count,
                                     imu_fault *fault);

#endif
