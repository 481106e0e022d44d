/* The manifest of a backup. What is taken is in its bounds. */
#include "tests/unit/pool.h"
#include "cli/backup.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cli_manifest manifest;
    const char *text = pool_text(data, size);
    imu_err *err = cli_manifest_read(pool, text, size, &manifest);

    if (!err && (manifest.schema < 1 || manifest.pictures < 0 || !manifest.made_at))
        abort();
    apr_pool_clear(pool);
    return 0;
}
