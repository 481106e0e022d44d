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

typedef struct kind {
    const char *name, *type;
    int (*fits)(const char *head);
} kind;

static const kind kinds[] = {{"/cover.webp", "image/webp", is_webp},
                             {"/cover.png", "image/png", is_png}};

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

/* The file, if it is of that kind. */
static const imu_model_cover *cover_at(apr_pool_t *p, const char *path, const kind *k)
{
    imu_model_cover *cover;
    struct stat info;

    if (!looks_right(path, k->fits, &info))
        return NULL;
    cover = apr_palloc(p, sizeof *cover);
    cover->path = path;
    cover->type = k->type;
    cover->version = apr_psprintf(
        p, "%" APR_UINT64_T_HEX_FMT "-%" APR_UINT64_T_HEX_FMT "-%" APR_UINT64_T_HEX_FMT,
        (apr_uint64_t)info.st_ino, (apr_uint64_t)info.st_size,
        (apr_uint64_t)info.st_mtim.tv_sec * 1000000000U + (apr_uint64_t)info.st_mtim.tv_nsec);
    return cover;
}

const imu_model_cover *imu_model_cover_find(apr_pool_t *p, const char *folder)
{
    const imu_model_cover *cover = NULL;

    for (size_t i = 0; !cover && i < sizeof kinds / sizeof kinds[0]; i++)
        cover = cover_at(p, apr_pstrcat(p, folder, kinds[i].name, NULL), &kinds[i]);
    return cover;
}

const char *imu_model_cover_place(apr_pool_t *p, const char *models, const char *key)
{
    return strchr(key, '/') ? NULL : apr_pstrcat(p, models, "/model_images/", key, ".webp", NULL);
}

const imu_model_cover *imu_model_cover_by_key(apr_pool_t *p, const char *models, const char *key)
{
    const char *path = imu_model_cover_place(p, models, key);

    return path ? cover_at(p, path, &kinds[0]) : NULL;
}
