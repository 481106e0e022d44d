/*
 * doctor.h: finding what a power cut, a full disk or a hand from outside left behind, and mending
 * it. Nothing that may be somebody's is deleted: it is moved to outputs/orphans.
 */
#ifndef IMU_CLI_DOCTOR_H
#define IMU_CLI_DOCTOR_H

#include "cli/cli.h"

typedef struct cli_doctor {
    cli *c;
    json_t *findings; /* array of {what, sentence, count, names, mended} */
    int open;         /* findings that are not mended */
} cli_doctor;

/**
 * Notes a finding and prints it.
 * @param names   array of const char *, or NULL; the first of them are shown
 * @param mended  how many of them are mended
 */
void cli_doctor_found(cli_doctor *d, const char *what, const char *sentence, int count,
                      const apr_array_header_t *names, int mended);
/** Looks at texts that are no UTF-8 (doctor_texts.c). */
imu_err *cli_doctor_texts(cli_doctor *d);
/** Looks at the tokenizers that are kept for models of one file (doctor_tokenizers.c). */
imu_err *cli_doctor_tokenizers(cli_doctor *d);
/** Looks at the files of pictures and previews (doctor_files.c). */
imu_err *cli_doctor_files(cli_doctor *d);

#endif
