/*
 * users.c: people administration, in upstream's form (/api/v1/auth/users) and in the
 * specification's (/api/v1/users). Both do the same; they differ in the names of fields and in what
 * they answer.
 */
#include "mod_invokemu/api/handlers.h"

#include <string.h>

#include "mod_invokemu/api/accounts.h"
#include "mod_invokemu/api/audit.h"
#include "mod_invokemu/api/gallery.h"
#include "mod_invokemu/api/mail.h"
#include "mod_invokemu/auth/authenticate.h"
#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/events/account_news.h"
#include "mod_invokemu/store/accounts.h"

#define PAGE_MAX     1000
#define PAGE_DEFAULT 50

static json_t *accounts_json(const imu_rows *rows)
{
    json_t *list = json_array();
    int i;

    for (i = 0; i < rows->count; i++)
        json_array_append_new(list, imu_account_json(rows, i));
    return list;
}

/* What the body of a new account says. */
typedef struct new_account {
    const char *email, *name, *password; /* without a password its person is invited */
    int admin;
    int once; /* the password has to be changed at the first sign-in */
} new_account;

/* Whether a password that is set through InvokeAI's own form has to be changed at the first
 * sign-in: its client has no page for that, ours asks for it. */
static int check_once(const imu_req *req, imu_check *c, const json_t *body)
{
    return imu_check_bool(c, body, "must_change_password", IMU_NULLABLE, req->inst->force_change);
}

/**
 * Upstream's form carries the password for good, unless something else is said; the specification's
 * carries one that has to be changed, or asks for an invitation instead; that of /invitations has
 * none.
 */
static imu_err *read_account(imu_req *req, imu_account_form form, new_account *a)
{
    int invited = form == IMU_FORM_INVITATION;
    imu_check *c;
    json_t *body;
    imu_err *err = imu_body_object(req, &body);

    if (err)
        return err;
    c = imu_check_new(req->p, "body");
    a->email = imu_check_email(c, req->p, body, "email");
    a->name = imu_check_name(c, req->p, body);
    a->admin = imu_check_bool(c, body, "is_admin", IMU_NULLABLE, 0);
    a->once =
        form == IMU_FORM_SPECIFICATION || (form == IMU_FORM_UPSTREAM && check_once(req, c, body));
    if (form == IMU_FORM_SPECIFICATION)
        invited = imu_check_bool(c, body, "send_invitation", IMU_NULLABLE, 0);
    if (!invited)
        a->password = imu_check_text(
            c, body, form == IMU_FORM_SPECIFICATION ? "initial_password" : "password", IMU_REQUIRED,
            0, IMU_PASSWORD_BODY);
    return imu_check_end(c);
}

imu_err *imu_account_new(imu_req *req, imu_account_form form, int *invited, imu_rows **user)
{
    const char *hash = IMU_NO_PASSWORD, *user_id;
    new_account a = {0};
    imu_rows *taken;
    imu_db *db;
    imu_err *err;

    if ((err = read_account(req, form, &a)) || (err = imu_user_check_email(req->p, a.email)) ||
        (err = imu_req_db(req, &db)) ||
        (err = imu_user_secret_by_email(db, req->p, a.email, &taken)))
        return err;
    *invited = !a.password;
    /* Spares the hash; the unique column has the last word. */
    if (taken->count)
        return imu_error(req->p, 400, "email_taken",
                         "There is already an account with the address %s.", a.email);
    if ((a.password && (err = imu_new_password(req, a.password, a.email, a.name, &hash))) ||
        (err = imu_user_create(db, req->p, a.email, a.name, hash, a.admin, a.password && a.once,
                               &user_id)))
        return err;
    imu_audit(req, (imu_audit_fact){.action = IMU_AUDIT_ACCOUNT_CREATED,
                                    .target_id = user_id,
                                    .target_name = a.email,
                                    .detail = json_pack("{s:b}", "is_admin", a.admin)});
    return imu_user_get(db, req->p, user_id, user);
}

static void audit_update(imu_req *req, const imu_user_change *change, const imu_rows *before,
                         const imu_rows *after)
{
    imu_audit_fact facts[IMU_AUDIT_ACCOUNT_FACTS];
    int n = imu_audit_account_facts(change, before, after, facts);

    for (int i = 0; i < n; i++)
        imu_audit(req, facts[i]);
}

/* Somebody tried to leave the server without an administrator. */
static void audit_last_admin(imu_req *req, imu_audit_action action, const imu_rows *user,
                             const imu_err *err)
{
    if (imu_error_is(err, "last_admin"))
        imu_audit(req, (imu_audit_fact){.action = action,
                                        .refused = 1,
                                        .target_id = imu_text(user, 0, "user_id"),
                                        .target_name = imu_text(user, 0, "email"),
                                        .detail = json_pack("{s:s}", "reason", err->detail)});
}

