#include "mod_invokemu/store/style_presets.h"

#include <string.h>

#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/jsons.h"

/* The texts as the column preset_data holds them. */
static const char *texts(apr_pool_t *p, const imu_preset *preset)
{
    return imu_json_compact(
        p, imu_json_own(p, json_pack("{s:s, s:s}", "positive_prompt", preset->positive,
                                     "negative_prompt", preset->negative)));
}

static const char *type_word(const imu_preset *preset)
{
    return preset->facts.is_default ? "default" : "user";
}

static void read_preset(apr_pool_t *p, const imu_rows *rows, int row, imu_preset *preset)
{
    json_t *data = imu_json_own(p, imu_json_parsed(rows, row, "preset_data"));

    preset->id = imu_text(rows, row, "id");
    preset->name = imu_text(rows, row, "name");
    preset->positive = imu_json_word(data, "positive_prompt", "");
    preset->negative = imu_json_word(data, "negative_prompt", "");
    preset->image = imu_text(rows, row, "image");
    preset->updated_at = imu_text(rows, row, "updated_at");
    preset->facts.owner_id = imu_text(rows, row, "user_id");
    preset->facts.is_public = imu_bool(rows, row, "is_public");
    preset->facts.is_default = strcmp(imu_text(rows, row, "type"), "default") == 0;
}

imu_err *imu_preset_insert(imu_db *db, apr_pool_t *p, const imu_preset *preset)
{
    const char *now = imu_now(p);

    return imu_db_exec(db, p, NULL, "style_preset_insert", "ssissssss", preset->id,
                       preset->facts.owner_id, (apr_int64_t)preset->facts.is_public, preset->name,
                       texts(p, preset), type_word(preset), preset->image, now, now);
}

imu_err *imu_preset_get(imu_db *db, apr_pool_t *p, const char *id, imu_preset **preset)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "style_preset_get", "s", id);

    *preset = NULL;
    if (err || rows->count == 0)
        return err;
    *preset = apr_pcalloc(p, sizeof **preset);
    read_preset(p, rows, 0, *preset);
    return NULL;
}

imu_err *imu_preset_update(imu_db *db, apr_pool_t *p, const imu_preset *preset)
{
    return imu_db_exec(db, p, NULL, "style_preset_update", "sssisss", preset->name,
                       texts(p, preset), type_word(preset), (apr_int64_t)preset->facts.is_public,
                       preset->image, imu_now(p), preset->id);
}

imu_err *imu_preset_delete(imu_db *db, apr_pool_t *p, const char *id)
{
    return imu_db_exec(db, p, NULL, "style_preset_delete", "s", id);
}

imu_err *imu_presets_list(imu_db *db, apr_pool_t *p, const imu_identity *who, imu_preset_list *list)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "style_presets_list", "si", who->user_id,
                                 (apr_int64_t)imu_policy_sees_all(who));

    if (err)
        return err;
    list->count = rows->count;
    list->items = apr_pcalloc(p, sizeof(imu_preset) * (apr_size_t)(rows->count + 1));
    for (int i = 0; i < rows->count; i++)
        read_preset(p, rows, i, &list->items[i]);
    return NULL;
}
