#include "mod_invokemu/store/model_cover.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#define HEAD 12

static int is_png(const char *head)
{
    return memcmp(head, "\x89PNG\r\n\x1a\n", 8) == 0;
}

static int is_webp(const char *head)
{
    return memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "WEBP", 4) == 0;
}

static const struct {
    const char *name, *type;
    int (*fits)(const char *head);
} kinds[] = {{"/cover.webp", "image/webp", is_webp}, {"/cover.png", "image/png", is_png}};

/* Whether the file is what its name says; fills info. */
static int looks_right(const char *path, int (*fits)(const char *head), struct stat *info)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), right;
    char head[HEAD];

    if (fd < 0)
        return 0;
    right = fstat(fd, info) == 0 && S_ISREG(info->st_mode) && info->st_size <= IMU_COVER_MAX &&
            read(fd, head, HEAD) == HEAD && fits(head);
    close(fd);
    return right;
}

const imu_model_cover *imu_model_cover_find(apr_pool_t *p, const char *folder)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const char *path = apr_pstrcat(p, folder, kinds[i].name, NULL);
        imu_model_cover *cover;
        struct stat info;

        if (!looks_right(path, kinds[i].fits, &info))
            continue;
        cover = apr_palloc(p, sizeof *cover);
        cover->path = path;
        cover->type = kinds[i].type;
        cover->version = apr_psprintf(
            p, "%" APR_UINT64_T_HEX_FMT "-%" APR_UINT64_T_HEX_FMT "-%" APR_UINT64_T_HEX_FMT,
            (apr_uint64_t)info.st_ino, (apr_uint64_t)info.st_size,
            (apr_uint64_t)info.st_mtim.tv_sec * 1000000000U + (apr_uint64_t)info.st_mtim.tv_nsec);
        return cover;
    }
    return NULL;
}
