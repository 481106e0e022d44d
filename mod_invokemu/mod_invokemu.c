/*
 * mod_invokemu.c: the front door of the module: its record and its hooks.
 */
#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <apr_dbd.h>
#include <malloc.h>
#include <mod_dbd.h>
#include <sys/stat.h>
#include <unixd.h>
#include <util_mutex.h>
#include <apr_strings.h>

#include "mod_invokemu/api/openapi.h"
#include "mod_invokemu/auth/core_password.h"
#include "mod_invokemu/auth/core_secret.h"
#include "mod_invokemu/auth/core_session.h"
#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/auth/throttle.h"
#include "mod_invokemu/arrival.h"
#include "mod_invokemu/body.h"
#include "mod_invokemu/config.h"
#include "mod_invokemu/config_report.h"
#include "mod_invokemu/crowd.h"
#include "mod_invokemu/departure.h"
#include "mod_invokemu/dispatch/children.h"
#include "mod_invokemu/dispatch/dispatcher.h"
#include "mod_invokemu/edge.h"
#include "mod_invokemu/events/endpoint.h"
#include "mod_invokemu/ports.h"
#include "mod_invokemu/prefork.h"
#include "mod_invokemu/routes.h"
#include "mod_invokemu/store/audit.h"
#include "mod_invokemu/store/db.h"
#include "mod_invokemu/store/files.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/store/database_use.h"
#include "mod_invokemu/store/migrate.h"
#include "mod_invokemu/store/ownership.h"
#include "mod_invokemu/store/model_state.h"
#include "mod_invokemu/store/models.h"
#include "mod_invokemu/store/tokenizers.h"
#include "mod_invokemu/store/root_admin.h"
#include "mod_invokemu/store/server_settings.h"
#include "mod_invokemu/util/clock.h"

APLOG_USE_MODULE(invokemu);

#define MUTEX_TYPE "invokemu"

/* Bytes; where glibc begins. It raises the bound to the size of what was freed, and every thread
 * that ever wrote a long list would keep room for another: 20 MiB times the threads of a child. */
#define MMAP_THRESHOLD (128 * 1024)

static int is_enabled(const request_rec *r)
{
    const imu_dir_conf *dir = ap_get_module_config(r->per_dir_config, &invokemu_module);

    return dir->enabled == 1;
}

/* Our paths name no files: keep the core from looking for any, and from the access rules of the
 * file system. */
static int translate_name(request_rec *r)
{
    if (!is_enabled(r))
        return DECLINED;
    r->filename = apr_pstrcat(r->pool, "invokemu:", r->uri, NULL);
    return OK;
}

/* The core has put the server's own settings back by now, so that only the name tells a request of
 * ours; no file's name starts like this. */
static int map_to_storage(request_rec *r)
{
    return r->filename && strncmp(r->filename, "invokemu:", 9) == 0 ? OK : DECLINED;
}

static int fixups(request_rec *r)
{
    if (!is_enabled(r))
        return DECLINED;
    r->handler = "invokemu";
    return OK;
}

static int content_handler(request_rec *r)
{
    if (!r->handler || strcmp(r->handler, "invokemu") != 0 || !is_enabled(r))
        return DECLINED;
    return imu_handle(r);
}

static int pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog;
    (void)ptemp;
    return ap_mutex_register(pconf, MUTEX_TYPE, NULL, APR_LOCK_DEFAULT, 0) == APR_SUCCESS
               ? OK
               : HTTP_INTERNAL_SERVER_ERROR;
}

/* Pages that httpd writes itself, about a range beyond the end or a path that can't be. */
static void insert_error_filter(request_rec *r)
{
    if (is_enabled(r))
        imu_edge_common_headers(r);
}

/* A server that merely loads the module needs no database. */
static int any_enabled(server_rec *s)
{
    while (s && !imu_config_enabled(s))
        s = s->next;
    return s != NULL;
}

static int check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    const char *why;

    (void)plog;
    (void)ptemp;
    if (!any_enabled(s))
        return OK;
    if ((why = imu_config_finish(pconf, s))) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "IMU0001: %s", why);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

/* Folders that the children write to belong to their user. */
static const char *own_folder(apr_pool_t *p, const char *path)
{
    apr_status_t rv =
        apr_dir_make_recursive(path,
                               APR_FPROT_UREAD | APR_FPROT_UWRITE | APR_FPROT_UEXECUTE |
                                   APR_FPROT_GREAD | APR_FPROT_GEXECUTE,
                               p);

    if (rv != APR_SUCCESS)
        return apr_psprintf(p, "cannot make the folder %s: %pm", path, &rv);
    if (geteuid() == 0 && chown(path, ap_unixd_config.user_id, ap_unixd_config.group_id) != 0)
        return apr_psprintf(p, "cannot give the folder %s to the server's user: %s", path,
                            strerror(errno));
    return NULL;
}

