#include "worker/diffusion/model_files.h"

#include "worker/diffusion/json_file.h"
#include "worker/diffusion/model_kind.h"
#include "worker/diffusion/sharded.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_JSON ((size_t)16 << 20)

#define IP_PICKLE "ip_adapter.bin"
#define WHOLE     "." /* the part that is the folder itself */

static const char *const parts[] = {WHOLE, "text_encoder", "text_encoder_2", "unet", "vae"};
static const char *const weights[] = {"diffusion_pytorch_model.safetensors",
                                      "model.safetensors",
                                      "diffusion_pytorch_model.fp16.safetensors",
                                      "model.fp16.safetensors",
                                      "diffusion_pytorch_model.safetensors.index.json",
                                      "model.safetensors.index.json",
                                      "diffusion_pytorch_model.safetensors.index.fp16.json",
                                      "model.safetensors.index.fp16.json",
                                      IMU_IP_WEIGHTS};
static const char *const others[] = {"model_index.json",
                                     "config.json",
                                     IMU_IP_ENCODER,
                                     IP_PICKLE,
                                     "text_encoder/config.json",
                                     "text_encoder_2",
                                     "text_encoder_2/config.json",
                                     "unet/config.json",
                                     "vae/config.json",
                                     "tokenizer/vocab.json",
                                     "tokenizer/merges.txt",
                                     "tokenizer_2/vocab.json",
                                     "tokenizer_2/merges.txt",
                                     "scheduler",
                                     "scheduler/scheduler_config.json"};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* folder/name; false when that is too long for a path. */
static bool join(char path[PATH_MAX], const char *folder, const char *name)
{
    int n = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return n > 0 && n < PATH_MAX;
}

/* Where a part lies. */
static bool join_part(char path[PATH_MAX], const char *folder, const char *part)
{
    return strcmp(part, WHOLE) ? join(path, folder, part)
                               : snprintf(path, PATH_MAX, "%s", folder) < PATH_MAX;
}

const char *imu_net_file_name(const char *folder)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < COUNT(weights); i++)
        if (join(path, folder, weights[i]) && !access(path, R_OK))
            return weights[i];
    return NULL;
}

static imu_flaw_kind found(imu_flaw *flaw, imu_flaw_kind kind, const char *why)
{
    flaw->kind = kind;
    snprintf(flaw->why, sizeof flaw->why, "%.255s", why);
    return kind;
}

