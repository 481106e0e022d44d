#include "mod_invokemu/config_report.h"

#include <stddef.h>
#include <string.h>
#include <apr_strings.h>

#include "mod_invokemu/config_admin.h"

typedef enum kind {
    AS_TEXT,
    AS_SECRET,
    AS_FLAG,
    AS_NUMBER,
    AS_SIZE,
    AS_QUEUE_MODE,
    AS_TLS,
    AS_TEXTS
} kind;

typedef struct setting {
    const char *name;
    kind kind;
    apr_size_t at;
} setting;

#define GLOBAL(name, kind, field)                                                                  \
    {                                                                                              \
        name, kind, offsetof(imu_instance, field)                                                  \
    }
static const setting of_instance[] = {
    GLOBAL("InvokeMURoot", AS_TEXT, root),
    GLOBAL("InvokeMUDatabase", AS_TEXT, database),
    GLOBAL("InvokeMURunDir", AS_TEXT, run_dir),
    GLOBAL("InvokeMUModels", AS_TEXT, models_dir),
    GLOBAL("InvokeMUWorker", AS_TEXTS, workers),
    GLOBAL("InvokeMUMedia", AS_TEXT, media),
    GLOBAL("InvokeMUMultiUser", AS_FLAG, multiuser),
    GLOBAL("InvokeMUStrictPasswords", AS_FLAG, strict_passwords),
    GLOBAL("InvokeMUForcePasswordChange", AS_FLAG, force_change),
    GLOBAL("InvokeMUWelcome", AS_TEXT, welcome),
    GLOBAL("InvokeMUPasswordMinLength", AS_NUMBER, password_length),
    GLOBAL("InvokeMUAdminEmail", AS_TEXT, admin_email),
    GLOBAL("InvokeMUAdminPasswordHash", AS_SECRET, admin_password_hash),
    GLOBAL("InvokeMUSessionHours", AS_NUMBER, session_hours),
    GLOBAL("InvokeMURememberHours", AS_NUMBER, remember_hours),
    GLOBAL("InvokeMUSessionIdle", AS_NUMBER, session_idle_minutes),
    GLOBAL("InvokeMUAuditSignIns", AS_FLAG, audit_sign_ins),
    GLOBAL("InvokeMUAuditChanges", AS_FLAG, audit_changes),
    GLOBAL("InvokeMUAuditDays", AS_NUMBER, audit_days),
    GLOBAL("InvokeMUQueueMode", AS_QUEUE_MODE, queue_mode),
    GLOBAL("InvokeMUQueueHistory", AS_NUMBER, queue_history),
    GLOBAL("InvokeMUMaxSockets", AS_NUMBER, max_sockets),
    GLOBAL("InvokeMUMaxPersonSockets", AS_NUMBER, person_sockets),
    GLOBAL("InvokeMUMinFree", AS_SIZE, min_free),
    GLOBAL("InvokeMUMailServer", AS_TEXT, mail_server),
    GLOBAL("InvokeMUMailFrom", AS_TEXT, mail_from),
    GLOBAL("InvokeMUMailUser", AS_TEXT, mail_user),
    GLOBAL("InvokeMUMailPasswordFile", AS_TEXT, mail_password_file),
    GLOBAL("InvokeMUMailTLS", AS_TLS, mail_tls),
    GLOBAL("InvokeMUMailCA", AS_TEXT, mail_ca),
    GLOBAL("InvokeMUMailTemplates", AS_TEXT, mail_templates),
    GLOBAL("InvokeMUPublicURL", AS_TEXT, public_url),
};

#define PER_HOST(name, kind, field)                                                                \
    {                                                                                              \
        name, kind, offsetof(imu_server_conf, field)                                               \
    }
static const setting of_server[] = {
    PER_HOST("InvokeMUClient", AS_TEXT, client_dir),
    PER_HOST("InvokeMUContentSecurityPolicy", AS_TEXT, csp),
    PER_HOST("InvokeMUCookieName", AS_TEXT, cookie_name),
    PER_HOST("InvokeMUCookieAttributes", AS_TEXT, cookie_attributes),
    PER_HOST("InvokeMUMaxBody", AS_SIZE, max_body),
    PER_HOST("InvokeMUMaxUpload", AS_SIZE, max_upload),
    PER_HOST("InvokeMUMaxPixels", AS_SIZE, max_pixels),
};

/* A path that is no UTF-8 makes no JSON text: it is left out. */
static json_t *text_value(const char *text)
{
    return json_string(text ? text : IMU_ADMIN_NONE);
}

static json_t *texts_value(const apr_array_header_t *list)
{
    json_t *all = json_array();

    for (int i = 0; i < list->nelts; i++)
        json_array_append_new(all, json_string(APR_ARRAY_IDX(list, i, const char *)));
    return all;
}

static json_t *value_of(const setting *s, const void *object)
{
    static const char *const tls[] = {"Required", "IfOffered", "Off"};
    const void *field = (const char *)object + s->at;
    const char *text;

    switch (s->kind) {
    case AS_TEXT:
        return text_value(*(const char *const *)field);
    case AS_SECRET:
        text = *(const char *const *)field;
        return json_string(text && strcmp(text, IMU_ADMIN_NONE) != 0 ? "set" : IMU_ADMIN_NONE);
    case AS_FLAG:
        return json_string(*(const int *)field ? "On" : "Off");
    case AS_SIZE:
        return json_integer(*(const apr_int64_t *)field);
    case AS_QUEUE_MODE:
        return json_string(*(const int *)field == IMU_QUEUE_FIFO ? "FIFO" : "RoundRobin");
    case AS_TLS:
        return json_string(tls[*(const int *)field]);
    case AS_TEXTS:
        return texts_value(*(apr_array_header_t *const *)field);
    case AS_NUMBER:
    default:
        return json_integer(*(const int *)field);
    }
}

static void report(json_t *all, apr_pool_t *p, const setting *list, size_t n, const void *object,
                   const char *host)
{
    for (size_t i = 0; i < n; i++) {
        const char *name =
            host ? apr_pstrcat(p, list[i].name, " (", host, ")", NULL) : list[i].name;

        json_object_set_new(all, name, value_of(&list[i], object));
    }
}

json_t *imu_config_report(apr_pool_t *p, const server_rec *main_server)
{
    json_t *all = json_object();

    report(all, p, of_instance, sizeof of_instance / sizeof of_instance[0], imu_instance_get(),
           NULL);
    for (const server_rec *s = main_server; s; s = s->next)
        if (imu_config_enabled(s))
            report(all, p, of_server, sizeof of_server / sizeof of_server[0], imu_server_conf_of(s),
                   s->is_virtual ? apr_psprintf(p, "%s:%u", s->server_hostname, s->port) : NULL);
    return all;
}