/* The database's folder, which usually lies in a folder that the server's user owns. */
static const char *own_database_folder(apr_pool_t *p, const imu_instance *inst, uid_t uid,
                                       gid_t gid)
{
    const char *folder = ap_make_dirstr_parent(p, inst->database);
    apr_size_t len = strlen(inst->root);
    imu_err *err;

    if (strncmp(folder, inst->root, len) != 0 || folder[len] != '/')
        return own_folder(p, folder);
    err = imu_own_folders(p, inst->root, folder + len, uid, gid);
    return err ? err->log : NULL;
}

/* Makes folders, and says that this server works on what is in them: before there are any for
 * pictures, in whose place a restore may be about to put others. */
static imu_err *take_folders(apr_pool_t *pconf, apr_pool_t *p, const imu_instance *inst,
                             const char **why)
{
    int root = geteuid() == 0;
    uid_t uid = root ? ap_unixd_config.user_id : (uid_t)-1;
    gid_t gid = root ? ap_unixd_config.group_id : (gid_t)-1;
    imu_err *err;

    if ((*why = own_folder(p, inst->root)) || (*why = own_database_folder(p, inst, uid, gid)) ||
        (*why = own_folder(p, inst->run_dir)))
        return NULL;
    if ((err = imu_database_hold(pconf, inst->database, 0)))
        return err;
    if ((err = imu_picture_folders(p, inst->root, uid, gid)) ||
        (err = imu_own_folders(p, inst->root, IMU_TOKENIZERS_DIR, uid, gid)))
        *why = err->log;
    return NULL;
}

/* The parent may be root: what it created must belong to the children's user, or they could not
 * write it. */
static void hand_over_database(const imu_instance *inst, apr_pool_t *p)
{
    static const char *const endings[] = {"", "-wal", "-shm", IMU_DATABASE_USE};

    for (size_t i = 0; geteuid() == 0 && i < sizeof endings / sizeof endings[0]; i++) {
        const char *path = apr_pstrcat(p, inst->database, endings[i], NULL);

        if (imu_own_file(path, ap_unixd_config.user_id, ap_unixd_config.group_id) != 0)
            ap_log_perror(APLOG_MARK, APLOG_WARNING, errno, p,
                          "IMU0004: cannot give %s to the server's user", path);
    }
}

/* What can't be rendered with is not offered; the log says why. */
static imu_err *warn_of_models(imu_db *db, const imu_instance *inst, server_rec *s)
{
    imu_rows *rows;
    imu_err *err = imu_model_list(db, db->pool, &rows);

    for (int i = 0; !err && i < rows->count; i++) {
        imu_model_view view = imu_model_inspect(db->pool, imu_text(rows, i, "path"));

        if (view.state != IMU_MODEL_USABLE)
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                         "IMU0009: the model %s in %s can't be used: %s%s%s%s",
                         imu_text(rows, i, "name"), inst->models_dir, view.why,
                         view.log ? " (" : "", view.log ? view.log : "", view.log ? ")" : "");
    }
    return err;
}

/* Those of models that are folders, for models of one file. */
static void remember_tokenizers(imu_db *db, const imu_instance *inst, server_rec *s)
{
    imu_err *err = imu_tokenizers_remember(db, db->pool, inst->root);

    if (err)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "IMU0012: %s",
                     err->log ? err->log : err->detail);
}

static imu_err *apply_root_admin(imu_db *db, const imu_instance *inst, server_rec *s)
{
    int applied = 0;
    imu_err *err = NULL;

    if (inst->multiuser && inst->admin_email)
        err = imu_root_admin_apply(db, db->pool, inst->admin_email, inst->admin_password_hash,
                                   &applied);
    if (applied && !err)
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "IMU0010: %s is an administrator with the password of "
                     "InvokeMUAdminPasswordHash",
                     inst->admin_email);
    return err;
}

/* That the audit log itself was turned off is the last that it tells of changes. */
static imu_err *audit_settings(imu_db *db, const imu_instance *inst, json_t *changed)
{
    imu_audit_fact fact = {.action = IMU_AUDIT_SETTINGS_CHANGED,
                           .user_id = IMU_SYSTEM_USER,
                           .user_email = IMU_SYSTEM_USER};
    imu_audit_entry entry;

    if (json_object_size(changed) == 0 ||
        !(inst->audit_changes || json_object_get(changed, "InvokeMUAuditChanges")))
        return NULL;
    fact.detail = json_pack("{s:O}", "settings", changed);
    entry = imu_audit_entry_of(db->pool, &fact);
    return imu_audit_add(db, db->pool, &entry);
}

/* Inside a transaction. */
static imu_err *write_settings(imu_db *db, const imu_instance *inst,
                               const imu_server_settings *settings)
{
    json_t *changed;
    imu_err *err = imu_server_settings_write(db, db->pool, inst->database, settings, &changed);

    return err ? err : audit_settings(db, inst, changed);
}

/* For the command line, and for the audit log. A disk that is full does not keep the server from
 * starting. */