/** Changes the account named in the path; with_password: the body may hold a new one. */
static imu_err *update(imu_req *req, int with_password, imu_rows **user)
{
    imu_user_change change = {NULL, NULL, IMU_KEEP, IMU_KEEP, IMU_KEEP, NULL};
    const char *id = imu_param(req, "user_id"), *password = NULL;
    imu_rows *before;
    imu_check *c;
    json_t *body;
    imu_db *db;
    imu_err *err = imu_body_object(req, &body);

    if (err)
        return err;
    c = imu_check_new(req->p, "body");
    change.display_name = imu_check_name(c, req->p, body);
    change.is_admin = imu_check_bool(c, body, "is_admin", IMU_NULLABLE, IMU_KEEP);
    change.is_active = imu_check_bool(c, body, "is_active", IMU_NULLABLE, IMU_KEEP);
    if (json_object_get(body, "email") && !json_is_null(json_object_get(body, "email")))
        change.email = imu_check_email(c, req->p, body, "email");
    if (with_password)
        password = imu_check_text(c, body, "password", IMU_NULLABLE, 0, IMU_PASSWORD_BODY);
    if (password && !imu_is_own_account(req, id))
        change.must_change_password = check_once(req, c, body);
    if ((err = imu_check_end(c)) || (err = imu_req_db(req, &db)) ||
        (err = imu_user_get(db, req->p, id, &before)))
        return err;
    if (password && strcmp(id, IMU_SYSTEM_USER) != 0) {
        if ((err = imu_named_account(req, &before)) ||
            (err = imu_new_password(req, password, imu_text(before, 0, "email"),
                                    imu_text(before, 0, "display_name"), &change.password_hash)))
            return err;
    }
    if ((err = imu_account_store(req, db, id, &change, NULL, user))) {
        audit_last_admin(req, change.is_active == 0 ? IMU_AUDIT_SUSPENDED : IMU_AUDIT_ROLE_CHANGED,
                         before, err);
        return err;
    }
    audit_update(req, &change, before, *user);
    if (strcmp(imu_text(before, 0, "email"), imu_text(*user, 0, "email")) != 0)
        imu_mail_changed_address(req, db, before);
    return NULL;
}

/* What is to be told of an account that could not be deleted. @return err */
static imu_err *not_removed(imu_req *req, const imu_rows *user, const apr_array_header_t *ended,
                            imu_err *err)
{
    int jobs = imu_account_jobs_gone(ended);

    if (jobs || imu_error_is(err, "last_admin"))
        imu_audit(req, imu_audit_account_stays(user, err, jobs));
    imu_account_tell_swept(req->p, req->who.user_id, imu_param(req, "user_id"), ended);
    return err;
}

/* heir: whose the data becomes, or NULL when it goes too. */
static imu_err *remove_account(imu_req *req, const char *heir)
{
    const char *id = imu_param(req, "user_id");
    apr_array_header_t *ended;
    imu_rows *user, *next = NULL;
    imu_account_news news;
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (err || (err = imu_user_get(db, req->p, id, &user)) ||
        (heir && (err = imu_user_get(db, req->p, heir, &next))) ||
        (err = imu_account_news_read(db, req->p, id, heir, &news)))
        return err;
    if ((err = imu_account_remove(db, req->p, id, heir, &ended)))
        return not_removed(req, user, ended, err);
    imu_audit(req, (imu_audit_fact){
                       .action = IMU_AUDIT_ACCOUNT_DELETED,
                       .target_id = id,
                       .target_name = imu_text(user, 0, "email"),
                       .detail = imu_audit_account_gone(next, imu_account_jobs_ended(ended))});
    if (imu_is_own_account(req, id))
        imu_signed_out_here(req);
    imu_account_tell_gone(req->p, req->who.user_id, &news, ended);
    imu_gallery_purge(req);
    return NULL;
}

/** GET /auth/users. */
imu_err *imu_api_auth_users(imu_req *req)
{
    imu_user_filter all = {.is_admin = IMU_KEEP, .limit = IMU_USERS_MAX};
    apr_int64_t total;
    imu_rows *rows;
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (err || (err = imu_user_list(db, req->p, &all, &rows, &total)))
        return err;
    return imu_reply_json(req, 200, accounts_json(rows));
}

/** POST /auth/users. */
imu_err *imu_api_auth_users_create(imu_req *req)
{
    int invited;
    imu_rows *user;
    imu_err *err = imu_account_new(req, IMU_FORM_UPSTREAM, &invited, &user);

    return err ? err : imu_reply_json(req, 201, imu_account_json(user, 0));
}

