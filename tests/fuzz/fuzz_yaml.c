/* The settings of another server. A value is one line of the text, or part of one. */
#include "cli/import.h"
#include "tests/unit/pool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {"multiuser", "outputs_dir", "a", ""};
    const char *text = pool_text(data, size);

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *value = cli_yaml_value(pool, text, keys[i]);

        if (value && (strchr(value, '\n') || !strstr(text, value)))
            abort();
    }
    apr_pool_clear(pool);
    return 0;
}
