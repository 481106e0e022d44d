/*
 * config.c: the directive table. Parsing and its sentences for the administrator live here; what
 * the settings mean, in the code that reads them. tests/ holds this table, the defaults and
 * conf/reference.conf in step.
 */
#include "mod_invokemu/config.h"

#include <ap_mpm.h>
#include <http_core.h>
#include <http_log.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "mod_invokemu/auth/core_password.h"
#include "mod_invokemu/config_admin.h"
#include "mod_invokemu/config_mail.h"

#define HOUR_MAX (24 * 366)
#define MIB      ((apr_int64_t)1024 * 1024)

/* Defaults, as conf/reference.conf states them. */
#define DEFAULT_ROOT           "/var/lib/invokemu"
#define DEFAULT_RUN_DIR        "/run/invokemu"
#define DEFAULT_CLIENT         "/usr/share/invokemu/htdocs"
#define DEFAULT_PASSWORD_LENGTH 8
#define DEFAULT_SESSION_HOURS  24
#define DEFAULT_REMEMBER_HOURS 168
#define DEFAULT_SESSION_IDLE   0
#define DEFAULT_AUDIT_DAYS     365
#define DEFAULT_QUEUE_HISTORY  500
#define DEFAULT_MAX_SOCKETS    5000
#define DEFAULT_MIN_FREE       (256 * MIB)
#define DEFAULT_MAIL_TEMPLATES "/etc/invokemu/mail"
#define DEFAULT_COOKIE_NAME    "invokemu_session"
#define DEFAULT_COOKIE_ATTRS   "Path=/; SameSite=Lax"
#define DEFAULT_MAX_BODY       (16 * MIB)
#define DEFAULT_MAX_UPLOAD     (64 * MIB)
#define DEFAULT_MAX_PIXELS     (64 * MIB)
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
    i->session_hours = i->remember_hours = i->session_idle_minutes = IMU_UNSET;
    i->audit_sign_ins = i->audit_changes = i->audit_days = IMU_UNSET;
    i->queue_mode = i->queue_history = i->max_sockets = IMU_UNSET;
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

