/* See env.h. */
#include "worker/nodes/env.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_THINGS      4096
#define MAX_THING_BYTES (2ul * 1024 * 1024 * 1024)
#define MAX_FILE        (256l * 1024 * 1024)
#define THUMBNAIL_SIDE  256
#define DEFAULT_VERSION "6.12.0"

static const imu_decode_limits limits = {
    .max_pixels = IMU_ENV_MAX_PIXELS, .max_side = IMU_ENV_MAX_SIDE, .max_text = 1};

void imu_env_clear(imu_env *env)
{
    for (size_t i = 0; i < env->n_things; i++) {
        imu_array_free(env->things[i]->latents);
        imu_conditioning_free(env->things[i]->conditioning);
        free(env->things[i]);
    }
    free(env->things);
    for (size_t i = 0; i < env->n_images; i++)
        close(env->images[i].fd);
    free(env->images);
    env->things = NULL;
    env->images = NULL;
    env->n_things = env->n_images = env->thing_bytes = 0;
}

bool imu_call_cancelled(const imu_call *call)
{
    return atomic_load_explicit(&call->env->cancelled, memory_order_relaxed);
}

int imu_call_stop_asked(void *call)
{
    return imu_call_cancelled(call);
}

int imu_call_stop(imu_call *call)
{
    return imu_refuse(call->error, "CanceledException", "The job was canceled.");
}

const char *imu_env_app_version(const imu_env *env)
{
    const char *version = imu_json_str(env->metadata_extra, "app_version");
    return version ? version : DEFAULT_VERSION;
}

/* ---- latents and encoded prompts ---- */

static size_t array_bytes(const imu_array *a)
{
    return a ? (size_t)imu_array_count(a) * sizeof(float) : 0;
}

static struct imu_thing *add_thing(imu_call *call, size_t bytes, const char *base)
{
    imu_env *env = call->env;
    if (env->n_things == MAX_THINGS || env->thing_bytes + bytes > MAX_THING_BYTES) {
        imu_refuse(call->error, "TooLarge", "The run keeps too many latents or prompts at once.");
        return NULL;
    }
    if ((env->n_things & (env->n_things - 1)) == 0) {
        size_t cap = env->n_things ? 2 * env->n_things : 1;
        struct imu_thing **grown = realloc(env->things, cap * sizeof(struct imu_thing *));
        if (!grown) {
            imu_refuse(call->error, "OutOfMemory", "Not enough memory for the run.");
            return NULL;
        }
        env->things = grown;
    }
    struct imu_thing *t = calloc(1, sizeof *t);
    if (!t) {
        imu_refuse(call->error, "OutOfMemory", "Not enough memory for the run.");
        return NULL;
    }
    env->things[env->n_things++] = t;
    imu_new_uuid(t->name);
    env->thing_bytes += bytes;
    size_t len = base ? strnlen(base, sizeof t->base - 1) : 0;
    if (len)
        memcpy(t->base, base, len);
    return t;
}

const char *imu_env_keep_latents(imu_call *call, imu_array *latents, const char *base,
                                 uint64_t seed)
{
    struct imu_thing *t = latents ? add_thing(call, array_bytes(latents), base) : NULL;
    if (!latents)
        imu_refuse(call->error, "OutOfMemory", "Not enough memory for the latents.");
    if (!t) {
        imu_array_free(latents);
        return NULL;
    }
    t->latents = latents;
    t->seed = seed;
    return t->name;
}

const char *imu_env_keep_conditioning(imu_call *call, imu_conditioning *c, const char *base)
{
    struct imu_thing *t = add_thing(call, array_bytes(c->embeds) + array_bytes(c->pooled), base);
    if (!t) {
        imu_conditioning_free(c);
        return NULL;
    }
    t->conditioning = c;
    return t->name;
}

static const struct imu_thing *find_thing(imu_call *call, const char *name, bool latents)
{
    for (size_t i = 0; name && i < call->env->n_things; i++) {
        const struct imu_thing *t = call->env->things[i];
        if (!strcmp(t->name, name) && (latents ? t->latents != NULL : t->conditioning != NULL))
            return t;
    }
    imu_refuse(call->error, "NotFound", "The %s that this node names was not made in this run.",
               latents ? "latents" : "prompt");
    return NULL;
}

const struct imu_thing *imu_env_latents(imu_call *call, const json_t *field)
{
    return find_thing(call, imu_json_str(field, "latents_name"), true);
}

const struct imu_thing *imu_env_tensor(imu_call *call, const json_t *field, const char *key)
{
    return find_thing(call, imu_json_str(field, key), true);
}

const struct imu_thing *imu_env_conditioning(imu_call *call, const json_t *field)
{
    return find_thing(call, imu_json_str(field, "conditioning_name"), false);
}

/* ---- pictures ---- */

int imu_env_add_image(imu_env *env, const char *name, int fd)
{
    struct imu_env_image *grown = realloc(env->images, (env->n_images + 1) * sizeof *grown);
    size_t len = strlen(name);
    if (grown)
        env->images = grown;
    if (!grown || len == 0 || len >= sizeof grown->name) {
        close(fd);
        return -1;
    }
    struct imu_env_image *image = &env->images[env->n_images++];
    memcpy(image->name, name, len + 1);
    image->fd = fd;
    return 0;
}

