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
#include "mod_invokemu/store/audit.h"
#include "mod_invokemu/util/csv.h"
#include "mod_invokemu/util/jsons.h"
#include "mod_invokemu/validate.h"

APLOG_USE_MODULE(invokemu);

#define PAGE_DEFAULT 100
#define PAGE_MAX     1000
#define EXPORT_MAX   100000
#define TEXT_MAX     300

static const struct {
    const char *name, *target;
} actions[IMU_AUDIT_ACTIONS] = {
    [IMU_AUDIT_SIGN_IN] = {"sign_in", "account"},
    [IMU_AUDIT_SIGN_OUT] = {"sign_out", "account"},
    [IMU_AUDIT_SESSIONS_ENDED] = {"sessions_ended", "account"},
    [IMU_AUDIT_PASSWORD_CHANGED] = {"password_changed", "account"},
    [IMU_AUDIT_LINK_REDEEMED] = {"link_redeemed", "account"},
    [IMU_AUDIT_RESET_ASKED] = {"reset_asked", "account"},
    [IMU_AUDIT_EMAIL_ASKED] = {"email_change_asked", "account"},
    [IMU_AUDIT_SET_UP] = {"set_up", "account"},
    [IMU_AUDIT_ACCOUNT_CREATED] = {"account_created", "account"},
    [IMU_AUDIT_ACCOUNT_CHANGED] = {"account_changed", "account"},
    [IMU_AUDIT_EMAIL_CHANGED] = {"email_changed", "account"},
    [IMU_AUDIT_ROLE_CHANGED] = {"role_changed", "account"},
    [IMU_AUDIT_SUSPENDED] = {"account_suspended", "account"},
    [IMU_AUDIT_RESTORED] = {"account_restored", "account"},
    [IMU_AUDIT_ACCOUNT_DELETED] = {"account_deleted", "account"},
    [IMU_AUDIT_INVITED] = {"invited", "account"},
    [IMU_AUDIT_RESET_LINK] = {"reset_link_made", "account"},
    [IMU_AUDIT_LINK_ENDED] = {"link_ended", "account"},
    [IMU_AUDIT_BOARD_SHARED] = {"board_shared", "board"},
    [IMU_AUDIT_BOARD_UNSHARED] = {"board_unshared", "board"},
    [IMU_AUDIT_BOARD_VISIBILITY] = {"board_visibility_changed", "board"},
    [IMU_AUDIT_MODEL_CHANGED] = {"model_changed", "model"},
    [IMU_AUDIT_MODEL_DELETED] = {"model_deleted", "model"},
    [IMU_AUDIT_MODEL_INSTALLED] = {"model_installed", "model"},
    [IMU_AUDIT_QUEUE_PAUSED] = {"queue_paused", "queue"},
    [IMU_AUDIT_QUEUE_RESUMED] = {"queue_resumed", "queue"},
    [IMU_AUDIT_QUEUE_CLEARED] = {"queue_cleared", "queue"},
};

static int wanted(const imu_req *req, imu_audit_action action)
{
    return action < IMU_AUDIT_SET_UP ? req->inst->audit_sign_ins : req->inst->audit_changes;
}

static imu_err *add(imu_req *req, const imu_audit_entry *entry)
{
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    return err ? err : imu_audit_add(db, req->p, entry);
}

void imu_audit(imu_req *req, imu_audit_fact fact)
{
    imu_audit_entry entry = {
        .action = actions[fact.action].name,
        .refused = fact.refused,
        .user_id = fact.user_id ? fact.user_id : req->who.user_id,
        .user_email = fact.user_email ? fact.user_email : req->who.email,
        .address = req->r->useragent_ip,
        .target_type = actions[fact.action].target,
        .target_id = fact.target_id,
        .target_name = fact.target_name,
        .detail = imu_json_compact(req->p, fact.detail),
    };
    imu_err *err = NULL;

    json_decref(fact.detail);
    if (!fact.refused)
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, req->r, "IMU0202: %s, %s %s, by %s", entry.action,
                      entry.target_type, entry.target_id ? entry.target_id : "-",
                      entry.user_id ? entry.user_id : "-");
    if (wanted(req, fact.action))
        err = add(req, &entry);
    if (err)
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, req->r,
                      "IMU0207: no entry in the audit log for %s: %s", entry.action,
                      err->log ? err->log : err->detail);
}

