/* The prompt syntax of the compel library: weights "(a cat)1.2", "cat++", "cat-", nesting, quotes,
 * ("a", "b").blend(0.7, 0.3) and ("a", "b").and(1, 0.5). Text that doesn't fit the syntax is taken
 * as words. */
#ifndef IMU_DIFFUSION_PROMPT_H
#define IMU_DIFFUSION_PROMPT_H

#include "worker/diffusion/fault.h"

typedef struct imu_fragment {
    char *text;
    double weight;
} imu_fragment;

/* A run of fragments whose embeddings are made together. */
typedef struct imu_phrase {
    imu_fragment *fragments;
    size_t count, room;
    double weight; /* in its blend or conjunction */
} imu_phrase;

enum { IMU_MAX_PHRASES = 32 };

typedef struct imu_prompt {
    imu_phrase phrase[IMU_MAX_PHRASES];
    int count;
    bool blend;     /* mix the phrases; else one after the other */
    bool normalise; /* of a blend: weights sum to one */
} imu_prompt;

/* Parses UTF-8 of at most 16 KiB. */
imu_engine_status imu_prompt_parse(const char *text, imu_prompt *out, imu_fault *fault);
void imu_prompt_free(imu_prompt *p);

#endif