static void instance_defaults(apr_pool_t *p, imu_instance *i)
{
    DEFAULT(i, root, NULL, DEFAULT_ROOT);
    DEFAULT(i, database, NULL, apr_pstrcat(p, i->root, "/databases/invokemu.db", NULL));
    DEFAULT(i, run_dir, NULL, DEFAULT_RUN_DIR);
    DEFAULT(i, media, NULL, apr_pstrcat(p, i->run_dir, "/media.sock", NULL));
    DEFAULT(i, multiuser, IMU_UNSET, 0);
    DEFAULT(i, strict_passwords, IMU_UNSET, 1);
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

/* ---- parsing ---- */

static const char *whole_number(cmd_parms *cmd, const char *arg, apr_int64_t min, apr_int64_t max,
                                apr_int64_t *value)
{
    char *end;

    errno = 0;
    *value = apr_strtoi64(arg, &end, 10);
    if (errno || end == arg || *end || *value < min || *value > max)
        return apr_psprintf(cmd->pool,
                            "%s takes a whole number from %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT
                            ", not \"%s\"",
                            cmd->cmd->name, min, max, arg);
    return NULL;
}

/* A number of what, with an optional K, M or G. */
static const char *count_of(cmd_parms *cmd, const char *what, const char *arg, apr_int64_t min,
                            apr_int64_t max, apr_int64_t *value)
{
    apr_int64_t unit = 1;
    char *end;

    errno = 0;
    *value = apr_strtoi64(arg, &end, 10);
    if (*end == 'K' || *end == 'k')
        unit = 1024;
    else if (*end == 'M' || *end == 'm')
        unit = MIB;
    else if (*end == 'G' || *end == 'g')
        unit = 1024 * MIB;
    if (errno || end == arg || (*end && (unit == 1 || end[1])) || *value < 0 ||
        *value > max / unit || *value * unit < min)
        return apr_psprintf(cmd->pool,
                            "%s takes a number of %s (K, M and G may follow) from %" APR_INT64_T_FMT
                            " to %" APR_INT64_T_FMT ", not \"%s\"",
                            cmd->cmd->name, what, min, max, arg);
    *value *= unit;
    return NULL;
}

static const char *not_global(cmd_parms *cmd)
{
    return ap_check_cmd_context(cmd, GLOBAL_ONLY);
}

/* A setter for a path of the instance, made absolute below ServerRoot. */
static const char *set_path(cmd_parms *cmd, const char *arg, const char **field)
{
    const char *why = not_global(cmd);

    if (why)
        return why;
    *field = ap_server_root_relative(cmd->pool, arg);
    if (!*field || !*arg)
        return apr_psprintf(cmd->pool, "%s: \"%s\" is not a usable path", cmd->cmd->name, arg);
    return NULL;
}

static const char *set_instance_int(cmd_parms *cmd, const char *arg, int min, int max, int *field)
{
    const char *why = not_global(cmd);
    apr_int64_t value;

    if (!why)
        why = whole_number(cmd, arg, min, max, &value);
    if (!why)
        *field = (int)value;
    return why;
}

static const char *set_instance_flag(cmd_parms *cmd, int flag, int *field)
{
    *field = flag;
    return not_global(cmd);
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

static const char *set_enabled(cmd_parms *cmd, void *dir, int flag)
{
    (void)cmd;
    ((imu_dir_conf *)dir)->enabled = flag;
    return NULL;
}

static const char *set_root(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_path(cmd, arg, &the_instance->root);
}

static const char *set_database(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_path(cmd, arg, &the_instance->database);
}

static const char *set_run_dir(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_path(cmd, arg, &the_instance->run_dir);
}

static const char *set_models(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *why = set_path(cmd, arg, &the_instance->models_dir);
    apr_size_t len = why ? 0 : strlen(the_instance->models_dir);

    (void)dir;
    /* Models are known by their path: one way to write it. */
    if (len > 1 && the_instance->models_dir[len - 1] == '/')
        the_instance->models_dir = apr_pstrmemdup(cmd->pool, the_instance->models_dir, len - 1);
    return why;
}

static const char *set_media(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_path(cmd, arg, &the_instance->media);
}

static const char *add_worker(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *path;
    const char *why = set_path(cmd, arg, &path);

    (void)dir;
    if (why)
        return why;
    for (int i = 0; i < the_instance->workers->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(the_instance->workers, i, const char *), path) == 0)
            return apr_psprintf(cmd->pool, "InvokeMUWorker names %s twice", path);
    APR_ARRAY_PUSH(the_instance->workers, const char *) = path;
    return NULL;
}

static const char *set_multiuser(cmd_parms *cmd, void *dir, int flag)
{
    (void)dir;
    return set_instance_flag(cmd, flag, &the_instance->multiuser);
}

static const char *set_strict_passwords(cmd_parms *cmd, void *dir, int flag)
{
    (void)dir;
    return set_instance_flag(cmd, flag, &the_instance->strict_passwords);
}

static const char *set_password_length(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_instance_int(cmd, arg, IMU_PASSWORD_MIN, IMU_PASSWORD_MAX,
                            &the_instance->password_length);
}

static const char *set_audit_sign_ins(cmd_parms *cmd, void *dir, int flag)
{
    (void)dir;
    return set_instance_flag(cmd, flag, &the_instance->audit_sign_ins);
}

static const char *set_audit_changes(cmd_parms *cmd, void *dir, int flag)
{
    (void)dir;
    return set_instance_flag(cmd, flag, &the_instance->audit_changes);
}

static const char *set_audit_days(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_instance_int(cmd, arg, 1, 3650, &the_instance->audit_days);
}

static const char *set_session_hours(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_instance_int(cmd, arg, 1, HOUR_MAX, &the_instance->session_hours);
}

static const char *set_remember_hours(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_instance_int(cmd, arg, 1, HOUR_MAX, &the_instance->remember_hours);
}

static const char *set_session_idle(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_instance_int(cmd, arg, 0, HOUR_MAX * 60, &the_instance->session_idle_minutes);
}

static const char *set_queue_mode(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *why = not_global(cmd);

    (void)dir;
    if (why)
        return why;
    if (ap_cstr_casecmp(arg, "RoundRobin") == 0)
        the_instance->queue_mode = IMU_QUEUE_ROUND_ROBIN;
    else if (ap_cstr_casecmp(arg, "FIFO") == 0)
        the_instance->queue_mode = IMU_QUEUE_FIFO;
    else
        return apr_psprintf(cmd->pool, "InvokeMUQueueMode is RoundRobin or FIFO, not \"%s\"", arg);
    return NULL;
}

static const char *set_queue_history(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_instance_int(cmd, arg, 10, 100000, &the_instance->queue_history);
}

static const char *set_max_sockets(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_instance_int(cmd, arg, 1, 100000, &the_instance->max_sockets);
}

static const char *set_min_free(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *why = not_global(cmd);

    (void)dir;
    return why ? why : count_of(cmd, "bytes", arg, 0, 1024 * 1024 * MIB, &the_instance->min_free);
}

static const char *set_word(cmd_parms *cmd, const char *arg, const char **field)
{
    const char *why = not_global(cmd);

    *field = arg;
    if (!why && !*arg)
        why = apr_psprintf(cmd->pool, "%s: leave the line out instead of leaving it empty",
                           cmd->cmd->name);
    return why;
}

static const char *set_admin_email(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_word(cmd, arg, &the_instance->admin_email);
}

static const char *set_admin_password_hash(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_word(cmd, arg, &the_instance->admin_password_hash);
}

static const char *set_mail_server(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_word(cmd, arg, &the_instance->mail_server);
}

static const char *set_mail_from(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_word(cmd, arg, &the_instance->mail_from);
}

static const char *set_mail_user(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_word(cmd, arg, &the_instance->mail_user);
}

static const char *set_mail_password_file(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_path(cmd, arg, &the_instance->mail_password_file);
}

static const char *set_mail_ca(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_path(cmd, arg, &the_instance->mail_ca);
}

static const char *set_mail_templates(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_path(cmd, arg, &the_instance->mail_templates);
}

static const char *set_mail_tls(cmd_parms *cmd, void *dir, const char *arg)
{
    static const char *const words[] = {"Required", "IfOffered", "Off"};
    const char *why = not_global(cmd);

    (void)dir;
    if (why)
        return why;
    for (int i = 0; i < 3; i++)
        if (ap_cstr_casecmp(arg, words[i]) == 0) {
            the_instance->mail_tls = i;
            return NULL;
        }
    return apr_psprintf(cmd->pool, "InvokeMUMailTLS is Required, IfOffered or Off, not \"%s\"",
                        arg);
}

static const char *set_public_url(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_word(cmd, arg, &the_instance->public_url);
}

static const char *set_client(cmd_parms *cmd, void *dir, const char *arg)
{
    imu_server_conf *c = imu_server_conf_of(cmd->server);

    (void)dir;
    c->client_dir = ap_server_root_relative(cmd->pool, arg);
    return c->client_dir
               ? NULL
               : apr_psprintf(cmd->pool, "InvokeMUClient: \"%s\" is not a usable path", arg);
}

/* Words that go into a response header must not be able to end it. */
static const char *header_text(cmd_parms *cmd, const char *arg, const char **field)
{
    for (const char *c = arg; *c; c++)
        if (apr_iscntrl(*c))
            return apr_psprintf(cmd->pool, "%s must not hold control characters", cmd->cmd->name);
    *field = arg;
    return NULL;
}

static const char *set_csp(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return header_text(cmd, arg, &imu_server_conf_of(cmd->server)->csp);
}

static const char *set_cookie_name(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    if (!*arg || ap_strchr_c(arg, '=') || ap_strchr_c(arg, ';') || ap_strchr_c(arg, ' ') ||
        ap_strchr_c(arg, ','))
        return apr_psprintf(cmd->pool, "InvokeMUCookieName: \"%s\" is not a name for a cookie",
                            arg);
    if (strcmp(arg, "invokeai_media_token") == 0)
        return "InvokeMUCookieName: invokeai_media_token is the name of the media cookie; choose "
               "another";
    return header_text(cmd, arg, &imu_server_conf_of(cmd->server)->cookie_name);
}

static const char *set_cookie_attributes(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    if (ap_strcasestr(arg, "max-age") || ap_strcasestr(arg, "expires"))
        return "InvokeMUCookieAttributes: the life of the cookie follows the session; leave "
               "Max-Age and Expires out";
    return header_text(cmd, arg, &imu_server_conf_of(cmd->server)->cookie_attributes);
}

static const char *set_max_body(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return count_of(cmd, "bytes", arg, 64 * 1024, 1024 * MIB,
                    &imu_server_conf_of(cmd->server)->max_body);
}

static const char *set_max_upload(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return count_of(cmd, "bytes", arg, 64 * 1024, 4096 * MIB,
                    &imu_server_conf_of(cmd->server)->max_upload);
}

static const char *set_max_pixels(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return count_of(cmd, "pixels", arg, 64 * 64, 1024 * MIB,
                    &imu_server_conf_of(cmd->server)->max_pixels);
}

const command_rec imu_commands[] = {
    AP_INIT_FLAG("InvokeMU", set_enabled, NULL, RSRC_CONF | ACCESS_CONF,
                 "On: the module answers here"),
    AP_INIT_TAKE1("InvokeMURoot", set_root, NULL, RSRC_CONF, "folder of pictures and state"),
    AP_INIT_TAKE1("InvokeMUDatabase", set_database, NULL, RSRC_CONF, "SQLite database file"),
    AP_INIT_TAKE1("InvokeMURunDir", set_run_dir, NULL, RSRC_CONF,
                  "folder of the dispatcher's sockets"),
    AP_INIT_TAKE1("InvokeMUModels", set_models, NULL, RSRC_CONF,
                  "folder of models found at start-up"),
    AP_INIT_TAKE1("InvokeMUWorker", add_worker, NULL, RSRC_CONF,
                  "socket of a worker; may be given several times"),
    AP_INIT_TAKE1("InvokeMUMedia", set_media, NULL, RSRC_CONF, "socket of the media process"),
    AP_INIT_FLAG("InvokeMUMultiUser", set_multiuser, NULL, RSRC_CONF, "On: everybody signs in"),
    AP_INIT_FLAG("InvokeMUStrictPasswords", set_strict_passwords, NULL, RSRC_CONF,
                 "On: passwords must be strong"),
    AP_INIT_TAKE1("InvokeMUPasswordMinLength", set_password_length, NULL, RSRC_CONF,
                  "characters that a strong password has at least"),
    AP_INIT_TAKE1("InvokeMUAdminEmail", set_admin_email, NULL, RSRC_CONF,
                  "address of the root administrator; none: set up in the browser"),
    AP_INIT_TAKE1("InvokeMUAdminPasswordHash", set_admin_password_hash, NULL, RSRC_CONF,
                  "bcrypt hash of the root administrator's password"),
    AP_INIT_TAKE1("InvokeMUSessionHours", set_session_hours, NULL, RSRC_CONF,
                  "hours a sign-in lasts"),
    AP_INIT_TAKE1("InvokeMURememberHours", set_remember_hours, NULL, RSRC_CONF,
                  "hours a remembered sign-in lasts"),
    AP_INIT_TAKE1("InvokeMUSessionIdle", set_session_idle, NULL, RSRC_CONF,
                  "minutes without use that end a session; 0: none"),
    AP_INIT_FLAG("InvokeMUAuditSignIns", set_audit_sign_ins, NULL, RSRC_CONF,
                 "On: sign-ins go into the audit log"),
    AP_INIT_FLAG("InvokeMUAuditChanges", set_audit_changes, NULL, RSRC_CONF,
                 "On: changes of accounts, shares, models and the queue go into the audit log"),
    AP_INIT_TAKE1("InvokeMUAuditDays", set_audit_days, NULL, RSRC_CONF,
                  "days that entries of the audit log are kept"),
    AP_INIT_TAKE1("InvokeMUQueueMode", set_queue_mode, NULL, RSRC_CONF, "RoundRobin or FIFO"),
    AP_INIT_TAKE1("InvokeMUQueueHistory", set_queue_history, NULL, RSRC_CONF,
                  "ended jobs kept for each person"),
    AP_INIT_TAKE1("InvokeMUMaxSockets", set_max_sockets, NULL, RSRC_CONF,
                  "open event sockets in each child"),
    AP_INIT_TAKE1("InvokeMUMinFree", set_min_free, NULL, RSRC_CONF,
                  "bytes of the disk that stay free"),
    AP_INIT_TAKE1("InvokeMUMailServer", set_mail_server, NULL, RSRC_CONF,
                  "smtp://host:587 or smtps://host:465; none: no mail"),
    AP_INIT_TAKE1("InvokeMUMailFrom", set_mail_from, NULL, RSRC_CONF,
                  "sender of mails, \"Name <address>\""),
    AP_INIT_TAKE1("InvokeMUMailUser", set_mail_user, NULL, RSRC_CONF, "account at the mail server"),
    AP_INIT_TAKE1("InvokeMUMailPasswordFile", set_mail_password_file, NULL, RSRC_CONF,
                  "file with the password of that account"),
    AP_INIT_TAKE1("InvokeMUMailTLS", set_mail_tls, NULL, RSRC_CONF, "Required, IfOffered or Off"),
    AP_INIT_TAKE1("InvokeMUMailCA", set_mail_ca, NULL, RSRC_CONF,
                  "file of the certificates that the mail server's is checked with"),
    AP_INIT_TAKE1("InvokeMUMailTemplates", set_mail_templates, NULL, RSRC_CONF,
                  "folder of the texts of mails"),
    AP_INIT_TAKE1("InvokeMUPublicURL", set_public_url, NULL, RSRC_CONF,
                  "address of this server in links"),
    AP_INIT_TAKE1("InvokeMUClient", set_client, NULL, RSRC_CONF, "folder of the browser client"),
    AP_INIT_TAKE1("InvokeMUContentSecurityPolicy", set_csp, NULL, RSRC_CONF,
                  "policy sent with the browser client"),
    AP_INIT_TAKE1("InvokeMUCookieName", set_cookie_name, NULL, RSRC_CONF,
                  "name of the session cookie"),
    AP_INIT_TAKE1("InvokeMUCookieAttributes", set_cookie_attributes, NULL, RSRC_CONF,
                  "attributes of the session cookie"),
    AP_INIT_TAKE1("InvokeMUMaxBody", set_max_body, NULL, RSRC_CONF, "largest JSON body in bytes"),
    AP_INIT_TAKE1("InvokeMUMaxUpload", set_max_upload, NULL, RSRC_CONF,
                  "largest uploaded file in bytes"),
    AP_INIT_TAKE1("InvokeMUMaxPixels", set_max_pixels, NULL, RSRC_CONF,
                  "most pixels of an uploaded picture"),
    {NULL, {NULL}, NULL, 0, RAW_ARGS, NULL},
};
