#include "tests/engine/check.h"

#include <dirent.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

imu_safetensors *check_open(check *c, const char *file)
{
    char path[4096];
    imu_safetensors *st = NULL;
    imu_fault fault = {0};
    snprintf(path, sizeof path, "%s/golden/%s", c->fixtures, file);
    if (access(path, R_OK))
        return NULL;
    if (imu_st_open(path, &st, &fault))
        check_fail(c, file, "open", &fault);
    return st;
}

static check_tensor read_tensor(check *c, const imu_safetensors *st, const char *key)
{
    check_tensor t = {.entry = imu_st_find(st, key)};
    imu_fault fault = {0};
    if (!t.entry)
        return t;
    t.count = (size_t)t.entry->count;
    t.value = calloc(t.count ? t.count : 1, sizeof *t.value);
    void *raw = malloc(t.entry->size ? t.entry->size : 1);
    if (!t.value || !raw || imu_st_read_part(st, t.entry, 0, t.entry->count, raw, &fault)) {
        check_fail(c, key, "read", &fault);
        free(raw);
        check_release(&t);
        return t;
    }
    for (size_t i = 0; i < t.count; i++)
        switch (t.entry->type) {
        case IMU_F64:
            t.value[i] = ((double *)raw)[i];
            break;
        case IMU_I64:
            t.value[i] = (double)((int64_t *)raw)[i];
            break;
        default: {
            float wide;
            imu_to_f32(t.entry->type, (char *)raw + i * imu_dtype_size(t.entry->type), &wide, 1);
            t.value[i] = (double)wide;
        }
        }
    free(raw);
    return t;
}

check_tensor check_read(check *c, const imu_safetensors *st, const char *format, ...)
{
    char key[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(key, sizeof key, format, ap);
    va_end(ap);
    return read_tensor(c, st, key);
}

void check_release(check_tensor *t)
{
    free(t->value);
    t->value = NULL;
}

imu_array *check_array(check *c, const imu_safetensors *st, const char *format, ...)
{
    char key[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(key, sizeof key, format, ap);
    va_end(ap);
    check_tensor t = read_tensor(c, st, key);
    if (!t.value || t.entry->ndim > 4) {
        check_release(&t);
        return NULL;
    }
    imu_array *a = imu_array_new(t.entry->ndim, t.entry->dim);
    for (size_t i = 0; a && i < t.count; i++)
        a->data[i] = (float)t.value[i];
    check_release(&t);
    return a;
}

static check_row *row_of(check *c, const char *file)
{
    for (int i = 0; i < c->row_count; i++)
        if (!strcmp(c->rows[i].file, file))
            return &c->rows[i];
    if (c->row_count == (int)(sizeof c->rows / sizeof *c->rows))
        return &c->rows[c->row_count - 1];
    check_row *row = &c->rows[c->row_count++];
    snprintf(row->file, sizeof row->file, "%s", file);
    return row;
}

void check_note(check *c, const char *file, const char *where, double error, double allowed)
{
    check_row *row = row_of(c, file);
    double share = allowed > 0 ? error / allowed : error > 0 ? INFINITY : 0;
    row->compared++;
    if (share >= row->worst || isnan(share)) {
        row->worst = isnan(share) ? INFINITY : share;
        row->error = error;
        snprintf(row->where, sizeof row->where, "%s", where);
    }
    if (getenv("CHECK_VERBOSE"))
        printf("    %s %s: %.2e of %.2e%s\n", file, where, error, allowed,
               share > 1 || isnan(share) ? " !" : "");
}

void check_compare(check *c, const char *file, const char *where, const float *mine,
                   const check_tensor *golden, double tolerance, bool relative)
{
    double worst = 0, largest = 0;
    if (!golden->value) {
        imu_fault fault = {.text = "no such golden tensor"};
        check_fail(c, file, where, &fault);
        return;
    }
    for (size_t i = 0; i < golden->count; i++) {
        double error = fabs((double)mine[i] - golden->value[i]);
        worst = error > worst || isnan(error) ? error : worst;
        largest = fmax(largest, fabs(golden->value[i]));
    }
    double scale = relative && largest > 0 ? largest : 1;
    check_note(c, file, where, worst / scale, tolerance);
}

void check_skip(check *c, const char *file, int entries)
{
    row_of(c, file)->skipped += entries;
}

void check_fail(check *c, const char *file, const char *where, const imu_fault *fault)
{
    fprintf(stderr, "%s %s: %s\n", file, where, fault->text);
    c->failures++;
    row_of(c, file);
}

int check_report(const check *c)
{
    int wrong = c->failures;
    printf("%-38s %8s %8s %12s %10s  %s\n", "file", "compared", "skipped", "worst error",
           "of allowed", "where");
    for (int i = 0; i < c->row_count; i++) {
        const check_row *r = &c->rows[i];
        printf("%-38s %8d %8d %12.2e %9.1f%%  %s%s\n", r->file, r->compared, r->skipped, r->error,
               100 * r->worst, r->where, r->worst > 1 ? "  EXCESS" : "");
        wrong += r->worst > 1;
    }
    if (c->failures)
        printf("%d comparisons could not be made\n", c->failures);
    return wrong;
}

json_t *check_json(check *c, const char *file)
{
    char path[4096];
    json_error_t error;
    snprintf(path, sizeof path, "%s/golden/%s", c->fixtures, file);
    return json_load_file(path, 0, &error);
}

const char *check_model_path(const check *c, const char *name, const char *part, char *path)
{
    snprintf(path, 4096, "%s/tiny-%s/%s", c->fixtures, name, part);
    return path;
}
