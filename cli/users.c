/*
 * users.c: accounts on the command line. The same rules and statements as the
 * server's.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/auth/core_email.h"
#include "mod_invokemu/auth/core_password.h"
#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/events/account_news.h"
#include "mod_invokemu/events/publish.h"
#include "mod_invokemu/store/accounts.h"
#include "mod_invokemu/store/picture_files.h"

static imu_err *read_email(cli *c, const char *given, const char **email)
{
    if ((*email = imu_email_normal(c->p, given)))
        return NULL;
    return imu_error(c->p, 422, "email", "\"%s\" is not an e-mail address", given);
}

imu_err *cli_account(cli *c, const char *given, imu_rows **user)
{
    const char *email;
    imu_err *err = read_email(c, given, &email);

    if (!err)
        err = imu_user_secret_by_email(c->db, c->p, email, user);
    if (!err && (*user)->count == 0)
        err = imu_error(c->p, 404, "no_account", "there is no account %s", email);
    return err;
}

static imu_err *hash_of_new_password(cli *c, const char *email, const char *name, const char **hash)
{
    const char *password = cli_new_password(c);
    imu_err *err;

    if (!password)
        return imu_error(c->p, 400, "no_password", "nothing was changed");
    if ((err = imu_password_check(c->p, password, c->server.strict_passwords && !c->opt.weak, email,
                                  name)))
        return err;
    return imu_password_hash(c->p, password, hash);
}

/* Whoever sits here has chosen the password, and knows it: another one at the first sign-in, unless
 * told otherwise. InvokeAI's own tools do not ask for that, nor do its clients have a page for it.
 */
static int must_change(const cli *c)
{
    return c->opt.must_change >= 0 ? c->opt.must_change : !c->upstream;
}

imu_err *cli_users_add(cli *c)
{
    const char *email, *hash, *id;
    int admin = c->opt.admin == 1, first;
    apr_int64_t admins = 0;
    imu_err *err;

    if ((err = read_email(c, c->opt.email, &email)) || (err = imu_user_check_email(c->p, email)) ||
        (err = imu_user_count_admins(c->db, c->p, &admins)) ||
        (err = hash_of_new_password(c, email, c->opt.name, &hash)) ||
        (err = imu_user_create(c->db, c->p, email, c->opt.name, hash, admin, must_change(c), &id)))
        return err;
    first = admin && admins == 0;
    cli_note(c, (imu_audit_fact){.action = IMU_AUDIT_ACCOUNT_CREATED,
                                 .target_id = id,
                                 .target_name = email,
                                 .detail = json_pack("{s:b}", "is_admin", admin)});
    cli_done(c, json_pack("{s:s, s:s, s:b}", "user_id", id, "email", email, "is_admin", admin),
             "Added %s%s.", email, admin ? " as an administrator" : "");
    return first ? cli_offer_legacy(c, id, email) : NULL;
}

static json_t *user_json(const imu_rows *rows, int i)
{
    json_t *o = json_object();

    json_object_set_new(o, "user_id", imu_json_text(rows, i, "user_id"));
    json_object_set_new(o, "email", imu_json_text(rows, i, "email"));
    json_object_set_new(o, "display_name", imu_json_text(rows, i, "display_name"));
    json_object_set_new(o, "is_admin", json_boolean(imu_bool(rows, i, "is_admin")));
    json_object_set_new(o, "is_active", json_boolean(imu_bool(rows, i, "is_active")));
    json_object_set_new(o, "is_invited", json_boolean(imu_bool(rows, i, "invited")));
    json_object_set_new(o, "created_at", imu_json_text(rows, i, "created_at"));
    json_object_set_new(o, "last_login_at", imu_json_text(rows, i, "last_login_at"));
    return o;
}

/* InvokeAI's own list has other names for the first two. */
static json_t *listed_json(const cli *c, const imu_rows *rows, int i)
{
    json_t *o = user_json(rows, i);

    if (c->upstream) {
        json_object_set(o, "id", json_object_get(o, "user_id"));
        json_object_set(o, "name", json_object_get(o, "display_name"));
    }
    return o;
}

imu_err *cli_users_list(cli *c)
{
    imu_user_filter all = {.search = c->opt.search, .is_admin = IMU_KEEP, .limit = IMU_USERS_MAX};
    apr_int64_t total;
    imu_rows *rows;
    imu_err *err = imu_user_list(c->db, c->p, &all, &rows, &total);
    json_t *list;

    if (err)
        return err;
    list = imu_json_own(c->p, json_array());
    for (int i = 0; i < rows->count; i++) {
        const char *name = imu_text(rows, i, "display_name"),
                   *seen = imu_text(rows, i, "last_login_at");

        if (c->opt.json)
            json_array_append_new(list, listed_json(c, rows, i));
        else
            cli_say(c, "%-40s %-24s %-13s %-11s %s", imu_text(rows, i, "email"), name ? name : "",
                    imu_bool(rows, i, "is_admin") ? "administrator" : "person",
                    !imu_bool(rows, i, "is_active") ? "suspended"
                    : imu_bool(rows, i, "invited")  ? "invited"
                                                    : "active",
                    seen ? seen : "never signed in");
    }
    if (c->opt.json)
        cli_print_json(list);
    return NULL;
}

