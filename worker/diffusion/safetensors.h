/* Reader for safetensors files. The header is hostile: sizes, types and ranges are checked
 * before anything is believed, and that each byte of the data is exactly one tensor's. Data is read
 * on demand, never mapped, so that a file cut short or written to while open gives an error and no
 * signal. A table may span several files (sharded.h). */
#ifndef IMU_DIFFUSION_SAFETENSORS_H
#define IMU_DIFFUSION_SAFETENSORS_H

#include "worker/diffusion/fault.h"
#include "worker/tensor/dtype.h"

#include <time.h>

enum { IMU_ST_MAX_DIMS = 8 };

typedef struct imu_st_entry {
    char *name;
    imu_dtype type;
    int ndim;
    int64_t dim[IMU_ST_MAX_DIMS];
    uint64_t offset, size; /* bytes; offset from the start of its file's data */
    uint64_t count;        /* values */
    size_t file;           /* which of the files holds it */
} imu_st_entry;

/* A file as it was when it was opened. */
typedef struct imu_st_file {
    int fd;
    uint64_t data_start;
    int64_t size;
    struct timespec changed;
} imu_st_file;

typedef struct imu_safetensors {
    imu_st_file *files; /* none when parsed from memory */
    size_t file_count;
    size_t count;
    imu_st_entry *entries; /* sorted by name */
} imu_safetensors;

/* Parses a header of `size` bytes (the JSON text) that describes `data_size` bytes of data. */
imu_engine_status imu_st_parse(const char *header, size_t size, uint64_t data_size,
                               imu_safetensors **out, imu_fault *fault);
/* A fault's text begins with the path, cut as IMU_ST_PATH says. */
#define IMU_ST_PATH "%.200s: "
imu_engine_status imu_st_open(const char *path, imu_safetensors **out, imu_fault *fault);
void imu_st_close(imu_safetensors *st);
/* Takes over the files and the tensors of `more`, which is closed, even on failure. No name may be
 * in both. */
imu_engine_status imu_st_join(imu_safetensors *st, imu_safetensors *more, imu_fault *fault);
/* Asks the system to read the files into its cache, which all processes share. */
void imu_st_read_ahead(const imu_safetensors *st);

/* NULL when there is no such tensor. */
const imu_st_entry *imu_st_find(const imu_safetensors *st, const char *name);

/* Reads all values of one tensor, widened to float32, into dst[entry->count]. */
imu_engine_status imu_st_read_f32(const imu_safetensors *st, const imu_st_entry *entry, float *dst,
                                  imu_fault *fault);
/* Reads `count` values from the one at `at` on, as they are. Threads may read at the same time. */
imu_engine_status imu_st_read_part(const imu_safetensors *st, const imu_st_entry *entry,
                                   uint64_t at, uint64_t count, void *dst, imu_fault *fault);

#endif