/** GET /auth/users/{user_id}. */
imu_err *imu_api_auth_user(imu_req *req)
{
    imu_rows *user;
    imu_err *err = imu_named_account(req, &user);

    return err ? err : imu_reply_json(req, 200, imu_account_json(user, 0));
}

/** PATCH /auth/users/{user_id}. */
imu_err *imu_api_auth_user_patch(imu_req *req)
{
    imu_rows *user;
    imu_err *err = update(req, 1, &user);

    return err ? err : imu_reply_json(req, 200, imu_account_json(user, 0));
}

/* Deletes the account named in the path, with what it owned, or hands that over first, by
 * ?delete_data=false&transfer_to. */
static imu_err *remove_as_asked(imu_req *req)
{
    const char *heir;
    int delete_data;
    imu_err *err;

    if ((err = imu_query_once(req, "transfer_to")) || (err = imu_query_once(req, "delete_data")) ||
        (err = imu_query_text(req, "transfer_to", 255, NULL, &heir)) ||
        (err = imu_query_bool(req, "delete_data", heir == NULL, &delete_data)))
        return err;
    if (delete_data == (heir != NULL))
        return imu_invalid(req->p, "query", "transfer_to", heir ? "extra_forbidden" : "missing",
                           heir ? "Data that is deleted can't be handed to anybody"
                                : "Name the account that gets what this one owned");
    return remove_account(req, heir);
}

/** DELETE /auth/users/{user_id}. */
imu_err *imu_api_auth_user_delete(imu_req *req)
{
    imu_err *err = remove_as_asked(req);

    return err ? err : imu_reply_empty(req, 204);
}

/** GET /users?offset&limit&search&role_filter&state_filter. */
imu_err *imu_api_users(imu_req *req)
{
    static const char *const roles[] = {"admin", "user", "all", NULL};
    static const char *const states[] = {"all", "active", "suspended", "invited", NULL};
    imu_user_filter filter = {.is_admin = IMU_KEEP, .limit = PAGE_DEFAULT};
    const char *role, *state;
    apr_int64_t total;
    imu_rows *rows;
    imu_db *db;
    imu_err *err;

    if ((err = imu_query_int(req, "offset", 0, APR_INT32_MAX, 0, &filter.offset)) ||
        (err = imu_query_int(req, "limit", 1, PAGE_MAX, PAGE_DEFAULT, &filter.limit)) ||
        (err = imu_query_text(req, "search", IMU_NAME_BYTES, "", &filter.search)) ||
        (err = imu_query_choice(req, "role_filter", roles, "all", &role)) ||
        (err = imu_query_choice(req, "state_filter", states, "all", &state)))
        return err;
    while (strcmp(states[filter.state], state) != 0)
        filter.state++;
    if (strcmp(role, "all") != 0)
        filter.is_admin = strcmp(role, "admin") == 0;
    if ((err = imu_req_db(req, &db)) || (err = imu_user_list(db, req->p, &filter, &rows, &total)))
        return err;
    return imu_reply_json(req, 200,
                          json_pack("{s:o, s:I, s:I, s:I}", "users", accounts_json(rows), "total",
                                    (json_int_t)total, "offset", (json_int_t)filter.offset, "limit",
                                    (json_int_t)filter.limit));
}

static imu_err *reply_user(imu_req *req, int status, const imu_rows *user)
{
    return imu_reply_json(req, status, json_pack("{s:o}", "user", imu_account_json(user, 0)));
}

/** POST /users: with a password that has to be changed at the first sign-in, or with a link to
 * choose one by. */
imu_err *imu_api_users_create(imu_req *req)
{
    int invited;
    imu_rows *user;
    imu_db *db;
    imu_err *err = imu_account_new(req, IMU_FORM_SPECIFICATION, &invited, &user);

    if (err || !invited)
        return err ? err : reply_user(req, 201, user);
    err = imu_req_db(req, &db);
    return err ? err : imu_invite(req, db, user);
}

/** GET /users/{user_id}. */
imu_err *imu_api_user(imu_req *req)
{
    imu_rows *user;
    imu_err *err = imu_named_account(req, &user);

    return err ? err : reply_user(req, 200, user);
}

/** PATCH /users/{user_id}. */
imu_err *imu_api_user_patch(imu_req *req)
{
    imu_rows *user;
    imu_err *err = update(req, 0, &user);

    return err ? err : reply_user(req, 200, user);
}

/** DELETE /users/{user_id}. */
imu_err *imu_api_user_delete(imu_req *req)
{
    imu_err *err = remove_as_asked(req);

    return err ? err : imu_reply_json(req, 200, json_pack("{s:b}", "success", 1));
}
