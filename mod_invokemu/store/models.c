#include "mod_invokemu/store/models.h"

#include <stdlib.h>
#include <apr_strings.h>

#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/jsons.h"

imu_err *imu_model_get(imu_db *db, apr_pool_t *p, const char *key, imu_rows **rows)
{
    return imu_db_select(db, p, rows, "model_by_key", "s", key);
}

imu_err *imu_model_list(imu_db *db, apr_pool_t *p, imu_rows **rows)
{
    return imu_db_select(db, p, rows, "model_list", "");
}

imu_err *imu_model_list_all(imu_db *db, apr_pool_t *p, imu_rows **rows)
{
    return imu_db_select(db, p, rows, "model_list_all", "");
}

imu_err *imu_model_take_off(imu_db *db, apr_pool_t *p, const char *key, imu_model_state state)
{
    if (imu_model_is_gone(state))
        return imu_db_exec(db, p, NULL, "model_delete", "s", key);
    return imu_db_exec(db, p, NULL, "model_remove", "ss", imu_now(p), key);
}

imu_err *imu_model_restore(imu_db *db, apr_pool_t *p, const char *key)
{
    return imu_db_exec(db, p, NULL, "model_restore", "s", key);
}

imu_err *imu_model_by_hash(imu_db *db, apr_pool_t *p, const char *hash, imu_rows **rows)
{
    return imu_db_select(db, p, rows, "model_by_hash", "s", hash);
}

imu_err *imu_model_by_attrs(imu_db *db, apr_pool_t *p, const char *name, const char *base,
                            const char *type, imu_rows **rows)
{
    return imu_db_select(db, p, rows, "model_by_attrs", "sss", name, base, type);
}

static const char *field(const json_t *record, const char *name)
{
    return json_string_value(json_object_get(record, name));
}

imu_err *imu_model_put(imu_db *db, apr_pool_t *p, const char *path, const json_t *record)
{
    const char *now = imu_now(p), *text = imu_json_compact(p, record);

    if (!text)
        return imu_error_internal(p, "the record of the model in %s can't be written", path);
    return imu_db_exec(db, p, NULL, "model_put", "sssssssss", field(record, "key"),
                       field(record, "hash"), field(record, "base"), field(record, "type"),
                       field(record, "name"), path, text, now, now);
}