void imu_audit_own(imu_req *req, imu_audit_action action)
{
    imu_audit(req, (imu_audit_fact){.action = action,
                                    .target_id = req->who.user_id,
                                    .target_name = req->who.email});
}

/* ---- reading ---- */

static json_t *entry_json(const imu_rows *rows, int i)
{
    static const char *const texts[] = {"created_at",  "action",  "result",      "user_id",
                                        "user_email",  "address", "target_type", "target_id",
                                        "target_name", NULL};
    json_t *one = json_pack("{s:I}", "entry_id", (json_int_t)imu_int(rows, i, "entry_id"));

    imu_json_set_texts(one, rows, i, texts);
    json_object_set_new(one, "detail", imu_json_parsed(rows, i, "detail"));
    return one;
}

static imu_err *reply_page(imu_req *req, const imu_rows *rows, apr_int64_t limit)
{
    json_t *list = json_array();
    json_t *next = rows->count == limit ? json_integer(imu_int(rows, rows->count - 1, "entry_id"))
                                        : json_null();

    for (int i = 0; i < rows->count; i++)
        json_array_append_new(list, entry_json(rows, i));
    return imu_reply_json(req, 200, json_pack("{s:o, s:o}", "entries", list, "next", next));
}

static void write_json(apr_pool_t *p, FILE *out, const imu_rows *rows, int i)
{
    json_t *one = entry_json(rows, i);

    fprintf(out, "%s\n", imu_json_compact(p, one));
    json_decref(one);
}

static void write_csv(apr_pool_t *p, FILE *out, const imu_rows *rows, int i)
{
    for (int c = 0; c < rows->columns; c++) {
        const char *cell = imu_text(rows, i, rows->names[c]);

        fprintf(out, "%s%s", c ? "," : "", cell ? imu_csv_cell(p, cell) : "");
    }
    fputs("\r\n", out);
}

/* Writes what the filter reaches, a page at a time. */
static imu_err *write_all(imu_req *req, imu_db *db, imu_audit_filter *filter, int csv, FILE *out)
{
    apr_int64_t left = filter->limit;
    apr_pool_t *sub;
    imu_rows *rows;
    imu_err *err = NULL;

    if (apr_pool_create(&sub, req->p) != APR_SUCCESS)
        return imu_error_internal(req->p, "no memory");
    if (csv)
        fputs("entry_id,created_at,action,result,user_id,user_email,address,target_type,target_id,"
              "target_name,detail\r\n",
              out);
    do {
        apr_pool_clear(sub);
        filter->limit = left < PAGE_MAX ? left : PAGE_MAX;
        if ((err = imu_audit_page(db, sub, filter, &rows)))
            break;
        for (int i = 0; i < rows->count; i++) {
            (csv ? write_csv : write_json)(sub, out, rows, i);
            filter->before = imu_int(rows, i, "entry_id");
        }
        left -= rows->count;
    } while (left > 0 && rows->count == PAGE_MAX);
    if (err) /* its words lie in the pool that goes */
        err = imu_error_internal(req->p, "the audit log can't be read: %s",
                                 err->log ? err->log : err->detail);
    apr_pool_destroy(sub);
    return err;
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
    err = write_all(req, db, filter, csv, out);
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

/* The beginning of a time as it is stored: "2026", "2026-11-21", "2026-11-21 09:00", with a T too.
 */
static imu_err *time_query(imu_req *req, const char *name, const char **value)
{
    static const char form[] = "dddd-dd-dd dd:dd:dd.ddd";
    imu_err *err = imu_query_text(req, name, sizeof form - 1, NULL, value);
    char *at;

    if (err || !*value || !**value)
        return err;
    *value = at = apr_pstrdup(req->p, *value);
    for (size_t i = 0; at[i]; i++) {
        if (i == 10 && at[i] == 'T')
            at[i] = ' ';
        if (form[i] == 'd' ? at[i] < '0' || at[i] > '9' : at[i] != form[i])
            return imu_invalid(req->p, "query", name, "datetime_parsing",
                               "Input should be a date such as 2026-11-21, or a date and a time");
    }
    return NULL;
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