static void note_settings(imu_db *db, const imu_instance *inst, server_rec *s)
{
    imu_server_settings settings = {
        .strict_passwords = inst->strict_passwords,
        .password_length = inst->password_length,
        .audit_sign_ins = inst->audit_sign_ins,
        .audit_changes = inst->audit_changes,
        .mail = inst->mail.on,
        .public_url = inst->public_url,
        .dispatcher = apr_pstrcat(db->pool, inst->run_dir, "/" IMU_DISPATCH_SOCKET, NULL),
        .media = inst->media,
        .models = inst->models_dir,
        .directives = imu_json_own(db->pool, imu_config_report(db->pool, s))};
    imu_err *err = imu_db_begin(db);

    if (!err)
        err = imu_db_end(db, write_settings(db, inst, &settings));
    if (err)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "IMU0011: the settings can't be noted for the command line and the audit "
                     "log: %s",
                     err->log ? err->log : err->detail);
}

/* Migrations, secrets, settings, the root administrator and the model folder, on a connection that
 * is closed again before any child opens its own. */
static imu_err *prepare_database(apr_pool_t *p, imu_instance *inst, server_rec *s)
{
    apr_pool_t *own;
    imu_db *db;
    imu_err *err;
    int from, to;

    if ((err = imu_migrate(p, inst->database, &from, &to)))
        return err;
    if (from != to)
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "IMU0003: database %s brought from version %d to %d", inst->database, from,
                     to);
    if (apr_pool_create(&own, p) != APR_SUCCESS)
        return imu_error_internal(p, "no memory");
    err = imu_db_open(own, inst->database, inst->write_lock, &db);
    if (!err)
        err = imu_secrets_ensure(db);
    if (!err)
        note_settings(db, inst, s);
    if (!err)
        err = apply_root_admin(db, inst, s);
    if (!err && inst->models_dir)
        err = imu_models_scan(db, inst->models_dir);
    if (!err && inst->models_dir)
        err = warn_of_models(db, inst, s);
    if (!err)
        remember_tokenizers(db, inst, s);
    if (err)
        err = imu_error_internal(p, "%s", err->log ? err->log : err->detail);
    apr_pool_destroy(own);
    hand_over_database(inst, p);
    return err;
}

static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    imu_instance *inst = imu_instance_get();
    const char *why;
    imu_err *err;

    (void)plog;
    if (!any_enabled(s))
        return OK;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG)
        return OK;
    err = take_folders(pconf, ptemp, inst, &why);
    if (why) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "IMU0002: %s", why);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!err && ap_global_mutex_create(&inst->write_lock, NULL, MUTEX_TYPE, NULL, s, pconf, 0) !=
                    APR_SUCCESS)
        return HTTP_INTERNAL_SERVER_ERROR;
    if (err || (err = prepare_database(ptemp, inst, s))) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "IMU0006: %s",
                     err->log ? err->log : err->detail);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
    imu_session_rules_set(&(imu_session_rules){inst->session_hours, inst->remember_hours,
                                               inst->session_idle_minutes});
    imu_password_length_set(inst->password_length);
    if (inst->test_hook && imu_clock_make_movable() != 0)
        return HTTP_INTERNAL_SERVER_ERROR;
    if (imu_openapi_prepare(pconf) != 0 || imu_throttle_create(pconf, s) != APR_SUCCESS ||
        imu_dispatcher_start(pconf, s) != OK)
        return HTTP_INTERNAL_SERVER_ERROR;
    imu_events_check(s);
    return OK;
}

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    imu_instance *inst = imu_instance_get();
    apr_status_t rv;

    if (!inst || !inst->write_lock)
        return;
    rv = apr_global_mutex_child_init(&inst->write_lock, apr_global_mutex_lockfile(inst->write_lock),
                                     pchild);
    if (rv != APR_SUCCESS)
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s,
                     "IMU0007: the write lock cannot be used in this child");
    imu_throttle_child_init(pchild, s);
    imu_crowd_child_init(pchild, s);
    imu_ports_child_init(pchild, s);
    imu_departure_child_init(pchild, s);
    imu_events_child_init(pchild, s);
}

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_pre_config(pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_translate_name(translate_name, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_map_to_storage(map_to_storage, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_fixups(fixups, NULL, NULL, APR_HOOK_LAST);
    ap_hook_handler(content_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_error_filter(insert_error_filter, NULL, NULL, APR_HOOK_MIDDLE);
    imu_events_register_hooks();
    imu_body_register();
    imu_arrival_register();
    imu_departure_register();
    imu_prefork_register_hooks();
}

module AP_MODULE_DECLARE_DATA invokemu_module = {
    STANDARD20_MODULE_STUFF, imu_config_create_dir, imu_config_merge_dir, imu_config_create_server,
    imu_config_merge_server, imu_commands,          register_hooks,       AP_MODULE_FLAG_NONE};
