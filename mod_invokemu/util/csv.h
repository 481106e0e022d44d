/*
 * csv.h: tables as comma-separated values (RFC 4180).
 *
 * A spreadsheet takes a cell that begins with = + - @ or a tab for a formula, and these tables hold
 * what anybody may have written. Such cells go out behind an apostrophe, and lose it on the way in.
 */
#ifndef IMU_CSV_H
#define IMU_CSV_H

#include <apr_pools.h>
#include <jansson.h>

/** text as one cell, quoted where it must be. */
const char *imu_csv_cell(apr_pool_t *p, const char *text);

/**
 * Reads a table whose first row names its columns; a byte order mark is skipped.
 * @param text      NUL-terminated
 * @param max_rows  most rows after the first
 * @param why       what is wrong, for the person, when the answer is NULL
 * @return an array with an object of texts a row; NULL for a malformed table. New reference
 */
json_t *imu_csv_objects(apr_pool_t *p, const char *text, size_t max_rows, const char **why);

#endif
