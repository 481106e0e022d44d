/*
 * api/audit.c: writing the audit log, and GET /api/v1/audit for administrators.
 */
#include "mod_invokemu/api/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <http_log.h>
#include <apr_strings.h>

#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/auth/throttle.h"
#include "mod_invokemu/routes.h"
#include "mod_invokemu/store/users.h"
#include "mod_invokemu/validate.h"

APLOG_USE_MODULE(invokemu);

#define PAGE_DEFAULT 100
#define PAGE_MAX     1000
#define EXPORT_MAX   100000
#define TEXT_MAX     300
#define TIME_MAX     23

static imu_err *add(imu_req *req, const imu_audit_entry *entry)
{
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    return err ? err : imu_audit_add(db, req->p, entry);
}

static void lost(imu_req *req, const char *what, const imu_err *err)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, req->r, "IMU0207: no entry in the audit log for %s: %s",
                  what, err->log ? err->log : err->detail);
}

void imu_audit(imu_req *req, imu_audit_fact fact)
{
    imu_audit_entry entry = imu_audit_entry_of(req->p, &fact);
    imu_err *err = NULL;

    if (!entry.user_id)
        entry.user_id = req->who.user_id;
    if (!entry.user_email)
        entry.user_email = req->who.email;
    entry.address = req->r->useragent_ip;
    if (!fact.refused)
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, req->r, "IMU0202: %s, %s %s, by %s", entry.action,
                      entry.target_type, entry.target_id ? entry.target_id : "-",
                      entry.user_id ? entry.user_id : "-");
    if (imu_audit_wanted(fact.action, req->inst->audit_sign_ins, req->inst->audit_changes))
        err = add(req, &entry);
    if (err)
        lost(req, entry.action, err);
}

void imu_audit_board(imu_req *req, imu_audit_action action, const char *board_id,
                     const json_t *people, json_t *detail)
{
    imu_audit_fact fact = {.action = action, .target_id = board_id, .detail = detail};
    json_t *addresses = NULL;
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (!err)
        err = imu_audit_board_words(db, req->p, board_id, people, &fact.target_name, &addresses);
    if (err) {
        json_decref(detail);
        lost(req, "a board", err);
        return;
    }
    if (json_array_size(addresses) > 0)
        json_object_set(detail, "people", addresses);
    imu_audit(req, fact);
}

void imu_audit_others(imu_req *req, imu_audit_fact fact, const json_t *owners)
{
    json_t *addresses;
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (!err)
        err = imu_audit_people(db, req->p, owners, &addresses);
    if (err) {
        lost(req, "what is of somebody else", err);
    } else if (json_array_size(addresses) > 0) {
        if (!fact.detail)
            fact.detail = json_object();
        json_object_set(fact.detail, "owners", addresses);
    }
    imu_audit(req, fact);
}

json_t *imu_audit_others_of(imu_req *req, const json_t *by_user)
{
    json_t *others = imu_json_own(req->p, json_array()), *v;
    const char *user_id;

    json_object_foreach ((json_t *)by_user, user_id, v)
        if (!req->who.user_id || strcmp(user_id, req->who.user_id) != 0)
            json_array_append_new(others, json_string(user_id));
    return others;
}

void imu_audit_foreign(imu_req *req, imu_audit_fact fact, const char *owner_id)
{
    json_t *owner = imu_json_own(req->p, json_pack("{s:n}", owner_id));
    json_t *others = imu_audit_others_of(req, owner);

    if (json_array_size(others) > 0)
        imu_audit_others(req, fact, others);
    else
        json_decref(fact.detail);
}

/* What the routes of a path are about. */
static const char *subject(const char *path)
{
    static const struct {
        const char *begin, *type;
    } subjects[] = {
        {"/api/v1/users", "account"},       {"/api/v1/auth/users", "account"},
        {"/api/v1/invitations", "account"}, {"/api/v1/legacy-data", "account"},
        {"/api/v1/boards", "board"},        {"/api/v1/workflows", "workflow"},
        {"/api/v2/models", "model"},        {"/api/v1/style_presets", "style_preset"},
        {"/api/v1/queue", "queue"},         {"/api/v1/mail", "mail"},
        {"/api/v1/audit", "server"},        {"/api/v1/app", "server"},
    };

    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++)
        if (strncmp(path, subjects[i].begin, strlen(subjects[i].begin)) == 0)
            return subjects[i].type;
    return NULL;
}

/* Pages ask what they may read; to have tried that says something only where it is about people. */
static int telling(const imu_req *req)
{
    return req->r->method_number != M_GET || req->route->access == IMU_ACCESS_ACCOUNT_ADMIN ||
           strcmp(req->route->path, "/api/v1/audit") == 0;
}

/* What the thing that an entry is about is called. */
static const char *name_of(imu_req *req, const char *type, const char *id)
{
    const char *name = NULL;
    json_t *nobody;
    imu_rows *user;
    imu_db *db;

    if (!id || imu_req_db(req, &db))
        return NULL;
    if (strcmp(type, "board") == 0 && !imu_audit_board_words(db, req->p, id, NULL, &name, &nobody))
        return name;
    if (strcmp(type, "account") == 0 && !imu_user_get(db, req->p, id, &user) && user->count > 0)
        return imu_text(user, 0, "email");
    return NULL;
}

