/* Files of pictures, of which one asks whether they are all there. A PNG file that is whole is none
 * any more without its last byte. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mod_invokemu/store/picture_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int is_whole(const uint8_t *data, size_t size, int (*check)(int fd))
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC), whole;

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    whole = check(fd);
    close(fd);
    return whole;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (is_whole(data, size, imu_png_is_whole) && size < 8 + 12 + 12)
        abort();
    if (is_whole(data, size, imu_webp_is_whole) && size < 12)
        abort();
    return 0;
}
