/* The config.json of each network, by the first byte: a UNet's, a VAE's, a text encoder's, a
 * ControlNet's, a T2I adapter's or that of an encoder of pictures. The weights beside it are those
 * of the fixtures, so that what fits them is built. */
#include "worker/diffusion/model.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIXTURES "tests/fixtures/diffusion/"

enum { KINDS = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct network {
    const char *from, *weights;
} networks[KINDS] = {
    {"tiny-sd15/unet", "diffusion_pytorch_model.fp16.safetensors"},
    {"tiny-sd15/vae", "diffusion_pytorch_model.fp16.safetensors"},
    {"tiny-sd15/text_encoder", "model.fp16.safetensors"},
    {"tiny-control", "diffusion_pytorch_model.safetensors"},
    {"tiny-t2i-full", "diffusion_pytorch_model.safetensors"},
    {"tiny-vision", "model.safetensors"},
};
static char root[] = "/tmp/imu-fuzz-config-XXXXXX";
static imu_engine *engine;

static void folder_of(char *path, int kind)
{
    snprintf(path, PATH_MAX, "%s/%d", root, kind);
}

static void path_of(char *path, int kind, const char *name)
{
    snprintf(path, PATH_MAX, "%s/%d/%s", root, kind, name);
}

static void tear_down(void)
{
    char path[PATH_MAX];

    for (int i = 0; i < KINDS; i++) {
        path_of(path, i, "config.json");
        unlink(path);
        path_of(path, i, networks[i].weights);
        unlink(path);
        folder_of(path, i);
        rmdir(path);
    }
    rmdir(root);
    imu_engine_close(engine);
}

static void set_up(void)
{
    char path[PATH_MAX], target[PATH_MAX], *from;

    if (!mkdtemp(root))
        abort();
    for (int i = 0; i < KINDS; i++) {
        folder_of(path, i);
        snprintf(target, sizeof target, FIXTURES "%s/%s", networks[i].from, networks[i].weights);
        from = realpath(target, NULL);
        if (!from || mkdir(path, 0700))
            abort();
        path_of(path, i, networks[i].weights);
        if (symlink(from, path))
            abort();
        free(from);
    }
    if (imu_engine_open(&(imu_engine_options){.threads = 1, .device = "cpu"}, &engine, NULL))
        abort();
    atexit(tear_down);
}

static void put_config(int kind, const uint8_t *data, size_t size)
{
    char path[PATH_MAX];
    int fd;

    path_of(path, kind, "config.json");
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
}

static void open_network(int kind, const imu_net_place *place)
{
    imu_backend *backend = engine->backend;
    imu_text_encoder *text;
    imu_control *control;
    imu_vision *vision;
    imu_unet *unet;
    imu_model *model;
    imu_vae *vae;
    imu_t2i *t2i;

    if (kind == 0 && !imu_unet_open(backend, place, &unet, NULL))
        imu_unet_close(unet);
    if (kind == 1 && !imu_vae_open(backend, place, &vae, NULL))
        imu_vae_close(vae);
    if (kind == 1 && !imu_model_open(engine, place->folder, &model, NULL))
        imu_model_close(model);
    if (kind == 2 && !imu_text_encoder_open(backend, place, &text, NULL))
        imu_text_encoder_close(text);
    if (kind == 3 && !imu_control_open(engine, place->folder, &control, NULL))
        imu_control_close(control);
    if (kind == 4 && !imu_t2i_open(engine, place->folder, &t2i, NULL))
        imu_t2i_close(t2i);
    if (kind == 5 && !imu_vision_open(engine, place->folder, &vision, NULL))
        imu_vision_close(vision);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char folder[PATH_MAX];
    int kind;

    if (!engine)
        set_up();
    if (size == 0)
        return 0;
    kind = data[0] % KINDS;
    put_config(kind, data + 1, size - 1);
    folder_of(folder, kind);
    open_network(kind, &(imu_net_place){.folder = folder});
    return 0;
}