imu_err *cli_users_mod(cli *c)
{
    imu_user_change change = {.display_name = c->opt.name,
                              .is_admin = c->opt.admin,
                              .is_active = c->opt.active,
                              .must_change_password =
                                  c->opt.must_change >= 0 ? c->opt.must_change : IMU_KEEP};
    imu_audit_fact facts[IMU_AUDIT_ACCOUNT_FACTS];
    apr_array_header_t *ended;
    imu_rows *user, *after;
    imu_err *err = cli_account(c, c->opt.email, &user);

    if (err)
        return err;
    if ((c->opt.password || c->opt.password_stdin) &&
        (err = hash_of_new_password(c, imu_text(user, 0, "email"),
                                    imu_text(user, 0, "display_name"), &change.password_hash)))
        return err;
    if (change.password_hash)
        change.must_change_password = must_change(c);
    if ((err = imu_account_change(c->db, c->p, imu_text(user, 0, "user_id"), &change, 0, &after,
                                  &ended)))
        return err;
    cli_tell_canceled(c, ended);
    imu_publish_user_changed(imu_text(user, 0, "user_id"));
    for (int i = 0, n = imu_audit_account_facts(&change, user, after, facts); i < n; i++)
        cli_note(c, facts[i]);
    cli_done(c, user_json(after, 0), "Changed %s.", imu_text(user, 0, "email"));
    return NULL;
}

/* Whose the data becomes, or NULL. */
static imu_err *heir_of(cli *c, imu_rows **heir)
{
    *heir = NULL;
    return c->opt.transfer_to ? cli_account(c, c->opt.transfer_to, heir) : NULL;
}

imu_err *cli_purge(cli *c)
{
    int left = 1;
    imu_err *err = NULL;

    while (!err && left)
        err = imu_pictures_purge(c->db, c->p, c->opt.root, &left);
    return err;
}

/* What is to be told of an account that could not be deleted. @return err */
static imu_err *not_deleted(cli *c, const imu_rows *user, const apr_array_header_t *ended,
                            imu_err *err)
{
    int jobs = imu_account_jobs_gone(ended);

    if (jobs)
        cli_note(c, imu_audit_account_stays(user, err, jobs));
    imu_account_tell_swept(c->p, IMU_SYSTEM_USER, imu_text(user, 0, "user_id"), ended);
    return err;
}

imu_err *cli_users_del(cli *c)
{
    imu_rows *user, *heir;
    const char *id, *email, *heir_id;
    imu_account_news news;
    apr_array_header_t *ended;
    imu_err *err;

    if ((err = cli_account(c, c->opt.email, &user)) || (err = heir_of(c, &heir)))
        return err;
    id = imu_text(user, 0, "user_id");
    email = imu_text(user, 0, "email");
    heir_id = heir ? imu_text(heir, 0, "user_id") : NULL;
    if (!cli_confirm(c, heir ? apr_pstrcat(c->p, "This deletes ", email,
                                           "; boards and pictures go "
                                           "to ",
                                           imu_text(heir, 0, "email"), ".", NULL)
                             : apr_pstrcat(c->p, "This deletes ", email,
                                           " with all boards and pictures, for good.", NULL)))
        return imu_error(c->p, 400, "not_confirmed", "nothing was deleted");
    if ((err = imu_account_news_read(c->db, c->p, id, heir_id, &news)))
        return err;
    if ((err = imu_account_remove(c->db, c->p, id, heir_id, &ended)))
        return not_deleted(c, user, ended, err);
    imu_account_tell_gone(c->p, IMU_SYSTEM_USER, &news, ended);
    if ((err = cli_purge(c)))
        cli_complain(c, "files are left, which the server removes: %s",
                     err->log ? err->log : err->detail);
    cli_note(
        c, (imu_audit_fact){.action = IMU_AUDIT_ACCOUNT_DELETED,
                            .target_id = id,
                            .target_name = email,
                            .detail = imu_audit_account_gone(heir, imu_account_jobs_ended(ended))});
    cli_done(
        c, json_pack("{s:s, s:s, s:s?}", "user_id", id, "email", email, "transferred_to", heir_id),
        "Deleted %s%s%s.", email, heir ? "; everything is now of " : "",
        heir ? imu_text(heir, 0, "email") : "");
    return NULL;
}
