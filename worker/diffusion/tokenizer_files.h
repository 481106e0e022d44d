/* The two files that a tokenizer is: vocab.json and merges.txt, read whole and known by their
 * SHA-256. Free of the engine. */
#ifndef IMU_DIFFUSION_TOKENIZER_FILES_H
#define IMU_DIFFUSION_TOKENIZER_FILES_H

#include "worker/diffusion/fault.h"

#define IMU_TOKENIZER_VOCAB  "vocab.json"
#define IMU_TOKENIZER_MERGES "merges.txt"
#define IMU_TOKENIZER_HASH   65 /* hexadecimal digits and the NUL */

typedef struct imu_tokenizer_files {
    char *vocab, *merges; /* both with a NUL behind them */
    size_t vocab_size, merges_size;
    char hash[IMU_TOKENIZER_HASH]; /* SHA-256 of vocab.json and merges.txt, one after the other */
} imu_tokenizer_files;

/* Reads both files of a folder, at most 16 MiB each, and takes their hash. */
imu_engine_status imu_tokenizer_files_read(const char *folder, imu_tokenizer_files *files,
                                           imu_fault *fault);
/* Also of one that is all zero, or was not read. */
void imu_tokenizer_files_free(imu_tokenizer_files *files);

/* Whether that is the hash of CLIP's as it was published. */
bool imu_tokenizer_is_published(const char *hash);
/* Whether files of these sizes may be those. */
bool imu_tokenizer_size_is_published(size_t vocab_size, size_t merges_size);

/* Whether they are a tokenizer: what imu_tokenizer_open asks of files. */
imu_engine_status imu_tokenizer_files_check(const imu_tokenizer_files *files, imu_fault *fault);

#endif
