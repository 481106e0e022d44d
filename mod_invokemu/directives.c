/*
 * directives.c: the directive table. Parsing and its sentences for the administrator live here;
 * what the settings mean, in the code that reads them. tests/ holds this table, the defaults in
 * config.c and conf/reference.conf in step.
 */
#include <unistd.h>

#include <http_core.h>
#include <apr_fnmatch.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "mod_invokemu/auth/core_password.h"
#include "mod_invokemu/config.h"
#include "mod_invokemu/util/ids.h"

#define HOUR_MAX    (24 * 366)
#define WELCOME_MAX 1000 /* bytes */
#define MIB         ((apr_int64_t)1024 * 1024)

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

static const char *set_word(cmd_parms *cmd, const char *arg, const char **field)
{
    const char *why = not_global(cmd);

    *field = arg;
    if (!why && !*arg)
        why = apr_psprintf(cmd->pool, "%s: leave the line out instead of leaving it empty",
                           cmd->cmd->name);
    return why;
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
    return set_path(cmd, arg, &imu_instance_get()->root);
}

static const char *set_database(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_path(cmd, arg, &imu_instance_get()->database);
}

static const char *set_run_dir(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_path(cmd, arg, &imu_instance_get()->run_dir);
}

static const char *set_models(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *why = set_path(cmd, arg, &imu_instance_get()->models_dir);
    apr_size_t len = why ? 0 : strlen(imu_instance_get()->models_dir);

    (void)dir;
    /* Models are known by their path: one way to write it. */
    if (len > 1 && imu_instance_get()->models_dir[len - 1] == '/')
        imu_instance_get()->models_dir =
            apr_pstrmemdup(cmd->pool, imu_instance_get()->models_dir, len - 1);
    return why;
}

static const char *set_media(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_path(cmd, arg, &imu_instance_get()->media);
}

static const char *add_worker(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *path;
    const char *why = set_path(cmd, arg, &path);

    (void)dir;
    if (why)
        return why;
    for (int i = 0; i < imu_instance_get()->workers->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(imu_instance_get()->workers, i, const char *), path) == 0)
            return apr_psprintf(cmd->pool, "InvokeMUWorker names %s twice", path);
    APR_ARRAY_PUSH(imu_instance_get()->workers, const char *) = path;
    return NULL;
}

static const char *set_multiuser(cmd_parms *cmd, void *dir, int flag)
{
    (void)dir;
    return set_instance_flag(cmd, flag, &imu_instance_get()->multiuser);
}

static const char *set_strict_passwords(cmd_parms *cmd, void *dir, int flag)
{
    (void)dir;
    return set_instance_flag(cmd, flag, &imu_instance_get()->strict_passwords);
}

static const char *set_force_change(cmd_parms *cmd, void *dir, int flag)
{
    (void)dir;
    return set_instance_flag(cmd, flag, &imu_instance_get()->force_change);
}

static const char *set_welcome(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *why = set_word(cmd, arg, &imu_instance_get()->welcome);

    (void)dir;
    if (!why && (strlen(arg) > WELCOME_MAX || !imu_is_clean_text(arg)))
        why = apr_psprintf(cmd->pool, "InvokeMUWelcome is a text in UTF-8 of at most %d bytes",
                           WELCOME_MAX);
    return why;
}

static const char *set_password_length(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_instance_int(cmd, arg, IMU_PASSWORD_MIN, IMU_PASSWORD_MAX,
                            &imu_instance_get()->password_length);
}

static const char *set_audit_sign_ins(cmd_parms *cmd, void *dir, int flag)
{
    (void)dir;
    return set_instance_flag(cmd, flag, &imu_instance_get()->audit_sign_ins);
}

static const char *set_audit_changes(cmd_parms *cmd, void *dir, int flag)
{
    (void)dir;
    return set_instance_flag(cmd, flag, &imu_instance_get()->audit_changes);
}

static const char *set_audit_days(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_instance_int(cmd, arg, 1, 3650, &imu_instance_get()->audit_days);
}

static const char *set_session_hours(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_instance_int(cmd, arg, 1, HOUR_MAX, &imu_instance_get()->session_hours);
}

static const char *set_remember_hours(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_instance_int(cmd, arg, 1, HOUR_MAX, &imu_instance_get()->remember_hours);
}

static const char *set_session_idle(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_instance_int(cmd, arg, 0, HOUR_MAX * 60, &imu_instance_get()->session_idle_minutes);
}

static const char *set_queue_mode(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *why = not_global(cmd);

    (void)dir;
    if (why)
        return why;
    if (ap_cstr_casecmp(arg, "RoundRobin") == 0)
        imu_instance_get()->queue_mode = IMU_QUEUE_ROUND_ROBIN;
    else if (ap_cstr_casecmp(arg, "FIFO") == 0)
        imu_instance_get()->queue_mode = IMU_QUEUE_FIFO;
    else
        return apr_psprintf(cmd->pool, "InvokeMUQueueMode is RoundRobin or FIFO, not \"%s\"", arg);
    return NULL;
}

