/* The query string of an address, and the Cookie header. */
#include "tests/unit/pool.h"
#include "mod_invokemu/util/query.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mod_invokemu/auth/core_cookie.h"
#include "mod_invokemu/util/ids.h"

#define MAX_ARGS 20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void query(apr_pool_t *p, const char *text)
{
    const imu_query_arg *list = NULL;
    int n = imu_query_split(p, text, MAX_ARGS, &list);

    if (n < 0 ? list != NULL : n > MAX_ARGS)
        abort();
    for (int i = 0; i < n; i++)
        if (!*list[i].name || !imu_is_clean_text(list[i].name) || !imu_is_clean_text(list[i].value))
            abort();
}

static void cookie(apr_pool_t *p, const char *text)
{
    const char *found = imu_cookie_find(p, text, "a");

    if (found &&
        (!*found || strchr(found, ';') || !strstr(text, apr_pstrcat(p, "a=", found, NULL))))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = pool_text(data, size);
    query(pool, text);
    cookie(pool, text);
    apr_pool_clear(pool);
    return 0;
}
