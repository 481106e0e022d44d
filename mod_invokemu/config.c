/*
 * config.c: the settings: their records, how they merge, their defaults, and what only the whole
 * configuration tells.
 */
#include "mod_invokemu/config.h"

#include <ap_mpm.h>
#include <http_core.h>
#include <http_log.h>
#include <apr_strings.h>

#include "mod_invokemu/config_admin.h"
#include "mod_invokemu/config_mail.h"

#define MIB ((apr_int64_t)1024 * 1024)

/* Defaults, as conf/reference.conf states them. */
#define DEFAULT_ROOT            "/var/lib/invokemu"
#define DEFAULT_RUN_DIR         "/run/invokemu"
#define DEFAULT_CLIENT          "/usr/share/invokemu/htdocs"
#define DEFAULT_PASSWORD_LENGTH 8
#define DEFAULT_SESSION_HOURS   24
#define DEFAULT_REMEMBER_HOURS  168
#define DEFAULT_SESSION_IDLE    0
#define DEFAULT_AUDIT_DAYS      365
#define DEFAULT_QUEUE_HISTORY   500
#define DEFAULT_MAX_SOCKETS     5000
#define DEFAULT_PERSON_SOCKETS  64
#define DEFAULT_MIN_FREE        (256 * MIB)
#define DEFAULT_MAIL_TEMPLATES  "/etc/invokemu/mail"
#define DEFAULT_COOKIE_NAME     "invokemu_session"
#define DEFAULT_COOKIE_ATTRS    "Path=/; SameSite=Lax"
#define DEFAULT_MAX_BODY        (16 * MIB)
#define DEFAULT_MAX_UPLOAD      (64 * MIB)
#define DEFAULT_MAX_PIXELS      (64 * MIB)
#define DEFAULT_CSP                                                                                \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "        \
    "connect-src 'self'; "                                                                         \
    "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors "  \
    "'none'"

/* The instance is made anew with each reading of the configuration, and shared by every virtual
 * host. */
static imu_instance *the_instance;

static imu_instance *instance_new(apr_pool_t *p)
{
    imu_instance *i = apr_pcalloc(p, sizeof *i);

    i->multiuser = i->strict_passwords = i->password_length = IMU_UNSET;
    i->force_change = IMU_UNSET;
    i->session_hours = i->remember_hours = i->session_idle_minutes = IMU_UNSET;
    i->audit_sign_ins = i->audit_changes = i->audit_days = IMU_UNSET;
    i->queue_mode = i->queue_history = i->max_sockets = i->person_sockets = IMU_UNSET;
    i->mail_tls = i->min_free = IMU_UNSET;
    i->workers = apr_array_make(p, 2, sizeof(const char *));
    return i;
}

imu_instance *imu_instance_get(void)
{
    return the_instance;
}

imu_server_conf *imu_server_conf_of(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &invokemu_module);
}

void *imu_config_create_server(apr_pool_t *p, server_rec *s)
{
    imu_server_conf *c = apr_pcalloc(p, sizeof *c);

    if (!s->is_virtual)
        the_instance = instance_new(p);
    c->instance = the_instance;
    c->max_body = c->max_upload = c->max_pixels = IMU_UNSET;
    return c;
}

#define PICK(field, unset) m->field = a->field != (unset) ? a->field : b->field

void *imu_config_merge_server(apr_pool_t *p, void *base, void *add)
{
    imu_server_conf *b = base, *a = add, *m = apr_pcalloc(p, sizeof *m);

    m->instance = b->instance;
    PICK(client_dir, NULL);
    PICK(csp, NULL);
    PICK(cookie_name, NULL);
    PICK(cookie_attributes, NULL);
    PICK(max_body, IMU_UNSET);
    PICK(max_upload, IMU_UNSET);
    PICK(max_pixels, IMU_UNSET);
    return m;
}

