/* Tables as people upload them. What was read goes out as cells and comes back the same. */
#include "tests/unit/pool.h"
#include "mod_invokemu/util/csv.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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
    const char *why = NULL, *name, *text = pool_text(data, size);
    json_t *rows, *row, *cell;
    size_t i;

    rows = imu_csv_objects(pool, text, MAX_ROWS, &why);
    if (!rows == !why || json_array_size(rows) > MAX_ROWS)
        abort();
    json_array_foreach (rows, i, row)
        json_object_foreach (row, name, cell)
            goes_round(pool, json_string_value(cell));
    json_decref(rows);
    apr_pool_clear(pool);
    return 0;
}
