/* Prompts: the syntax of weights, and the tokenizer with the small vocabulary of the fixtures. */
#include "worker/diffusion/prompt.h"
#include "worker/diffusion/tokenizer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static imu_tokenizer *tokenizer(void)
{
    static imu_tokenizer *t;
    imu_fault fault;
    if (!t &&
        imu_tokenizer_open("tests/fixtures/diffusion/tiny-sd15/tokenizer", NULL, &t, &fault)) {
        fprintf(stderr, "%s\n", fault.text);
        exit(1);
    }
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    imu_prompt prompt;
    int *ids;
    size_t count;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    if (!imu_prompt_parse(text, &prompt, NULL)) {
        for (int i = 0; i < prompt.count; i++)
            for (size_t k = 0; k < prompt.phrase[i].count; k++)
                if (!imu_tokenize(tokenizer(), prompt.phrase[i].fragments[k].text, &ids, &count,
                                  NULL)) {
                    for (size_t j = 0; j < count; j++)
                        if (!*imu_tokenizer_text(tokenizer(), ids[j]))
                            abort();
                    free(ids);
                }
        imu_prompt_free(&prompt);
    }
    free(text);
    return 0;
}