void *imu_config_create_dir(apr_pool_t *p, char *dir)
{
    imu_dir_conf *c = apr_pcalloc(p, sizeof *c);

    (void)dir;
    c->enabled = IMU_UNSET;
    return c;
}

void *imu_config_merge_dir(apr_pool_t *p, void *base, void *add)
{
    imu_dir_conf *b = base, *a = add, *m = apr_pcalloc(p, sizeof *m);

    PICK(enabled, IMU_UNSET);
    return m;
}

#define DEFAULT(object, field, unset, value)                                                       \
    do {                                                                                           \
        if ((object)->field == (unset))                                                            \
            (object)->field = (value);                                                             \
    } while (0)

/* A quarter at most of those of a child. */
static int person_sockets(int max_sockets)
{
    int share = max_sockets / 4 > 0 ? max_sockets / 4 : 1;

    return share < DEFAULT_PERSON_SOCKETS ? share : DEFAULT_PERSON_SOCKETS;
}

static void instance_defaults(apr_pool_t *p, imu_instance *i)
{
    DEFAULT(i, root, NULL, DEFAULT_ROOT);
    DEFAULT(i, database, NULL, apr_pstrcat(p, i->root, "/databases/invokemu.db", NULL));
    DEFAULT(i, run_dir, NULL, DEFAULT_RUN_DIR);
    DEFAULT(i, media, NULL, apr_pstrcat(p, i->run_dir, "/media.sock", NULL));
    DEFAULT(i, multiuser, IMU_UNSET, 0);
    DEFAULT(i, strict_passwords, IMU_UNSET, 1);
    DEFAULT(i, force_change, IMU_UNSET, 0);
    DEFAULT(i, welcome, NULL, IMU_ADMIN_NONE);
    DEFAULT(i, password_length, IMU_UNSET, DEFAULT_PASSWORD_LENGTH);
    DEFAULT(i, admin_email, NULL, IMU_ADMIN_NONE);
    DEFAULT(i, admin_password_hash, NULL, IMU_ADMIN_NONE);
    DEFAULT(i, session_hours, IMU_UNSET, DEFAULT_SESSION_HOURS);
    DEFAULT(i, remember_hours, IMU_UNSET, DEFAULT_REMEMBER_HOURS);
    DEFAULT(i, session_idle_minutes, IMU_UNSET, DEFAULT_SESSION_IDLE);
    DEFAULT(i, audit_sign_ins, IMU_UNSET, 1);
    DEFAULT(i, audit_changes, IMU_UNSET, 1);
    DEFAULT(i, audit_days, IMU_UNSET, DEFAULT_AUDIT_DAYS);
    DEFAULT(i, queue_mode, IMU_UNSET, IMU_QUEUE_ROUND_ROBIN);
    DEFAULT(i, queue_history, IMU_UNSET, DEFAULT_QUEUE_HISTORY);
    DEFAULT(i, max_sockets, IMU_UNSET, DEFAULT_MAX_SOCKETS);
    DEFAULT(i, person_sockets, IMU_UNSET, person_sockets(i->max_sockets));
    DEFAULT(i, min_free, IMU_UNSET, DEFAULT_MIN_FREE);
    DEFAULT(i, mail_server, NULL, IMU_MAIL_NONE);
    DEFAULT(i, mail_from, NULL, IMU_MAIL_NONE);
    DEFAULT(i, mail_user, NULL, IMU_MAIL_NONE);
    DEFAULT(i, mail_password_file, NULL, IMU_MAIL_NONE);
    DEFAULT(i, mail_ca, NULL, IMU_MAIL_NONE);
    DEFAULT(i, mail_templates, NULL, DEFAULT_MAIL_TEMPLATES);
    DEFAULT(i, mail_tls, IMU_UNSET, IMU_TLS_REQUIRED);
    DEFAULT(i, public_url, NULL, IMU_MAIL_NONE);
    if (i->workers->nelts == 0)
        APR_ARRAY_PUSH(i->workers, const char *) = apr_pstrcat(p, i->run_dir, "/worker.sock", NULL);
    i->test_hook = ap_exists_config_define("InvokeMUTestHook");
}

