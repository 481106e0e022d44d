#include "mod_invokemu/store/audit.h"
#include "mod_invokemu/util/clock.h"

#include <string.h>
#include <apr_strings.h>

#include "mod_invokemu/util/csv.h"
#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/jsons.h"

#define PAGE 1000

/* Greater than every character of a time text: "2026-11-21~" comes after all of that day. */
#define AFTER_ALL "~"

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
    [IMU_AUDIT_MAIL_AGAIN] = {"mail_sent_again", "mail"},
    [IMU_AUDIT_LEGACY_ASSIGNED] = {"legacy_data_assigned", "account"},
    [IMU_AUDIT_BOARD_SHARED] = {"board_shared", "board"},
    [IMU_AUDIT_BOARD_UNSHARED] = {"board_unshared", "board"},
    [IMU_AUDIT_BOARD_VISIBILITY] = {"board_visibility_changed", "board"},
    [IMU_AUDIT_BOARD_CHANGED] = {"board_changed", "board"},
    [IMU_AUDIT_BOARD_DELETED] = {"board_deleted", "board"},
    [IMU_AUDIT_PICTURES_CHANGED] = {"pictures_changed", "picture"},
    [IMU_AUDIT_PICTURES_DELETED] = {"pictures_deleted", "picture"},
    [IMU_AUDIT_WORKFLOW_CHANGED] = {"workflow_changed", "workflow"},
    [IMU_AUDIT_WORKFLOW_DELETED] = {"workflow_deleted", "workflow"},
    [IMU_AUDIT_PRESET_CHANGED] = {"preset_changed", "style_preset"},
    [IMU_AUDIT_PRESET_DELETED] = {"preset_deleted", "style_preset"},
    [IMU_AUDIT_WORKFLOW_VISIBILITY] = {"workflow_visibility_changed", "workflow"},
    [IMU_AUDIT_PRESET_VISIBILITY] = {"preset_visibility_changed", "style_preset"},
    [IMU_AUDIT_MODEL_CHANGED] = {"model_changed", "model"},
    [IMU_AUDIT_MODEL_DELETED] = {"model_deleted", "model"},
    [IMU_AUDIT_MODEL_INSTALLED] = {"model_installed", "model"},
    [IMU_AUDIT_TOKENIZER_KEPT] = {"tokenizer_kept", "model"},
    [IMU_AUDIT_QUEUE_PAUSED] = {"queue_paused", "queue"},
    [IMU_AUDIT_QUEUE_RESUMED] = {"queue_resumed", "queue"},
    [IMU_AUDIT_QUEUE_CLEARED] = {"queue_cleared", "queue"},
    [IMU_AUDIT_JOBS_CANCELED] = {"jobs_canceled", "queue"},
    [IMU_AUDIT_JOBS_DELETED] = {"jobs_deleted", "queue"},
    [IMU_AUDIT_JOBS_RETRIED] = {"jobs_retried", "queue"},
    [IMU_AUDIT_NOT_ALLOWED] = {"not_allowed", "server"},
    [IMU_AUDIT_SETTINGS_CHANGED] = {"settings_changed", "server"},
    [IMU_AUDIT_ROOT_ADMIN] = {"root_admin_applied", "account"},
    [IMU_AUDIT_BACKED_UP] = {"backup_made", "server"},
    [IMU_AUDIT_RESTORED_DATA] = {"backup_restored", "server"},
    [IMU_AUDIT_MENDED_DATA] = {"data_mended", "server"},
    [IMU_AUDIT_IMPORTED] = {"data_imported", "server"},
};

const char *imu_audit_word(imu_audit_action action)
{
    return actions[action].name;
}

int imu_audit_wanted(imu_audit_action action, int sign_ins, int changes)
{
    return action < IMU_AUDIT_SET_UP ? sign_ins : changes;
}

imu_audit_entry imu_audit_entry_of(apr_pool_t *p, const imu_audit_fact *fact)
{
    imu_audit_entry entry = {
        .action = actions[fact->action].name,
        .refused = fact->refused,
        .user_id = fact->user_id,
        .user_email = fact->user_email,
        .target_type = fact->target_type ? fact->target_type : actions[fact->action].target,
        .target_id = fact->target_id,
        .target_name = fact->target_name,
        .detail = imu_json_compact(p, fact->detail),
    };

    json_decref(fact->detail);
    return entry;
}

