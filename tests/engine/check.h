/* check-engine: compares the engine, part by part, with golden tensors in the layout of
 * tests/fixtures/diffusion (models tiny-NAME, results golden/NAME). What the parts share. */
#ifndef IMU_TESTS_ENGINE_CHECK_H
#define IMU_TESTS_ENGINE_CHECK_H

#include "worker/diffusion/safetensors.h"
#include "worker/tensor/tensor.h"

#include <jansson.h>

/* One line of the printed table. */
typedef struct check_row {
    char file[96];
    int compared, skipped;
    double worst;   /* largest error as a share of what is allowed */
    double error;   /* that error, as measured */
    char where[96]; /* and where it is */
} check_row;

typedef struct check {
    const char *fixtures;
    imu_backend *backend;
    imu_engine *engine;
    check_row rows[64];
    int row_count;
    int failures; /* files that could not be read, engine errors */
} check;

/* A tensor of a golden file. */
typedef struct check_tensor {
    const imu_st_entry *entry;
    size_t count;
    double *value;
} check_tensor;

/* Opens golden/`file`; NULL when it is not there. */
imu_safetensors *check_open(check *c, const char *file);
/* Reads a tensor; value NULL when it is not there. Give back with check_release. */
check_tensor check_read(check *c, const imu_safetensors *st, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void check_release(check_tensor *t);
/* The same as a host array (at most four dimensions); NULL when it is not there. */
imu_array *check_array(check *c, const imu_safetensors *st, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Compares `count` values; the allowed error is `tolerance` times the largest golden value
 * (`relative`) or `tolerance` itself. */
void check_compare(check *c, const char *file, const char *where, const float *mine,
                   const check_tensor *golden, double tolerance, bool relative);
/* Notes an error of `error` where `allowed` is allowed. */
void check_note(check *c, const char *file, const char *where, double error, double allowed);
void check_skip(check *c, const char *file, int entries);
/* Notes that the engine failed. */
void check_fail(check *c, const char *file, const char *where, const imu_fault *fault);
/* Prints the table; returns how many things are wrong. */
int check_report(const check *c);

/* golden/`file` as JSON, NULL when it is not there. */
json_t *check_json(check *c, const char *file);
/* Path of a model's part into path[4096]. */
const char *check_model_path(const check *c, const char *name, const char *part, char *path);

/* The parts, in the order of the fixtures' description. `name` is a model: sd15, sd21v, sdxl ... */
void check_tokenizer(check *c, const char *name);
void check_random(check *c);
void check_text(check *c, const char *name);
void check_unet(check *c, const char *name);
void check_vae(check *c, const char *name);
void check_adapters(check *c, const char *name);
void check_schedules(check *c, const char *name);
void check_synthetic(check *c, const char *name);
void check_trajectories(check *c, const char *name);
void check_end_to_end(check *c, const char *name);
void check_weighted_prompts(check *c, const char *name);
void check_lora(check *c, const char *name);
void check_single_file(check *c, const char *name);

/* Whether CHECK_PRECISION asks for bf16, whose errors are printed; what is allowed is for float32.
 */
bool check_in_bf16(void);
/* The backend that is checked, in float32 unless asked otherwise, opened anew; NULL with the reason
 * on stderr. */
imu_backend *check_backend(void);
/* Whether the networks alone are checked: samplers and prompts are the same on every backend, and
 * this one is slow. */
extern const bool check_networks_only;

#endif
