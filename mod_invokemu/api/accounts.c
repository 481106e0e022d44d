#include "mod_invokemu/api/accounts.h"

#include <string.h>
#include <apr_strings.h>

#include "mod_invokemu/api/queue.h"
#include "mod_invokemu/auth/authenticate.h"
#include "mod_invokemu/auth/core_email.h"
#include "mod_invokemu/auth/core_password.h"
#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/auth/throttle.h"
#include "mod_invokemu/events/publish.h"
#include "mod_invokemu/hosts.h"
#include "mod_invokemu/store/accounts.h"

json_t *imu_account_json(const imu_rows *rows, int row)
{
    return json_pack("{s:o, s:o, s:o, s:b, s:b, s:b, s:b, s:I, s:o, s:o, s:o}", "user_id",
                     imu_json_text(rows, row, "user_id"), "email",
                     imu_json_text(rows, row, "email"), "display_name",
                     imu_json_text(rows, row, "display_name"), "is_admin",
                     imu_bool(rows, row, "is_admin"), "is_active", imu_bool(rows, row, "is_active"),
                     "invited", imu_bool(rows, row, "invited"), "must_change_password",
                     imu_bool(rows, row, "must_change_password"), "token_epoch",
                     (json_int_t)imu_int(rows, row, "token_epoch"), "created_at",
                     imu_json_text(rows, row, "created_at"), "updated_at",
                     imu_json_text(rows, row, "updated_at"), "last_login_at",
                     imu_json_text(rows, row, "last_login_at"));
}

/* Addresses are often pasted with a space at an end. */
static const char *trimmed(apr_pool_t *p, const char *text)
{
    static const char *const blank = " \t\r\n";
    apr_size_t len;

    text += strspn(text, blank);
    len = strlen(text);
    while (len > 0 && strchr(blank, text[len - 1]))
        len--;
    return apr_pstrmemdup(p, text, len);
}

const char *imu_check_email(imu_check *c, apr_pool_t *p, const json_t *body, const char *field)
{
    const char *given = imu_check_text(c, body, field, IMU_REQUIRED, 0, 1000);
    const char *email = given ? imu_email_normal(p, trimmed(p, given)) : NULL;

    if (given && !email)
        imu_check_fault(c, field, "value_error", "This is not a valid e-mail address",
                        json_object_get(body, field));
    return email;
}

const char *imu_check_name(imu_check *c, apr_pool_t *p, const json_t *body)
{
    const char *given = imu_check_text(c, body, "display_name", IMU_NULLABLE, 0, IMU_NAME_BYTES);
    const char *name, *fault = imu_check_person_name(p, given, &name);

    if (fault)
        imu_check_fault(c, "display_name", "value_error", fault, NULL);
    return name;
}

imu_err *imu_new_password(imu_req *req, const char *password, const char *email, const char *name,
                          const char **hash)
{
    imu_err *err = imu_password_check(req->p, password, req->inst->strict_passwords, email, name);

    return err ? err : imu_hash_password(req, password, hash);
}

imu_err *imu_named_account(imu_req *req, imu_rows **user)
{
    const char *id = imu_param(req, "user_id");
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (!err)
        err = imu_user_get(db, req->p, id, user);
    if (!err && ((*user)->count == 0 || strcmp(id, IMU_SYSTEM_USER) == 0))
        err = imu_error(req->p, 404, "user_not_found", "There is no such account.");
    return err;
}

void imu_account_tell_ended(imu_req *req, const apr_array_header_t *ended)
{
    for (int i = 0; i < ended->nelts; i++)
        imu_queue_announce_canceled(req->p, req->who.user_id,
                                    &APR_ARRAY_IDX(ended, i, imu_queue_change));
}

/* Of a person who changed their own password: other sessions end, and this one gets a new token if
 * they may go on. */
static imu_err *after_own_password(imu_req *req, imu_db *db, const imu_rows *user,
                                   imu_session_token *token)
{
    imu_err *err;

    if (!imu_bool(user, 0, "is_active"))
        return imu_session_end_all(db, req->p, req->who.user_id, NULL);
    err = imu_session_replace(db, req->p, user, &req->who, token);
    return err ? err
               : imu_session_remember_network(db, req->p, req->who.user_id, imu_network_of(req));
}

/** Inside the transaction. token->text stays NULL when no session goes on with a new one. */
static imu_err *store(imu_req *req, imu_db *db, const char *id, const imu_user_change *change,
                      imu_rows **user, imu_session_token *token, apr_array_header_t **ended)
{
    int own = imu_is_own_account(req, id);
    imu_err *err = imu_account_change(db, req->p, id, change, own, user, ended);

    return !err && change->password_hash && own ? after_own_password(req, db, *user, token) : err;
}

imu_err *imu_account_store(imu_req *req, imu_db *db, const char *id, const imu_user_change *change,
                           const char *hash_was, imu_rows **user)
{
    apr_array_header_t *ended = apr_array_make(req->p, 0, sizeof(imu_queue_change));
    imu_session_token token = {0};
    imu_err *err = imu_db_begin(db);

    if (err)
        return err;
    if (hash_was)
        err = imu_user_hash_is(db, req->p, id, hash_was);
    if (!err)
        err = store(req, db, id, change, user, &token, &ended);
    if ((err = imu_db_end(db, err)))
        return err;
    imu_account_tell_ended(req, ended);
    if (token.text)
        imu_signed_in_anew(req, &token);
    else if (imu_is_own_account(req, id) && !imu_bool(*user, 0, "is_active"))
        imu_signed_out_here(req);
    imu_publish_user_changed(id);
    return NULL;
}

int imu_is_own_account(const imu_req *req, const char *id)
{
    return req->who.session_id && strcmp(id, req->who.user_id) == 0;
}
