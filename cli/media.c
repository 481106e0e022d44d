#include "cli/media.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "mod_invokemu/store/files.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/store/previews.h"
#include "wire/media_client.h"

#define DECODE_MS 60000
#define MAX_SIDE  16384

/* As the server is set, or where the installed service listens, and a server by its defaults. */
static const char *socket_of(const cli *c)
{
    static const char *const usual[] = {"/run/invokemu-media/media.sock",
                                        "/run/invokemu/media.sock"};

    if (c->opt.media || c->server.media)
        return c->opt.media ? c->opt.media : c->server.media;
    return access(usual[0], F_OK) == 0 ? usual[0] : usual[1];
}

static imu_err *decode(cli *c, apr_pool_t *p, const char *png, struct imu_media_result *made)
{
    const struct imu_media_limits limits = {.max_side = MAX_SIDE, .thumbnail = IMU_PREVIEW_SIDE};
    int fd = open(png, O_RDONLY | O_CLOEXEC), rv;

    memset(made, 0, sizeof *made);
    made->png_fd = made->thumbnail_fd = -1;
    if (fd < 0)
        return imu_error(p, 404, "picture_invalid", "%s: %s", png, strerror(errno));
    rv = imu_media_decode(socket_of(c), fd, &limits, DECODE_MS, made);
    close(fd);
    if (rv < 0)
        return imu_error(
            p, 503, "no_media",
            "the media process can't be asked at %s (%s): name its socket with --media",
            socket_of(c), strerror(errno));
    return rv == 0 ? NULL : imu_error(p, 422, "picture_invalid", "%s: %s", png, made->message);
}

imu_err *cli_thumbnail(cli *c, apr_pool_t *p, const char *png, const char *webp)
{
    struct imu_media_result made;
    imu_err *err = decode(c, p, png, &made);

    if (!err)
        err = imu_file_store(p, made.thumbnail_fd, webp, IMU_FILE_WEBP, IMU_MAX_PICTURE_FILE);
    imu_media_result_free(&made);
    return err;
}

imu_err *cli_documents(cli *c, apr_pool_t *p, const char *png, const char **workflow,
                       const char **graph)
{
    struct imu_media_result made;
    imu_err *err = decode(c, p, png, &made);

    if (!err) {
        *workflow = made.workflow ? apr_pstrdup(p, made.workflow) : NULL;
        *graph = made.graph ? apr_pstrdup(p, made.graph) : NULL;
    }
    imu_media_result_free(&made);
    return err;
}