/* Maps the file of the picture that field names. */
static uint8_t *map_image(imu_call *call, const json_t *field, size_t *len)
{
    const char *name = imu_json_str(field, "image_name");
    int fd = -1;
    for (size_t i = 0; name && i < call->env->n_images; i++)
        if (!strcmp(call->env->images[i].name, name))
            fd = call->env->images[i].fd;
    struct stat st;
    if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size <= 0) {
        imu_refuse(call->error, "ImageFileNotFoundException",
                   "A picture that this starts from is not there any more.");
        return NULL;
    }
    if (st.st_size > MAX_FILE) {
        imu_refuse(call->error, "TooLarge", "The picture's file is larger than %ld MiB.",
                   MAX_FILE >> 20);
        return NULL;
    }
    /* A copy, not a mapping: the file could be cut short while it is read. */
    uint8_t *data = malloc((size_t)st.st_size);
    ssize_t n = data ? pread(fd, data, (size_t)st.st_size, 0) : -1;
    if (n <= 0) {
        free(data);
        imu_refuse(call->error, "ImageFileNotFoundException",
                   "The picture \"%.60s\" could not be read.", name);
        return NULL;
    }
    *len = (size_t)n;
    return data;
}

imu_picture *imu_env_load_image(imu_call *call, const json_t *field)
{
    size_t len;
    uint8_t *data = map_image(call, field, &len);
    if (!data)
        return NULL;
    imu_picture *p = imu_decode(data, len, &limits, NULL, call->error);
    free(data);
    return p;
}

int imu_env_image_size(imu_call *call, const json_t *field, int *width, int *height)
{
    imu_picture *p = imu_env_load_image(call, field);
    if (!p)
        return -1;
    *width = p->width;
    *height = p->height;
    imu_picture_free(p);
    return 0;
}

/* The node's metadata with the run's additions, as text; NULL without metadata. */
static char *metadata_text(const imu_call *call)
{
    const json_t *metadata = imu_in(call, "metadata");
    if (!json_is_object(metadata))
        return NULL;
    json_t *all = json_copy((json_t *)metadata);
    if (all && json_is_object(call->env->metadata_extra))
        json_object_update(all, (json_t *)call->env->metadata_extra);
    char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;
    json_decref(all);
    return text;
}

static int add_files(imu_call *call, const imu_bytes *png, const imu_bytes *thumbnail)
{
    if (call->n_fds + 2 > (int)(sizeof call->fds / sizeof call->fds[0]))
        return imu_refuse(call->error, "TooLarge", "One node made too many pictures.");
    int a = imu_memfd_of("picture", png->data, png->len);
    int b = a < 0 ? -1 : imu_memfd_of("thumbnail", thumbnail->data, thumbnail->len);
    if (b < 0) {
        if (a >= 0)
            close(a);
        return imu_refuse(call->error, "OutOfMemory", "Not enough memory for the picture's file.");
    }
    call->fds[call->n_fds++] = a;
    call->fds[call->n_fds++] = b;
    return 0;
}

/* Describes the picture just added, and lets later nodes of the run load it. */
static json_t *describe(imu_call *call, const imu_picture *p, const char *category,
                        const char *metadata)
{
    char name[IMU_UUID_SIZE + 4];
    imu_new_uuid(name);
    memcpy(name + IMU_UUID_SIZE - 1, ".png", 5);
    int again = fcntl(call->fds[call->n_fds - 2], F_DUPFD_CLOEXEC, 0);
    if (again < 0 || imu_env_add_image(call->env, name, again)) {
        imu_refuse(call->error, "OutOfMemory", "Not enough memory for the picture.");
        return NULL;
    }
    const char *board = imu_json_str(imu_in(call, "board"), "board_id");
    json_t *row =
        json_pack("{s:s,s:i,s:i,s:s,s:b,s:s?,s:s?,s:b,s:i,s:i}", "image_name", name, "width",
                  p->width, "height", p->height, "category", category, "is_intermediate",
                  imu_in_bool(call, "is_intermediate"), "board_id", board, "metadata", metadata,
                  "has_workflow", call->env->workflow != NULL, "fd", call->n_fds - 2,
                  "thumbnail_fd", call->n_fds - 1);
    if (!row || json_array_append_new(call->images, row)) {
        imu_refuse(call->error, "OutOfMemory", "Not enough memory for the picture.");
        return NULL;
    }
    return json_pack("{s:{s:s},s:i,s:i}", "image", "image_name", name, "width", p->width, "height",
                     p->height);
}

json_t *imu_env_save_image(imu_call *call, const imu_picture *p, const char *category)
{
    imu_texts texts = {
        .text = {metadata_text(call), (char *)call->env->workflow, (char *)call->env->graph}};
    imu_bytes png = {0}, thumbnail = {0};
    json_t *out = NULL;
    if (!imu_png_encode(p, &texts, &png, call->error) &&
        !imu_thumbnail(p, THUMBNAIL_SIDE, &thumbnail, call->error) &&
        !add_files(call, &png, &thumbnail))
        out = describe(call, p, category, texts.text[IMU_TEXT_METADATA]);
    free(png.data);
    free(thumbnail.data);
    free(texts.text[IMU_TEXT_METADATA]);
    return out;
}