static const char *set_queue_history(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_instance_int(cmd, arg, 10, 100000, &imu_instance_get()->queue_history);
}

static const char *set_max_sockets(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_instance_int(cmd, arg, 1, 100000, &imu_instance_get()->max_sockets);
}

static const char *set_person_sockets(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_instance_int(cmd, arg, 1, 100000, &imu_instance_get()->person_sockets);
}

static const char *set_min_free(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *why = not_global(cmd);

    (void)dir;
    return why ? why
               : count_of(cmd, "bytes", arg, 0, 1024 * 1024 * MIB, &imu_instance_get()->min_free);
}

static const char *set_admin_email(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_word(cmd, arg, &imu_instance_get()->admin_email);
}

static const char *set_admin_password_hash(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_word(cmd, arg, &imu_instance_get()->admin_password_hash);
}

static const char *set_mail_server(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_word(cmd, arg, &imu_instance_get()->mail_server);
}

static const char *set_mail_from(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_word(cmd, arg, &imu_instance_get()->mail_from);
}

static const char *set_mail_user(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_word(cmd, arg, &imu_instance_get()->mail_user);
}

static const char *set_mail_password_file(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_path(cmd, arg, &imu_instance_get()->mail_password_file);
}

static const char *set_mail_ca(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_path(cmd, arg, &imu_instance_get()->mail_ca);
}

static const char *set_mail_templates(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_path(cmd, arg, &imu_instance_get()->mail_templates);
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
            imu_instance_get()->mail_tls = i;
            return NULL;
        }
    return apr_psprintf(cmd->pool, "InvokeMUMailTLS is Required, IfOffered or Off, not \"%s\"",
                        arg);
}

static const char *set_public_url(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return set_word(cmd, arg, &imu_instance_get()->public_url);
}

static const char *set_client(cmd_parms *cmd, void *dir, const char *arg)
{
    imu_server_conf *c = imu_server_conf_of(cmd->server);

    (void)dir;
    c->client_dir = ap_server_root_relative(cmd->pool, arg);
    if (!c->client_dir)
        return apr_psprintf(cmd->pool, "InvokeMUClient: \"%s\" is not a usable path", arg);
    return access(apr_pstrcat(cmd->pool, c->client_dir, "/index.html", NULL), R_OK) == 0
               ? NULL
               : apr_psprintf(cmd->pool, "InvokeMUClient: there is no index.html in %s",
                              c->client_dir);
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

/* Of words parted by semicolons, the first that does not match one of the patterns; or NULL. */
static const char *odd_part(apr_pool_t *p, const char *arg, const char *const *patterns)
{
    char *last, *part = apr_strtok(apr_pstrdup(p, arg), ";", &last);

    for (; part; part = apr_strtok(NULL, ";", &last)) {
        const char *const *known = patterns;

        apr_collapse_spaces(part, part);
        while (*known && apr_fnmatch(*known, part, APR_FNM_CASE_BLIND) != APR_SUCCESS)
            known++;
        if (!*known)
            return part;
    }
    return NULL;
}

static const char *set_csp(cmd_parms *cmd, void *dir, const char *arg)
{
    static const char *const known[] = {
        "*-src*",   "base-uri*", "form-action*",    "frame-ancestors*",
        "report-*", "sandbox*",  "*trusted-types*", "upgrade-insecure-requests",
        NULL};
    const char *odd = odd_part(cmd->pool, arg, known);

    (void)dir;
    if (odd)
        return apr_psprintf(cmd->pool,
                            "InvokeMUContentSecurityPolicy: \"%s\" is no directive of such a "
                            "policy",
                            odd);
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
    static const char *const known[] = {
        "Path=/*",       "Domain=?*", "SameSite=Lax", "SameSite=Strict",
        "SameSite=None", "Secure",    "Partitioned",  NULL};
    const char *odd;

    (void)dir;
    if (ap_strcasestr(arg, "max-age") || ap_strcasestr(arg, "expires"))
        return "InvokeMUCookieAttributes: the life of the cookie follows the session; leave "
               "Max-Age and Expires out";
    if ((odd = odd_part(cmd->pool, arg, known)))
        return apr_psprintf(cmd->pool,
                            "InvokeMUCookieAttributes: \"%s\" is none of Path=/…, Domain=…, "
                            "SameSite=Lax, SameSite=Strict, SameSite=None, Secure, Partitioned",
                            odd);
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
    AP_INIT_FLAG("InvokeMUForcePasswordChange", set_force_change, NULL, RSRC_CONF,
                 "On: a password set by an administrator has to be changed"),
    AP_INIT_TAKE1("InvokeMUWelcome", set_welcome, NULL, RSRC_CONF, "text on the sign-in page"),
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
    AP_INIT_TAKE1("InvokeMUMaxPersonSockets", set_person_sockets, NULL, RSRC_CONF,
                  "open event sockets of one person"),
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