void imu_audit_refusal(imu_req *req, const imu_err *err)
{
    const char *type = subject(req->route->path), *id;

    if (err->status != 403 || !type || !req->who.user_id ||
        req->route->access == IMU_ACCESS_PUBLIC || imu_error_is(err, "password_change_due") ||
        !telling(req) || !imu_throttle_note(req))
        return;
    id = req->n_params > 0 ? req->param_values[0] : NULL;
    imu_audit(req, (imu_audit_fact){.action = IMU_AUDIT_NOT_ALLOWED,
                                    .refused = 1,
                                    .target_type = type,
                                    .target_id = id,
                                    .target_name = name_of(req, type, id),
                                    .detail = json_pack("{s:s, s:s, s:s}", "method", req->r->method,
                                                        "path", req->route->path, "reason",
                                                        err->detail)});
}

void imu_audit_dead_link(imu_req *req, imu_audit_action action, const imu_rows *account,
                         const imu_err *err)
{
    const char *reason = err->detail;

    if ((err->status != 404 && err->status != 410) || !imu_throttle_note(req))
        return;
    /* Which whoever holds the link is not told. */
    if (account->count && !imu_bool(account, 0, "is_active"))
        reason = "The account is suspended.";
    imu_audit(req, (imu_audit_fact){.action = action,
                                    .refused = 1,
                                    .target_id = imu_text(account, 0, "user_id"),
                                    .target_name = imu_text(account, 0, "email"),
                                    .detail = json_pack("{s:s}", "reason", reason)});
}

void imu_audit_own(imu_req *req, imu_audit_action action)
{
    imu_audit(req, (imu_audit_fact){.action = action,
                                    .target_id = req->who.user_id,
                                    .target_name = req->who.email});
}

/* ---- reading ---- */

static imu_err *reply_page(imu_req *req, const imu_rows *rows, apr_int64_t limit)
{
    json_t *list = json_array();
    json_t *next = rows->count == limit ? json_integer(imu_int(rows, rows->count - 1, "entry_id"))
                                        : json_null();

    for (int i = 0; i < rows->count; i++)
        json_array_append_new(list, imu_audit_json(rows, i));
    return imu_reply_json(req, 200, json_pack("{s:o, s:o}", "entries", list, "next", next));
}

static imu_err *reply_export(imu_req *req, imu_db *db, imu_audit_filter *filter, int csv)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    imu_err *err;
    int failed;

    if (!out)
        return imu_error_internal(req->p, "no memory for the audit log");
    err = imu_audit_write(db, req->p, filter, csv ? IMU_AUDIT_CSV : IMU_AUDIT_JSON_LINES, out);
    failed = ferror(out);
    if (fclose(out) != 0 || failed)
        err = err ? err : imu_error_internal(req->p, "no memory for the audit log");
    if (err) {
        free(text);
        return err;
    }
    imu_reply_header(req, "Content-Disposition",
                     csv ? "attachment; filename=\"audit.csv\""
                         : "attachment; filename=\"audit.jsonl\"");
    return imu_reply_malloced(req, 200, csv ? "text/csv; charset=utf-8" : "application/x-ndjson",
                              text, len);
}

static imu_err *time_query(imu_req *req, const char *name, const char **value)
{
    imu_err *err = imu_query_text(req, name, TIME_MAX, NULL, value);

    if (err || !*value || !**value)
        return err;
    *value = imu_audit_time(req->p, *value);
    return *value ? NULL
                  : imu_invalid(req->p, "query", name, "datetime_parsing",
                                "Input should be a date such as 2026-11-21, or a date and a time");
}

static imu_err *read_filter(imu_req *req, imu_audit_filter *f, int exported)
{
    static const char *const results[] = {"ok", "refused", NULL};
    imu_err *err;

    if ((err = imu_query_int(req, "before", 1, APR_INT64_MAX, APR_INT64_MAX, &f->before)) ||
        (err = imu_query_int(req, "limit", 1, exported ? EXPORT_MAX : PAGE_MAX,
                             exported ? EXPORT_MAX : PAGE_DEFAULT, &f->limit)) ||
        (err = imu_query_text(req, "action", TEXT_MAX, NULL, &f->action)) ||
        (err = imu_query_choice(req, "result", results, NULL, &f->result)) ||
        (err = imu_query_text(req, "user_id", TEXT_MAX, NULL, &f->user_id)) ||
        (err = imu_query_text(req, "search", TEXT_MAX, NULL, &f->search)) ||
        (err = time_query(req, "since", &f->since)))
        return err;
    return time_query(req, "until", &f->until);
}

/** GET /api/v1/audit: a page of entries, latest first, or all of them as a file. */
imu_err *imu_api_audit(imu_req *req)
{
    static const char *const formats[] = {"json", "jsonl", "csv", NULL};
    imu_audit_filter filter = {0};
    const char *format;
    imu_rows *rows;
    imu_db *db;
    imu_err *err;
    int exported;

    if ((err = imu_query_choice(req, "format", formats, "json", &format)))
        return err;
    exported = strcmp(format, "json") != 0;
    if ((err = read_filter(req, &filter, exported)) || (err = imu_req_db(req, &db)))
        return err;
    if (exported)
        return reply_export(req, db, &filter, strcmp(format, "csv") == 0);
    err = imu_audit_page(db, req->p, &filter, &rows);
    return err ? err : reply_page(req, rows, filter.limit);
}
