#include "mod_invokemu/util/jsons.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

const char *imu_json_word(const json_t *object, const char *key, const char *def)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : def;
}

const char *imu_json_compact(apr_pool_t *p, const json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    const char *copy = text ? apr_pstrdup(p, text) : NULL;

    free(text);
    return copy;
}

const char *imu_json_escaped(apr_pool_t *p, const char *value)
{
    json_t *string = json_string(value);
    const char *quoted = imu_json_compact(p, string);

    json_decref(string);
    return quoted ? apr_pstrmemdup(p, quoted + 1, strlen(quoted) - 2) : NULL;
}

const char *imu_json_object_text(apr_pool_t *p, const char *text)
{
    json_t *json = text ? json_loads(text, 0, NULL) : NULL;
    const char *kept = json_is_object(json) ? imu_json_compact(p, json) : NULL;

    if (text && !json) {
        /* It may hold a number that is too large for us, such as a seed of 64 bits: read roughly
         * to know that it is an object, and kept to the letter. */
        json = json_loads(text, JSON_DECODE_INT_AS_REAL, NULL);
        kept = json_is_object(json) ? apr_pstrdup(p, text) : NULL;
    }
    json_decref(json);
    return kept;
}