/* Whether the file flaw->file is there to be read. */
static imu_flaw_kind check_there(const char *folder, char path[PATH_MAX], imu_flaw *flaw)
{
    struct stat info;
    if (!join(path, folder, flaw->file))
        return found(flaw, IMU_FLAW_UNREADABLE, "The path is too long");
    if (stat(path, &info) && (errno == ENOENT || errno == ENOTDIR))
        return found(flaw, IMU_FLAW_MISSING, "");
    if (access(path, R_OK))
        return found(flaw, IMU_FLAW_UNREADABLE, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return found(flaw, IMU_FLAW_UNREADABLE, "It is no file");
    return IMU_FLAW_NONE;
}

static imu_flaw_kind check_json(const char *folder, const char *name, imu_flaw *flaw)
{
    char path[PATH_MAX];
    json_t *value;
    imu_fault fault;
    snprintf(flaw->file, sizeof flaw->file, "%s", name);
    if (check_there(folder, path, flaw))
        return flaw->kind;
    if (imu_json_read(folder, name, MAX_JSON, &value, &fault))
        return found(flaw, IMU_FLAW_NOT_JSON, "");
    json_decref(value);
    return IMU_FLAW_NONE;
}

/* Notes what opening a file of weights answered: the fault begins with the file's path. */
static imu_flaw_kind damaged(imu_flaw *flaw, const char *path, const imu_fault *fault)
{
    char prefix[PATH_MAX];
    size_t n = (size_t)snprintf(prefix, sizeof prefix, IMU_ST_PATH, path);
    return found(flaw, IMU_FLAW_DAMAGED,
                 strncmp(fault->text, prefix, n) ? fault->text : fault->text + n);
}

/* Notes that flaw->file is looked at: part/name. */
static bool look_at(imu_flaw *flaw, const char *part, const char *name)
{
    bool whole = !strcmp(part, WHOLE);
    int n = snprintf(flaw->file, sizeof flaw->file, "%s%s%s", whole ? "" : part, whole ? "" : "/",
                     name);
    return n > 0 && (size_t)n < sizeof flaw->file;
}

/* Each shard by itself, so that the flaw is laid to the right one. */
static imu_flaw_kind check_shards(const char *folder, const char *part, const char *place,
                                  const char *index, imu_flaw *flaw)
{
    char path[PATH_MAX];
    imu_shards *shards;
    imu_safetensors *st;
    imu_fault fault;
    imu_flaw_kind kind = IMU_FLAW_NONE;
    if (check_there(folder, path, flaw))
        return flaw->kind;
    if (imu_shards_read(place, index, &shards, &fault))
        return damaged(flaw, path, &fault);
    for (size_t i = 0; i < shards->count && !kind; i++) {
        kind = look_at(flaw, part, shards->name[i]) ? check_there(folder, path, flaw)
                                                    : found(flaw, IMU_FLAW_UNREADABLE, "");
        if (!kind && imu_st_open(path, &st, &fault))
            kind = damaged(flaw, path, &fault);
        else if (!kind)
            imu_st_close(st);
    }
    imu_shards_free(shards);
    return kind;
}

/* The header says where in the file each tensor lies: a file that was cut shows here. */
static imu_flaw_kind check_weights(const char *folder, const char *part, imu_flaw *flaw)
{
    char path[PATH_MAX], place[PATH_MAX];
    imu_safetensors *st;
    imu_fault fault;
    const char *name = join_part(place, folder, part) ? imu_net_file_name(place) : NULL;
    for (size_t i = 0; !name && i < COUNT(weights); i++) {
        /* One that may not be read is another fault than none. */
        if (look_at(flaw, part, weights[i]) &&
            check_there(folder, path, flaw) == IMU_FLAW_UNREADABLE)
            return flaw->kind;
    }
    if (!name) {
        snprintf(flaw->file, sizeof flaw->file, "%s", part);
        return found(flaw, IMU_FLAW_NO_WEIGHTS, "");
    }
    if (imu_is_index(name) && check_shards(folder, part, place, name, flaw))
        return flaw->kind;
    look_at(flaw, part, name);
    if (check_there(folder, path, flaw))
        return flaw->kind;
    if (imu_weights_open(place, name, &st, &fault))
        return damaged(flaw, path, &fault);
    imu_flaw_kind kind =
        st->count ? IMU_FLAW_NONE : found(flaw, IMU_FLAW_DAMAGED, "It holds no tensor");
    imu_st_close(st);
    return kind;
}

static imu_flaw_kind check_part(const char *folder, const char *part, imu_flaw *flaw)
{
    char name[sizeof flaw->file];
    look_at(flaw, part, "config.json");
    memcpy(name, flaw->file, sizeof name);
    return check_json(folder, name, flaw) ? flaw->kind : check_weights(folder, part, flaw);
}

imu_flaw_kind imu_network_files_check(const char *folder, imu_flaw *flaw)
{
    char path[PATH_MAX];
    *flaw = (imu_flaw){.kind = IMU_FLAW_NONE};
    if (!join(path, folder, IMU_IP_ENCODER) || access(path, F_OK))
        return check_part(folder, WHOLE, flaw);
    if (!imu_net_file_name(folder) && join(path, folder, IP_PICKLE) && !access(path, F_OK)) {
        look_at(flaw, WHOLE, IP_PICKLE);
        return found(flaw, IMU_FLAW_PICKLE, "");
    }
    return check_weights(folder, WHOLE, flaw);
}

static imu_flaw_kind check_tokenizer(const char *folder, const char *part, imu_flaw *flaw)
{
    char name[sizeof flaw->file], path[PATH_MAX];
    snprintf(name, sizeof name, "%s/vocab.json", part);
    if (check_json(folder, name, flaw))
        return flaw->kind;
    snprintf(flaw->file, sizeof flaw->file, "%s/merges.txt", part);
    return check_there(folder, path, flaw);
}

imu_flaw_kind imu_model_files_check(const char *folder, imu_flaw *flaw)
{
    char path[PATH_MAX];
    imu_model_kind kind;
    imu_flaw ignored;
    flaw = flaw ? flaw : &ignored;
    *flaw = (imu_flaw){.kind = IMU_FLAW_NONE};
    /* The engine has a schedule for models without this folder. */
    if (join(path, folder, "scheduler") && !access(path, F_OK) &&
        check_json(folder, "scheduler/scheduler_config.json", flaw))
        return flaw->kind;
    if (check_part(folder, "unet", flaw) || check_part(folder, "vae", flaw))
        return flaw->kind;
    if (imu_model_kind_read(folder, &kind, NULL))
        return found(flaw, IMU_FLAW_UNREADABLE, "Its configuration changed while it was read");
    for (int i = 0; i < kind.encoders; i++)
        if (check_part(folder, kind.encoder[i], flaw) ||
            check_tokenizer(folder, kind.tokenizer[i], flaw))
            return flaw->kind;
    return flaw->kind;
}

static void mix(uint64_t *mark, const void *data, size_t size)
{
    for (const unsigned char *c = data; size; size--)
        *mark = (*mark ^ *c++) * 0x100000001b3; /* FNV-1a */
}

static void mix_file(uint64_t *mark, const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct stat info;
    errno = 0;
    bool fits = join_part(path, folder, name);
    int state = !fits || stat(path, &info) || access(path, R_OK) ? 1 + errno : 0;
    mix(mark, &state, sizeof state);
    if (state)
        return;
    mix(mark, &info.st_dev, sizeof info.st_dev);
    mix(mark, &info.st_ino, sizeof info.st_ino);
    mix(mark, &info.st_size, sizeof info.st_size);
    mix(mark, &info.st_mtim, sizeof info.st_mtim);
    mix(mark, &info.st_ctim, sizeof info.st_ctim);
}

/* The weights of a part, under each name that they may have. */
static void mix_weights(uint64_t *mark, const char *folder, const char *part)
{
    char name[sizeof((imu_flaw *)0)->file], path[PATH_MAX];
    imu_shards *shards;
    for (size_t k = 0; k < COUNT(weights); k++) {
        snprintf(name, sizeof name, "%s/%s", part, weights[k]);
        mix_file(mark, folder, name);
        if (!imu_is_index(name) || !join_part(path, folder, part) ||
            imu_shards_read(path, weights[k], &shards, NULL))
            continue;
        for (size_t i = 0; i < shards->count; i++) {
            snprintf(name, sizeof name, "%s/%s", part, shards->name[i]);
            mix_file(mark, folder, name);
        }
        imu_shards_free(shards);
    }
}

bool imu_is_weights_file(const char *path)
{
    static const char end[] = ".safetensors";
    struct stat info;
    size_t n = strlen(path), m = sizeof end - 1;
    return n > m && !strcmp(path + n - m, end) && !stat(path, &info) && S_ISREG(info.st_mode);
}

uint64_t imu_model_files_mark(const char *folder)
{
    uint64_t mark = 0xcbf29ce484222325;
    if (imu_is_weights_file(folder)) {
        mix_file(&mark, folder, WHOLE);
        return mark;
    }
    for (size_t i = 0; i < COUNT(others); i++)
        mix_file(&mark, folder, others[i]);
    for (size_t i = 0; i < COUNT(parts); i++)
        mix_weights(&mark, folder, parts[i]);
    return mark;
}
