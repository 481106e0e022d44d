#include "cli/backup.h"

#include <apr_strings.h>

#include "mod_invokemu/util/ids.h"

imu_err *cli_manifest_read(apr_pool_t *p, const char *text, apr_size_t len, cli_manifest *manifest)
{
    json_t *json = imu_json_own(p, json_loadb(text, len, 0, NULL));
    json_t *schema = json_object_get(json, "schema"), *pictures = json_object_get(json, "pictures");
    const char *made_at = json_string_value(json_object_get(json, "made_at"));
    json_t *files = json_object_get(json, "files"), *bytes = json_object_get(json, "bytes");
    json_t *format = json_object_get(json, "invokemu_backup");

    if (!json_is_integer(format) || !json_is_integer(schema) || !json_is_integer(pictures) ||
        !made_at || !imu_time_parse(made_at))
        return imu_error(p, 422, "no_backup", "this is no backup of invokemu, or not a whole one");
    if (json_integer_value(format) != CLI_BACKUP_FORMAT)
        return imu_error(p, 422, "newer", "this backup was made by a newer invokemu");
    if (json_integer_value(schema) < 1 || json_integer_value(schema) > INT32_MAX ||
        json_integer_value(pictures) < 0 || json_integer_value(pictures) > INT32_MAX)
        return imu_error(p, 422, "no_backup", "the manifest of this backup is damaged");
    manifest->files = manifest->bytes = -1;
    if (json_is_integer(files) && json_is_integer(bytes)) {
        manifest->files = json_integer_value(files);
        manifest->bytes = json_integer_value(bytes);
    }
    manifest->schema = (int)json_integer_value(schema);
    manifest->pictures = (int)json_integer_value(pictures);
    manifest->made_at = apr_pstrdup(p, made_at);
    return NULL;
}