static void server_defaults(imu_server_conf *c)
{
    DEFAULT(c, client_dir, NULL, DEFAULT_CLIENT);
    DEFAULT(c, csp, NULL, DEFAULT_CSP);
    DEFAULT(c, cookie_name, NULL, DEFAULT_COOKIE_NAME);
    DEFAULT(c, cookie_attributes, NULL, DEFAULT_COOKIE_ATTRS);
    DEFAULT(c, max_body, IMU_UNSET, DEFAULT_MAX_BODY);
    DEFAULT(c, max_upload, IMU_UNSET, DEFAULT_MAX_UPLOAD);
    DEFAULT(c, max_pixels, IMU_UNSET, DEFAULT_MAX_PIXELS);
}

/* True when the configuration outside of any section holds that directive. */
static int configured(const char *directive)
{
    for (const ap_directive_t *d = ap_conftree; d; d = d->next)
        if (ap_cstr_casecmp(d->directive, directive) == 0)
            return 1;
    return 0;
}

/* Gives a mod_dbd directive as if it stood in the main configuration, unless the administrator
 * wrote it there. */
static const char *dbd_directive(apr_pool_t *p, server_rec *s, const char *name, const char *args)
{
    ap_directive_t *d;
    cmd_parms parms = {0};

    if (configured(name))
        return NULL;
    d = apr_pcalloc(p, sizeof *d);
    d->directive = name;
    d->args = args;
    d->filename = "InvokeMUDatabase";
    parms.override = RSRC_CONF;
    parms.pool = p;
    parms.temp_pool = p;
    parms.server = s;
    parms.limited = -1;
    return ap_walk_config(d, &parms, s->lookup_defaults);
}

static const char *configure_dbd(apr_pool_t *p, server_rec *s, const imu_instance *i)
{
    int threads = 0;
    const char *why, *keep;

    if (!ap_find_linked_module("mod_dbd.c"))
        return "invokemu needs mod_dbd: enable it (a2enmod dbd), or load it before mod_invokemu";
    if (ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) != APR_SUCCESS || threads < 1)
        threads = 25;
    keep = apr_psprintf(p, "%d", threads + 2);
    if ((why = dbd_directive(p, s, "DBDriver", "sqlite3")) ||
        (why = dbd_directive(p, s, "DBDParams", apr_pstrcat(p, "\"", i->database, "\"", NULL))) ||
        (why = dbd_directive(p, s, "DBDMin", "1")) ||
        (why = dbd_directive(p, s, "DBDKeep", keep)) || (why = dbd_directive(p, s, "DBDMax", keep)))
        return why;
    return NULL;
}

const char *imu_config_finish(apr_pool_t *p, server_rec *main_server)
{
    imu_instance *i = the_instance;
    server_rec *s = main_server;
    const char *why;

    instance_defaults(p, i);
    do
        server_defaults(imu_server_conf_of(s));
    while ((s = s->next));
    if (i->remember_hours < i->session_hours)
        return apr_psprintf(
            p, "InvokeMURememberHours (%d) must not be shorter than InvokeMUSessionHours (%d)",
            i->remember_hours, i->session_hours);
    if ((why = imu_config_admin(p, i)) || (why = imu_config_mail(p, i)))
        return why;
    return configure_dbd(p, main_server, i);
}

int imu_config_enabled(const server_rec *s)
{
    const core_server_config *core = ap_get_core_module_config(s->module_config);
    const imu_dir_conf *dir = ap_get_module_config(s->lookup_defaults, &invokemu_module);

    if (dir->enabled == 1)
        return 1;
    for (int i = 0; i < core->sec_url->nelts; i++) {
        dir = ap_get_module_config(APR_ARRAY_IDX(core->sec_url, i, ap_conf_vector_t *),
                                   &invokemu_module);
        if (dir && dir->enabled == 1)
            return 1;
    }
    return 0;
}
