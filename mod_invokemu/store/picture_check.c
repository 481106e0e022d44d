#include "mod_invokemu/store/picture_check.h"

#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mod_invokemu/store/files.h"

/* Pictures of ours have some hundred chunks. */
#define MAX_CHUNKS 1000000

static int read_at(int fd, void *data, size_t len, off_t at)
{
    return imu_read_at(fd, data, len, at) == (ssize_t)len;
}

static uint32_t big_endian(const unsigned char *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

int imu_png_is_whole(int fd)
{
    unsigned char head[8];
    struct stat st;
    off_t at = 8;

    if (fstat(fd, &st) != 0 || !read_at(fd, head, 8, 0) ||
        memcmp(head, "\x89PNG\r\n\x1a\n", 8) != 0)
        return 0;
    /* Each chunk: length of its data, its type, the data, a checksum. */
    for (int i = 0; i < MAX_CHUNKS && read_at(fd, head, 8, at); i++) {
        uint32_t len = big_endian(head);

        if (len > INT32_MAX || at + 12 + (off_t)len > st.st_size)
            return 0;
        if (memcmp(head + 4, "IEND", 4) == 0)
            return i > 0;
        at += 12 + (off_t)len;
    }
    return 0;
}

int imu_webp_is_whole(int fd)
{
    unsigned char head[12];
    struct stat st;

    if (fstat(fd, &st) != 0 || !read_at(fd, head, 12, 0) || memcmp(head, "RIFF", 4) != 0 ||
        memcmp(head + 8, "WEBP", 4) != 0)
        return 0;
    return 8 + (off_t)((uint32_t)head[4] | (uint32_t)head[5] << 8 | (uint32_t)head[6] << 16 |
                       (uint32_t)head[7] << 24) <=
           st.st_size;
}
