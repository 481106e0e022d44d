/* Files of LoRAs: whatever names, shapes and values they hold, what is accepted can be added to a
 * weight without reading or writing beside it. */
#include "worker/diffusion/lora_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { OUT = 8, REST = 36 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    imu_lora *lora;
    imu_fault fault;
    int fd = memfd_create("lora", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (imu_lora_open(path, &lora, &fault) == IMU_ENGINE_OK) {
        for (size_t i = 0; i < lora->count; i++) {
            const imu_lora_module *m = &lora->modules[i];
            float *w = calloc(OUT * REST, sizeof *w);
            if (imu_lora_find(lora, m->part, m->name) != m)
                abort();
            if (w && imu_lora_add(lora, m, 0.5, OUT, REST, w, &fault) && !fault.text[0])
                abort();
            if (w && imu_lora_add_bias(lora, m, 0.5, OUT, w, &fault) && !fault.text[0])
                abort();
            free(w);
        }
        imu_lora_close(lora);
    }
    close(fd);
    return 0;
}
