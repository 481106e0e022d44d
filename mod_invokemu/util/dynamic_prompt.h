/*
 * dynamic_prompt.h: prompts with alternatives, and the prompts they stand for.
 *
 *   {a|b}            one of them
 *   {2$$a|b|c}       two different ones, joined by ","; {1-2$$...} one or two
 *   {2$$ and $$a|b}  joined by " and "
 *   {0.5::a|2::b}    weights, for random choice
 *
 * Alternatives nest; \{ and \} stand for themselves; __names__ of lists stay as they are.
 */
#ifndef IMU_DYNAMIC_PROMPT_H
#define IMU_DYNAMIC_PROMPT_H

#include <apr_pools.h>
#include <jansson.h>
#include <stdint.h>

/** Bytes of a prompt that is taken. */
#define IMU_DYNAMIC_MAX_LENGTH 20000

/**
 * @param max     most prompts
 * @param random  NULL: every combination, the first alternative varying slowest; else that many
 * chosen at random from this seed
 * @param error   set to a sentence when the prompt cannot be read, else NULL
 * @return list of texts; the prompt alone when it cannot be read. The caller owns it. NULL without
 * memory
 */
json_t *imu_dynamic_prompts(apr_pool_t *p, const char *prompt, int max, const uint64_t *random,
                            const char **error);

#endif
