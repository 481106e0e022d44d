/* See child.h. */
#include "worker/media/child.h"
#include "worker/media/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FILE_FD = 3, PNG_FD, THUMBNAIL_FD, ANSWER_FD, FIRST_CLOSED_FD };

static json_t *refusal(const imu_error *err)
{
    /* Whatever went wrong while encoding is, for the uploader, a picture that is too large. */
    static const char *const codes[] = {"unsupported", "corrupt"};
    const char *code = "too_large";
    for (size_t i = 0; i < 2; i++)
        if (!strcmp(err->type, codes[i]))
            code = codes[i];
    return json_pack("{s:s,s:s}", "code", code, "message", err->text);
}

static json_t *answer_for(const imu_picture *p, const imu_texts *texts)
{
    static const char *const keys[IMU_TEXT_COUNT] = {"metadata", "workflow", "graph"};
    json_t *answer = json_pack("{s:i,s:i}", "width", p->width, "height", p->height);
    for (int i = 0; answer && i < IMU_TEXT_COUNT; i++) {
        json_t *text = texts->text[i] ? json_string(texts->text[i]) : json_null();
        json_object_set_new(answer, keys[i], text ? text : json_null());
    }
    /* Control characters take six bytes each in JSON: such texts stay in the file only. */
    if (answer && imu_json_size(answer, IMU_MEDIA_MAX_ANSWER, 4) > IMU_MEDIA_MAX_ANSWER)
        for (int i = 0; i < IMU_TEXT_COUNT; i++)
            json_object_set_new(answer, keys[i], json_null());
    return answer;
}

/* Writes the PNG: the file as it came where nothing in it needs to change. */
static int write_png(const imu_picture *p, const imu_texts *texts, const uint8_t *data, size_t len,
                     bool resized, int fd, imu_error *err)
{
    if (!resized && imu_png_is_clean(data, len))
        return imu_write_all(fd, data, len)
                   ? imu_refuse(err, "too_large", "Not enough memory for the picture.")
                   : 0;
    imu_bytes png;
    if (imu_png_encode(p, texts, &png, err))
        return -1;
    int rc = imu_write_all(fd, png.data, png.len);
    free(png.data);
    return rc ? imu_refuse(err, "too_large", "Not enough memory for the picture.") : 0;
}

static int write_thumbnail(const imu_picture *p, int side, int fd, imu_error *err)
{
    imu_bytes webp;
    if (imu_thumbnail(p, side, &webp, err))
        return -1;
    int rc = imu_write_all(fd, webp.data, webp.len);
    free(webp.data);
    return rc ? imu_refuse(err, "too_large", "Not enough memory for the thumbnail.") : 0;
}

json_t *imu_media_decode_bytes(const imu_media_request *q, const uint8_t *data, size_t len,
                               int png_fd, int thumbnail_fd)
{
    imu_error err = {.type = ""};
    imu_texts texts = {.text = {NULL}};
    imu_picture *p = imu_decode(data, len, &q->limits, &texts, &err);
    bool resize =
        p && q->resize_width > 0 && (q->resize_width != p->width || q->resize_height != p->height);
    if (resize) {
        imu_picture *resized = imu_resize(p, q->resize_width, q->resize_height, IMU_FILTER_LANCZOS);
        imu_picture_free(p);
        p = resized;
        if (!p)
            imu_refuse(&err, "too_large", "Not enough memory for the picture.");
    }
    json_t *answer;
    if (p && !write_png(p, &texts, data, len, resize, png_fd, &err) &&
        !write_thumbnail(p, q->thumbnail, thumbnail_fd, &err))
        answer = answer_for(p, &texts);
    else
        answer = refusal(&err);
    imu_picture_free(p);
    imu_texts_free(&texts);
    return answer;
}

/* Puts the four descriptors at their places and closes all others: the child holds nobody else's
 * upload. */
static int arrange_fds(int file, int png, int thumbnail, int answer)
{
    int from[] = {file, png, thumbnail, answer};
    for (int i = 0; i < 4; i++) {
        from[i] = fcntl(from[i], F_DUPFD, 64); /* out of the way first */
        if (from[i] < 0)
            return -1;
    }
    for (int i = 0; i < 4; i++)
        if (dup2(from[i], FILE_FD + i) < 0)
            return -1;
    return (int)syscall(SYS_close_range, FIRST_CLOSED_FD, ~0u, 0);
}

static void child_main(const imu_media_request *q, off_t size)
{
    uint8_t *data = malloc((size_t)size);
    if (!data || imu_sandbox_enter(IMU_MEDIA_CPU_SECONDS))
        _exit(3);
    size_t len = 0;
    while (len < (size_t)size) {
        ssize_t n = pread(FILE_FD, data + len, (size_t)size - len, (off_t)len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    json_t *answer = imu_media_decode_bytes(q, data, len, PNG_FD, THUMBNAIL_FD);
    char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
    _exit(text && !imu_write_all(ANSWER_FD, text, strlen(text)) ? 0 : 4);
}

int imu_media_spawn(const imu_media_request *q, int file_fd, int png_fd, int thumbnail_fd,
                    int *answer_fd)
{
    struct stat st;
    int pair[2];
    if (fstat(file_fd, &st))
        return -1;
    if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > IMU_MEDIA_MAX_FILE) {
        errno = st.st_size > IMU_MEDIA_MAX_FILE ? EFBIG : EINVAL;
        return -1;
    }
    if (pipe2(pair, O_CLOEXEC))
        return -1;
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent ||
            arrange_fds(file_fd, png_fd, thumbnail_fd, pair[1]))
            _exit(2);
        child_main(q, st.st_size);
    }
    int err = errno;
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        errno = err;
        return -1;
    }
    *answer_fd = pair[0];
    return pid;
}
