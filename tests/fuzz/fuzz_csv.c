/* Tables as people upload them. What was read goes out as cells and comes back the same. */
#include "mod_invokemu/util/csv.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#define MAX_ROWS 50

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A blank row is none, so that every row is written with a first cell that is not blank. */
static void goes_round(apr_pool_t *p, const char *value)
{
    const char *why, *text = apr_pstrcat(p, "x,y\r\n1,", imu_csv_cell(p, value), "\r\n", NULL);
    json_t *rows = imu_csv_objects(p, text, 1, &why);
    const char *back = json_string_value(json_object_get(json_array_get(rows, 0), "y"));

    if (!back || strcmp(back, value) != 0)
        abort();
    json_decref(rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static apr_pool_t *pool;
    const char *why = NULL, *name;
    json_t *rows, *row, *cell;
    size_t i;

    if (!pool && (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS))
        abort();
    rows = imu_csv_objects(pool, apr_pstrmemdup(pool, (const char *)data, size), MAX_ROWS, &why);
    if (!rows == !why || json_array_size(rows) > MAX_ROWS)
        abort();
    json_array_foreach (rows, i, row)
        json_object_foreach (row, name, cell)
            goes_round(pool, json_string_value(cell));
    json_decref(rows);
    apr_pool_clear(pool);
    return 0;
}