int imu_audit_account_facts(const imu_user_change *change, const imu_rows *before,
                            const imu_rows *after, imu_audit_fact *facts)
{
    imu_audit_fact fact = {.target_id = imu_text(after, 0, "user_id"),
                           .target_name = imu_text(after, 0, "email")};
    int admin = imu_bool(after, 0, "is_admin"), active = imu_bool(after, 0, "is_active"), n = 0;
    int must = imu_bool(after, 0, "must_change_password");
    /* With a new password it is a part of that. */
    int demanded = !change->password_hash && must != imu_bool(before, 0, "must_change_password");

    for (int i = 0; i < IMU_AUDIT_ACCOUNT_FACTS; i++)
        facts[i] = fact;
    if (demanded)
        facts[n].detail = json_pack("{s:b}", "must_change_password", must);
    if (change->display_name || demanded)
        facts[n++].action = IMU_AUDIT_ACCOUNT_CHANGED;
    if (strcmp(imu_text(before, 0, "email"), imu_text(after, 0, "email")) != 0) {
        facts[n].detail = json_pack("{s:s}", "from", imu_text(before, 0, "email"));
        facts[n++].action = IMU_AUDIT_EMAIL_CHANGED;
    }
    if (admin != imu_bool(before, 0, "is_admin")) {
        facts[n].detail = json_pack("{s:b}", "is_admin", admin);
        facts[n++].action = IMU_AUDIT_ROLE_CHANGED;
    }
    if (active != imu_bool(before, 0, "is_active"))
        facts[n++].action = active ? IMU_AUDIT_RESTORED : IMU_AUDIT_SUSPENDED;
    if (change->password_hash)
        facts[n++].action = IMU_AUDIT_PASSWORD_CHANGED;
    return n;
}

json_t *imu_audit_account_gone(const imu_rows *heir, int jobs)
{
    json_t *detail = heir || jobs ? json_object() : NULL;

    if (heir)
        json_object_update_new(
            detail, json_pack("{s:s, s:s}", "transferred_to", imu_text(heir, 0, "user_id"),
                              "transferred_to_email", imu_text(heir, 0, "email")));
    if (jobs)
        json_object_set_new(detail, "jobs_ended", json_integer(jobs));
    return detail;
}

imu_audit_fact imu_audit_account_stays(const imu_rows *user, const imu_err *err, int jobs)
{
    json_t *detail = json_pack("{s:s}", "reason", err->detail);

    if (jobs)
        json_object_set_new(detail, "jobs_ended", json_integer(jobs));
    return (imu_audit_fact){.action = IMU_AUDIT_ACCOUNT_DELETED,
                            .refused = 1,
                            .target_id = imu_text(user, 0, "user_id"),
                            .target_name = imu_text(user, 0, "email"),
                            .detail = detail};
}

imu_err *imu_audit_people(imu_db *db, apr_pool_t *p, const json_t *people, json_t **addresses)
{
    imu_rows *rows;
    imu_err *err;

    *addresses = imu_json_own(p, json_array());
    if (!people ||
        (err = imu_db_select(db, p, &rows, "audit_people", "s", imu_json_compact(p, people))))
        return people ? err : NULL;
    for (int i = 0; i < rows->count; i++)
        json_array_append_new(*addresses, json_string(imu_text(rows, i, "email")));
    return NULL;
}

imu_err *imu_audit_board_words(imu_db *db, apr_pool_t *p, const char *board_id,
                               const json_t *people, const char **name, json_t **addresses)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "audit_board", "s", board_id);

    *name = NULL;
    if (err)
        return err;
    if (rows->count > 0)
        *name = imu_text(rows, 0, "board_name");
    return imu_audit_people(db, p, people, addresses);
}

imu_err *imu_audit_add(imu_db *db, apr_pool_t *p, const imu_audit_entry *e)
{
    return imu_db_exec(db, p, NULL, "audit_add", "ssssssssss", imu_now(p), e->action,
                       e->refused ? "refused" : "ok", e->user_id, e->user_email, e->address,
                       e->target_type, e->target_id, e->target_name, e->detail);
}

imu_err *imu_audit_page(imu_db *db, apr_pool_t *p, const imu_audit_filter *f, imu_rows **rows)
{
    const char *like = f->search ? imu_like_anywhere(p, f->search) : NULL;

    return imu_db_select(db, p, rows, "audit_page", "issssssssssssi", f->before, f->action,
                         f->action, f->result, f->result, f->user_id, f->user_id,
                         f->since ? f->since : "",
                         apr_pstrcat(p, f->until ? f->until : "", AFTER_ALL, NULL), like, like,
                         like, like, f->limit);
}

