#include "cli/media.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "mod_invokemu/store/files.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/store/previews.h"
#include "wire/media_client.h"

#define DECODE_MS 60000
#define MAX_SIDE  16384

/* Where the installed service listens, and a server by its defaults. */
static const char *socket_of(const cli *c)
{
    static const char *const usual[] = {"/run/invokemu-media/media.sock",
                                        "/run/invokemu/media.sock"};

    if (c->opt.media)
        return c->opt.media;
    return access(usual[0], F_OK) == 0 ? usual[0] : usual[1];
}

imu_err *cli_thumbnail(cli *c, apr_pool_t *p, const char *png, const char *webp)
{
    const struct imu_media_limits limits = {.max_side = MAX_SIDE, .thumbnail = IMU_PREVIEW_SIDE};
    struct imu_media_result made;
    int fd = open(png, O_RDONLY | O_CLOEXEC), rv;
    imu_err *err = NULL;

    if (fd < 0)
        return imu_error(p, 404, "picture_invalid", "%s: %s", png, strerror(errno));
    rv = imu_media_decode(socket_of(c), fd, &limits, DECODE_MS, &made);
    if (rv < 0)
        err = imu_error(p, 503, "no_media",
                        "the media process can't be asked at %s (%s): name its socket with --media",
                        socket_of(c), strerror(errno));
    else if (rv > 0)
        err = imu_error(p, 422, "picture_invalid", "%s: %s", png, made.message);
    else
        err = imu_file_store(p, made.thumbnail_fd, webp, IMU_FILE_WEBP, IMU_MAX_PICTURE_FILE);
    imu_media_result_free(&made);
    close(fd);
    return err;
}
