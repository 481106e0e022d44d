#include "mod_invokemu/store/server_settings.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "mod_invokemu/auth/core_password.h"
#include "mod_invokemu/util/ids.h"

#define SETTING "server"

/* The file itself, whatever links lead to it. */
static const char *real_name(apr_pool_t *p, const char *path)
{
    char real[PATH_MAX];

    return apr_pstrdup(p, realpath(path, real) ? real : path);
}

/* One directive that is new, is gone, or says something else. */
static void compare(json_t *changed, const char *name, const json_t *from, const json_t *to)
{
    if (!from || !to || !json_equal(from, to))
        json_object_set_new(changed, name, json_pack("{s:O?, s:O?}", "from", from, "to", to));
}

/* What was noted for another file says nothing about this server. */
static void compare_all(json_t *changed, const json_t *before, const char *database,
                        const json_t *directives)
{
    const char *of = json_string_value(json_object_get(before, "database")), *name;
    json_t *was = json_object_get(before, "directives"), *value;

    if (!of || strcmp(of, database) != 0 || !json_is_object(was))
        return;
    json_object_foreach ((json_t *)directives, name, value)
        compare(changed, name, json_object_get(was, name), value);
    json_object_foreach (was, name, value)
        if (!json_object_get(directives, name))
            compare(changed, name, value, NULL);
}

imu_err *imu_server_settings_write(imu_db *db, apr_pool_t *p, const char *database,
                                   const imu_server_settings *s, json_t **changed)
{
    json_t *json = imu_json_own(
        p, json_pack("{s:s, s:b, s:i, s:b, s:b, s:b, s:s?, s:s?, s:s?, s:s?, s:O?}", "database",
                     real_name(p, database), "strict_passwords", s->strict_passwords,
                     "password_length", s->password_length, "audit_sign_ins", s->audit_sign_ins,
                     "audit_changes", s->audit_changes, "mail", s->mail, "public_url",
                     s->public_url, "dispatcher", s->dispatcher, "media", s->media, "models",
                     s->models, "directives", s->directives));
    /* A path that is no UTF-8 makes no JSON: better nothing than what another start has left. */
    char *text = json ? json_dumps(json, JSON_COMPACT) : strdup("{}");
    imu_rows *rows;
    imu_err *err = text ? imu_db_select(db, p, &rows, "setting_get", "s", SETTING)
                        : imu_error_internal(p, "no memory");

    *changed = imu_json_own(p, json_object());
    if (!err && rows->count > 0)
        compare_all(*changed, imu_json_own(p, imu_json_parsed(rows, 0, "value")),
                    real_name(p, database), s->directives);
    if (!err && (rows->count == 0 || strcmp(imu_text(rows, 0, "value"), text) != 0))
        err = imu_db_exec(db, p, NULL, "setting_put", "sss", SETTING, text, imu_now(p));
    free(text);
    return err;
}

static int flag(const json_t *json, const char *name)
{
    return !json_is_false(json_object_get(json, name));
}

static const char *text(apr_pool_t *p, const json_t *json, const char *name)
{
    return apr_pstrdup(p, json_string_value(json_object_get(json, name)));
}

imu_err *imu_server_settings_read(imu_db *db, apr_pool_t *p, const char *database,
                                  imu_server_settings *s)
{
    imu_rows *rows;
    const char *of;
    json_int_t length;
    json_t *json;
    imu_err *err = imu_db_select(db, p, &rows, "setting_get", "s", SETTING);

    *s = (imu_server_settings){.strict_passwords = 1,
                               .password_length = IMU_PASSWORD_MIN,
                               .audit_sign_ins = 1,
                               .audit_changes = 1};
    if (err || rows->count == 0)
        return err;
    json = imu_json_own(p, imu_json_parsed(rows, 0, "value"));
    of = json_string_value(json_object_get(json, "database"));
    if (!of || strcmp(of, real_name(p, database)) != 0)
        return NULL;
    length = json_integer_value(json_object_get(json, "password_length"));
    if (length >= IMU_PASSWORD_MIN && length <= IMU_PASSWORD_MAX)
        s->password_length = (int)length;
    s->strict_passwords = flag(json, "strict_passwords");
    s->audit_sign_ins = flag(json, "audit_sign_ins");
    s->audit_changes = flag(json, "audit_changes");
    s->mail = json_is_true(json_object_get(json, "mail"));
    s->public_url = text(p, json, "public_url");
    s->dispatcher = text(p, json, "dispatcher");
    s->media = text(p, json, "media");
    s->models = text(p, json, "models");
    return NULL;
}
