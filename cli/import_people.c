/*
 * import_people.c: accounts, boards and with whom they are shared.
 */
#include <string.h>

#include <apr_strings.h>

#include "cli/import.h"
#include "mod_invokemu/auth/core_email.h"
#include "mod_invokemu/auth/core_password.h"
#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/store/users.h"
#include "mod_invokemu/util/ids.h"

static void known_as(cli_importer *im, const char *theirs, const char *ours)
{
    apr_hash_set(im->accounts, apr_pstrdup(im->p, theirs), APR_HASH_KEY_STRING,
                 apr_pstrdup(im->p, ours));
}

/* A hash that no password of ours can be held against would lock its person out without a word. */
static const char *usable_hash(cli_importer *im, apr_pool_t *p, const char *email, const char *hash)
{
    const char *usable = hash ? imu_password_hash_foreign(p, hash) : NULL;

    if (usable)
        return usable;
    cli_import_note(im, "%s has no password that works here: invokemu reset %s", email, email);
    return IMU_LOST_PASSWORD;
}

static imu_err *insert_user(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i,
                            const char *email, int *taken)
{
    const char *seen = imu_text(r, i, "last_login_at"), *name = imu_text(r, i, "display_name");

    return imu_db_exec(
        im->db, p, taken, "import_user", "ssssbbisss", imu_text(r, i, "user_id"), email,
        name && *name ? cli_import_name(im, p, "person", email, name) : name,
        usable_hash(im, p, email, imu_text(r, i, "password_hash")), imu_bool(r, i, "is_admin"),
        imu_bool(r, i, "is_active"), imu_int(r, i, "token_epoch"),
        cli_import_time(p, imu_text(r, i, "created_at")),
        cli_import_time(p, imu_text(r, i, "updated_at")), seen ? cli_import_time(p, seen) : NULL);
}

/* Somebody of that address is here. Where nobody has chosen a password yet, theirs comes along. */
static imu_err *join(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i, const imu_rows *here)
{
    const char *ours = imu_text(here, 0, "user_id"), *email = imu_text(here, 0, "email");
    const char *hash = imu_text(r, i, "password_hash");
    int changed = 0;
    imu_err *err = NULL;

    known_as(im, imu_text(r, i, "user_id"), ours);
    if (hash && (hash = imu_password_hash_foreign(p, hash)))
        err = imu_db_exec(im->db, p, &changed, "import_password", "sss", hash, imu_now(p), ours);
    if (err)
        return err;
    cli_import_note(im,
                    changed ? "%s has an account here already, for which nobody had chosen a "
                              "password: it gets the other one's, and its things"
                            : "%s has an account here already, which keeps its password and gets "
                              "the other one's things",
                    email);
    cli_import_count(im, "accounts", 0);
    return NULL;
}

static imu_err *take_user(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *id = imu_text(r, i, "user_id"), *given = imu_text(r, i, "email");
    const char *email = given ? imu_email_normal(p, given) : NULL;
    imu_rows *here;
    int taken = 0;
    imu_err *err;

    if (!email) {
        cli_import_left(im, "account", given ? given : id, "its address is none that can be used");
        return NULL;
    }
    if ((err = imu_user_get(im->db, p, id, &here)))
        return err;
    if (here->count) {
        known_as(im, id, id);
        cli_import_count(im, "accounts", 0);
        return NULL;
    }
    if ((err = imu_user_secret_by_email(im->db, p, email, &here)))
        return err;
    if (here->count)
        return join(im, p, r, i, here);
    if ((err = insert_user(im, p, r, i, email, &taken)))
        return err;
    known_as(im, id, id);
    cli_import_count(im, "accounts", taken);
    return NULL;
}

/* Somebody whose account was deleted there: what was theirs keeps its owner, who can't sign in. */
static imu_err *take_stranger(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    static const char began[] = "1970-01-01 00:00:00.000"; /* nobody knows */
    const char *id = imu_text(r, i, "user_id"), *email;
    int taken = 0;
    imu_err *err;

    if (im->owner || apr_hash_get(im->accounts, id, APR_HASH_KEY_STRING))
        return NULL;
    email = apr_pstrcat(p, "owner-", apr_pstrmemdup(p, imu_sha256_hex(p, id, strlen(id)), 12),
                        "@deleted.invalid", NULL);
    err = imu_db_exec(im->db, p, &taken, "import_user", "ssssbbisss", id, email, "Deleted account",
                      IMU_NO_PASSWORD, 0, 0, (apr_int64_t)0, began, began, NULL);
    if (err)
        return err;
    known_as(im, id, id);
    cli_import_note(im,
                    "the account %s was deleted there; what it left is now of %s, which nobody "
                    "can sign in to. invokemu users del %s --transfer-to EMAIL hands it on",
                    id, email, email);
    return NULL;
}

/* --owner: an account here, or one that comes along. */
static imu_err *find_owner(cli_importer *im)
{
    const char *email = im->c->opt.owner ? imu_email_normal(im->p, im->c->opt.owner) : NULL;
    imu_rows *user;
    imu_err *err;

    if (!im->c->opt.owner)
        return NULL;
    if (!email)
        return imu_error(im->p, 422, "owner", "\"%s\" is no e-mail address", im->c->opt.owner);
    if ((err = imu_user_secret_by_email(im->db, im->p, email, &user)))
        return err;
    if (!user->count)
        return imu_error(im->p, 404, "owner", "there is no account %s, here or there", email);
    im->owner = imu_text(user, 0, "user_id");
    return NULL;
}

imu_err *cli_import_people(cli_importer *im)
{
    imu_err *err = cli_import_each(im, "old_users", take_user);

    if (!err && !(err = find_owner(im)))
        err = cli_import_each(im, "old_strangers", take_stranger);
    return err;
}

static imu_err *take_board(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *id = imu_text(r, i, "board_id"), *name,
               *owner = cli_import_owner(im, imu_text(r, i, "user_id"));
    int taken = 0;
    imu_err *err;

    if (imu_text(r, i, "deleted_at"))
        return NULL;
    name = cli_import_name(im, p, "board", id, imu_text(r, i, "board_name"));
    err = imu_db_exec(im->db, p, &taken, "import_board", "ssssssbss", id, name, owner, owner,
                      imu_text(r, i, "board_visibility"), imu_text(r, i, "cover_image_name"),
                      imu_bool(r, i, "archived"), cli_import_time(p, imu_text(r, i, "created_at")),
                      cli_import_time(p, imu_text(r, i, "updated_at")));
    if (!err)
        cli_import_count(im, "boards", taken);
    return err;
}

static imu_err *take_share(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *with = apr_hash_get(im->accounts, imu_text(r, i, "user_id"), APR_HASH_KEY_STRING);
    int taken = 0;
    imu_err *err;

    if (!with) {
        cli_import_left(im, "share", imu_text(r, i, "id"), "the person it is with has no account");
        return NULL;
    }
    err = imu_db_exec(
        im->db, p, &taken, "import_share", "ssss", imu_bool(r, i, "can_edit") ? "write" : "read",
        cli_import_time(p, imu_text(r, i, "shared_at")), with, imu_text(r, i, "board_id"));
    if (!err)
        cli_import_count(im, "shares", taken);
    return err;
}

imu_err *cli_import_boards(cli_importer *im)
{
    imu_err *err = cli_import_each(im, "old_boards", take_board);

    if (!err)
        err = cli_import_each(im, "old_shares", take_share);
    return err ? err : imu_db_exec(im->db, im->p, NULL, "import_mark_shared", "");
}