imu_err *imu_audit_purge(imu_db *db, apr_pool_t *p, int days, int *removed)
{
    static const apr_int64_t most[] = {IMU_AUDIT_MAX, IMU_AUDIT_MAX_REFUSED};
    apr_time_t oldest = imu_clock_now() - apr_time_from_sec((apr_int64_t)days * 24 * 3600);
    imu_err *err = NULL;

    *removed = 0;
    for (size_t i = 0; !err && i < sizeof most / sizeof most[0]; i++) {
        apr_int64_t strangers = (apr_int64_t)i;
        int some = 0;

        err = imu_db_exec(db, p, &some, "audit_purge", "siii", imu_time_text(p, oldest), strangers,
                          strangers, most[i]);
        *removed += some;
    }
    return err;
}

json_t *imu_audit_json(const imu_rows *rows, int i)
{
    static const char *const texts[] = {"created_at",  "action",  "result",      "user_id",
                                        "user_email",  "address", "target_type", "target_id",
                                        "target_name", NULL};
    json_t *one = json_pack("{s:I}", "entry_id", (json_int_t)imu_int(rows, i, "entry_id"));

    imu_json_set_texts(one, rows, i, texts);
    json_object_set_new(one, "detail", imu_json_parsed(rows, i, "detail"));
    return one;
}

static void write_json(apr_pool_t *p, FILE *out, const imu_rows *rows, int i)
{
    json_t *one = imu_audit_json(rows, i);

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

imu_err *imu_audit_write(imu_db *db, apr_pool_t *p, const imu_audit_filter *wanted,
                         imu_audit_format format, FILE *out)
{
    imu_audit_filter filter = *wanted;
    apr_int64_t left = filter.limit;
    apr_pool_t *sub;
    imu_rows *rows;
    imu_err *err = NULL;

    if (apr_pool_create(&sub, p) != APR_SUCCESS)
        return imu_error_internal(p, "no memory");
    if (format == IMU_AUDIT_CSV)
        fputs("entry_id,created_at,action,result,user_id,user_email,address,target_type,target_id,"
              "target_name,detail\r\n",
              out);
    do {
        apr_pool_clear(sub);
        filter.limit = left < PAGE ? left : PAGE;
        if ((err = imu_audit_page(db, sub, &filter, &rows)))
            break;
        for (int i = 0; i < rows->count; i++) {
            (format == IMU_AUDIT_CSV ? write_csv : write_json)(sub, out, rows, i);
            filter.before = imu_int(rows, i, "entry_id");
        }
        left -= rows->count;
    } while (left > 0 && rows->count == PAGE);
    if (err) /* its words lie in the pool that goes */
        err = imu_error_internal(p, "the audit log can't be read: %s",
                                 err->log ? err->log : err->detail);
    apr_pool_destroy(sub);
    return err;
}

/* The two digits at that place of a time, or -1 before they are both there. */
static int two(const char *text, size_t len, size_t at)
{
    return len >= at + 2 ? (text[at] - '0') * 10 + text[at + 1] - '0' : -1;
}

/* Whether the calendar and the clock have what stands there, as far as it goes. */
static int is_in_calendar(const char *text)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    size_t len = strlen(text);
    int month = two(text, len, 5), day = two(text, len, 8);
    int year = len >= 4 ? two(text, len, 0) * 100 + two(text, len, 2) : 0;
    int is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    if (month == 0 || month > 12 || day == 0 || (day > 0 && day > days[month - 1]) ||
        (month == 2 && day == 29 && !is_leap))
        return 0;
    return two(text, len, 11) < 24 && two(text, len, 14) < 60 && two(text, len, 17) < 60;
}

const char *imu_audit_time(apr_pool_t *p, const char *text)
{
    static const char form[] = "dddd-dd-dd dd:dd:dd.ddd";
    char *at = apr_pstrdup(p, text);

    if (strlen(text) >= sizeof form)
        return NULL;
    for (size_t i = 0; at[i]; i++) {
        if (i == 10 && at[i] == 'T')
            at[i] = ' ';
        if (form[i] == 'd' ? at[i] < '0' || at[i] > '9' : at[i] != form[i])
            return NULL;
    }
    return is_in_calendar(at) ? at : NULL;
}
