/*
 * users.c: accounts and their sessions on the command line. The same rules and statements as the
 * server's.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/auth/core_email.h"
#include "mod_invokemu/auth/core_password.h"
#include "mod_invokemu/auth/core_session.h"
#include "mod_invokemu/store/queue.h"
#include "mod_invokemu/store/users.h"

static imu_err *wanted_email(cli *c, const char **email)
{
    *email = c->opt.email ? imu_email_normal(c->p, c->opt.email) : NULL;
    if (*email)
        return NULL;
    if (!c->opt.email)
        return imu_error(c->p, 422, "email", "which account? Give its e-mail address");
    return imu_error(c->p, 422, "email", "\"%s\" is not an e-mail address", c->opt.email);
}

/* The account named on the command line. */
static imu_err *account(cli *c, imu_rows **user)
{
    const char *email;
    imu_err *err = wanted_email(c, &email);

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
    if ((err = imu_password_check(c->p, password, !c->opt.weak, email, name)))
        return err;
    return imu_password_hash(c->p, password, hash);
}

imu_err *cli_users_add(cli *c)
{
    const char *email, *hash, *id;
    imu_err *err;

    if ((err = wanted_email(c, &email)) ||
        (err = hash_of_new_password(c, email, c->opt.name, &hash)) ||
        (err = imu_user_create(c->db, c->p, email, c->opt.name, hash, c->opt.admin == 1,
                               c->opt.must_change, &id)))
        return err;
    if (c->opt.json)
        cli_print_json(imu_json_own(c->p, json_pack("{s:s, s:s, s:b}", "user_id", id, "email",
                                                    email, "is_admin", c->opt.admin == 1)));
    else
        printf("Added %s%s.\n", email, c->opt.admin == 1 ? " as an administrator" : "");
    return NULL;
}

static json_t *user_json(const imu_rows *rows, int i)
{
    json_t *o = json_object();

    json_object_set_new(o, "user_id", imu_json_text(rows, i, "user_id"));
    json_object_set_new(o, "email", imu_json_text(rows, i, "email"));
    json_object_set_new(o, "display_name", imu_json_text(rows, i, "display_name"));
    json_object_set_new(o, "is_admin", json_boolean(imu_bool(rows, i, "is_admin")));
    json_object_set_new(o, "is_active", json_boolean(imu_bool(rows, i, "is_active")));
    json_object_set_new(o, "created_at", imu_json_text(rows, i, "created_at"));
    json_object_set_new(o, "last_login_at", imu_json_text(rows, i, "last_login_at"));
    return o;
}

imu_err *cli_users_list(cli *c)
{
    imu_user_filter all = {.is_admin = IMU_KEEP, .limit = IMU_USERS_MAX};
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
            json_array_append_new(list, user_json(rows, i));
        else
            printf("%-40s %-24s %-13s %-11s %s\n", imu_text(rows, i, "email"), name ? name : "",
                   imu_bool(rows, i, "is_admin") ? "administrator" : "person",
                   imu_bool(rows, i, "is_active") ? "active" : "deactivated",
                   seen ? seen : "never signed in");
    }
    if (c->opt.json)
        cli_print_json(list);
    return NULL;
}

/* A server that runs hears of the end of jobs within seconds, when it looks at its rows. */
static imu_err *store_change(cli *c, const char *user_id, const imu_user_change *change)
{
    apr_array_header_t *ended;
    imu_rows *after;
    imu_err *err = imu_db_begin(c->db);

    if (err)
        return err;
    if (change->is_active == 0)
        err = imu_queue_cancel_person(c->db, c->p, user_id, &ended);
    return imu_db_end(c->db, err ? err : imu_user_update(c->db, c->p, user_id, change, &after));
}

imu_err *cli_users_mod(cli *c)
{
    imu_user_change change = {.display_name = c->opt.name,
                              .is_admin = c->opt.admin,
                              .is_active = c->opt.active,
                              .must_change_password = c->opt.must_change ? 1 : IMU_KEEP};
    imu_rows *user;
    imu_err *err = account(c, &user);

    if (err)
        return err;
    if ((c->opt.password || c->opt.password_stdin) &&
        (err = hash_of_new_password(c, imu_text(user, 0, "email"),
                                    imu_text(user, 0, "display_name"), &change.password_hash)))
        return err;
    if ((err = store_change(c, imu_text(user, 0, "user_id"), &change)))
        return err;
    printf("Changed %s.\n", imu_text(user, 0, "email"));
    return NULL;
}

imu_err *cli_users_del(cli *c)
{
    imu_rows *user;
    imu_err *err = account(c, &user);

    if (err)
        return err;
    if (!cli_confirm(c, apr_pstrcat(c->p, "This deletes ", imu_text(user, 0, "email"),
                                    " with all boards and pictures, for good.", NULL)))
        return imu_error(c->p, 400, "not_confirmed", "nothing was deleted");
    if ((err = imu_user_delete(c->db, c->p, imu_text(user, 0, "user_id"), NULL)))
        return err;
    printf("Deleted %s.\n", imu_text(user, 0, "email"));
    return NULL;
}

imu_err *cli_sessions_list(cli *c)
{
    imu_identity who = {.session_id = ""};
    json_t *list, *one;
    imu_rows *user;
    imu_err *err = account(c, &user);
    size_t i;

    if (err)
        return err;
    who.user_id = imu_text(user, 0, "user_id");
    if ((err = imu_session_list(c->db, c->p, &who, &list)))
        return err;
    imu_json_own(c->p, list);
    if (c->opt.json) {
        cli_print_json(list);
        return NULL;
    }
    json_array_foreach (list, i, one) {
        const char *agent = json_string_value(json_object_get(one, "user_agent"));
        const char *from = json_string_value(json_object_get(one, "ip_address"));

        printf("%s  %s  %-15s %s\n", json_string_value(json_object_get(one, "session_id")),
               json_string_value(json_object_get(one, "last_activity_at")), from ? from : "-",
               agent ? agent : "-");
    }
    return NULL;
}

imu_err *cli_sessions_end(cli *c)
{
    imu_rows *user;
    imu_err *err = account(c, &user);

    if (!err)
        err = imu_session_end_all(c->db, c->p, imu_text(user, 0, "user_id"), NULL);
    if (!err)
        printf("Signed %s out everywhere.\n", imu_text(user, 0, "email"));
    return err;
}
