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
#include "mod_invokemu/util/person.h"

/* A person of theirs, for people to read. */
static const char *in_words(apr_pool_t *p, const imu_rows *r, int i)
{
    const char *name = imu_text(r, i, "display_name"), *email = imu_text(r, i, "email");

    if (!email)
        return imu_text(r, i, "user_id");
    return name && *name ? apr_psprintf(p, "%s (%s)", email, name) : email;
}

static void known_as(cli_importer *im, const imu_rows *r, int i, const char *ours)
{
    const char *theirs = apr_pstrdup(im->p, imu_text(r, i, "user_id"));

    ours = apr_pstrdup(im->p, ours);
    apr_hash_set(im->accounts, theirs, APR_HASH_KEY_STRING, ours);
    apr_hash_set(im->holders, ours, APR_HASH_KEY_STRING, theirs);
}

static imu_err *audit(cli_importer *im, imu_audit_action action, const char *id, const char *email)
{
    return cli_import_audit(im,
                            (imu_audit_fact){.action = action,
                                             .target_id = id,
                                             .target_name = email,
                                             .detail = json_pack("{s:o}", "imported_from",
                                                                 cli_json_name(im->p, im->from))});
}

static void note_lost(cli_importer *im, const char *email)
{
    cli_import_note(im, "%s has no password that works here: invokemu reset %s", email, email);
}

/* A hash that no password of ours can be held against would lock its person out without a word. */
static const char *usable_hash(apr_pool_t *p, const imu_rows *r, int i)
{
    const char *hash = imu_text(r, i, "password_hash");

    return hash ? imu_password_hash_foreign(p, hash) : NULL;
}

/* By the rule for names that are given here; their own server had none. */
static const char *name_of(cli_importer *im, apr_pool_t *p, const char *email, const char *given)
{
    const char *name;
    unsigned code;
    char *shown;
    size_t at = 0;

    if (!imu_check_person_name(p, given, &name))
        return name;
    shown = apr_pstrdup(p, imu_visible_text(p, given));
    for (int n = 0; n < IMU_NAME_MAX && shown[at]; n++)
        at += (size_t)imu_utf8_next(shown + at, &code);
    shown[at] = '\0';
    if (imu_check_person_name(p, shown, &name))
        name = NULL;
    cli_import_left(im, "name of a person", email,
                    name ? "it is too long or holds what no name can here; here it is changed"
                         : "nothing of it can be seen; here there is none");
    return name;
}

static imu_err *insert_user(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i,
                            const char *email)
{
    const char *seen = imu_text(r, i, "last_login_at"), *name = imu_text(r, i, "display_name");
    const char *last = cli_import_time_or_none(p, seen);
    const char *id = imu_text(r, i, "user_id"), *hash = usable_hash(p, r, i);
    int taken = 0;
    imu_err *err = imu_db_exec(
        im->db, p, &taken, "import_user", "ssssbbisss", id, email, name_of(im, p, email, name),
        hash ? hash : IMU_LOST_PASSWORD, imu_bool(r, i, "is_admin"), imu_bool(r, i, "is_active"),
        imu_int(r, i, "token_epoch"), cli_import_time(p, imu_text(r, i, "created_at")),
        cli_import_time(p, imu_text(r, i, "updated_at")), last);

    if (err)
        return err;
    if (seen && *seen && !last)
        cli_import_left(im, "last sign-in", email, "its time can't be read");
    if (!hash)
        note_lost(im, email);
    known_as(im, r, i, id);
    cli_import_count(im, "accounts", taken);
    return taken ? audit(im, IMU_AUDIT_ACCOUNT_CREATED, id, email) : NULL;
}

/* Where nobody has chosen a password yet, theirs comes along. */
static imu_err *give_password(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i,
                              const imu_rows *here, int *changed)
{
    const char *ours = imu_text(here, 0, "user_id"), *hash = usable_hash(p, r, i);
    imu_err *err;

    *changed = 0;
    if (!hash)
        return NULL;
    err = imu_db_exec(im->db, p, changed, "import_password", "sss", hash, imu_now(p), ours);
    return err || !*changed
               ? err
               : audit(im, IMU_AUDIT_PASSWORD_CHANGED, ours, imu_text(here, 0, "email"));
}

/* Whoever came before. */
static imu_err *meet(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i,
                     const imu_rows *here)
{
    const char *email = imu_text(here, 0, "email");
    int changed;
    imu_err *err = give_password(im, p, r, i, here, &changed);

    if (err)
        return err;
    if (changed)
        cli_import_note(im, "%s had no password here and gets the one from there", email);
    else if (strcmp(imu_text(here, 0, "password_hash"), IMU_LOST_PASSWORD) == 0)
        note_lost(im, email);
    known_as(im, r, i, imu_text(here, 0, "user_id"));
    cli_import_count(im, "accounts", 0);
    return NULL;
}

/* Two of theirs whose addresses are one here: they may be two people. */
static void leave_out(cli_importer *im, const imu_rows *r, int i, const char *other)
{
    const char *who = apr_pstrdup(im->p, in_words(im->p, r, i)), *owner = im->c->opt.owner;

    apr_hash_set(im->left_out, apr_pstrdup(im->p, imu_text(r, i, "user_id")), APR_HASH_KEY_STRING,
                 who);
    cli_import_left(im, "account", who,
                    apr_psprintf(im->p,
                                 "its address is that of %s, written otherwise, and an address has "
                                 "one account here; %s",
                                 other,
                                 owner ? apr_psprintf(im->p, "what it owned goes to %s", owner)
                                       : "what it owned is left out, unless --owner says who gets "
                                         "it"));
}

/* Who else of theirs the account is, in words; NULL when it was here before them. */
static imu_err *holder(cli_importer *im, apr_pool_t *p, const char *id, const char *ours,
                       const char **other)
{
    const char *theirs = apr_hash_get(im->holders, ours, APR_HASH_KEY_STRING);
    imu_rows *user;
    imu_err *err;

    *other = NULL;
    theirs = theirs ? theirs : ours;
    if (strcmp(theirs, id) == 0)
        return NULL;
    if (!(err = imu_db_select(im->old, p, &user, "old_user", "s", theirs)) && user->count)
        *other = in_words(p, user, 0);
    return err;
}

/* Somebody of that address is here. */
static imu_err *join(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i,
                     const imu_rows *here)
{
    const char *ours = imu_text(here, 0, "user_id"), *other;
    int changed;
    imu_err *err = holder(im, p, imu_text(r, i, "user_id"), ours, &other);

    if (err)
        return err;
    if (other) {
        leave_out(im, r, i, other);
        return NULL;
    }
    if ((err = give_password(im, p, r, i, here, &changed)))
        return err;
    known_as(im, r, i, ours);
    cli_import_note(im,
                    changed ? "%s has an account here already, for which nobody had chosen a "
                              "password: it gets the other one's, and its things"
                            : "%s has an account here already, which keeps its password and gets "
                              "the other one's things",
                    imu_text(here, 0, "email"));
    cli_import_count(im, "accounts", 0);
    return NULL;
}

static imu_err *take_user(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *id = imu_text(r, i, "user_id"), *given = imu_text(r, i, "email");
    const char *email = given ? imu_email_normal(p, given) : NULL;
    imu_rows *here;
    imu_err *err;

    if (!email || imu_email_is_nobodys(email)) {
        cli_import_left(im, "account", given ? given : id, "its address is none that can be used");
        return NULL;
    }
    if ((err = imu_user_secret_by_id(im->db, p, id, &here)))
        return err;
    if (here->count)
        return meet(im, p, r, i, here);
    if ((err = imu_user_secret_by_email(im->db, p, email, &here)))
        return err;
    return here->count ? join(im, p, r, i, here) : insert_user(im, p, r, i, email);
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
                        IMU_EMAIL_NOBODYS, NULL);
    err = imu_db_exec(im->db, p, &taken, "import_user", "ssssbbisss", id, email, "Deleted account",
                      IMU_NO_PASSWORD, 0, 0, (apr_int64_t)0, began, began, NULL);
    if (err)
        return err;
    apr_hash_set(im->accounts, apr_pstrdup(im->p, id), APR_HASH_KEY_STRING, apr_pstrdup(im->p, id));
    cli_import_note(im,
                    "the account %s was deleted there; what it left is now of %s, which nobody "
                    "can sign in to. invokemu users del %s --transfer-to EMAIL hands it on",
                    id, email, email);
    return taken ? audit(im, IMU_AUDIT_ACCOUNT_CREATED, id, email) : NULL;
}

/* ---- --owner: an account here, or one that comes along ---- */

static imu_err *is_owner(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *email = imu_text(r, i, "email"), *owner = imu_email_normal(p, im->c->opt.owner);

    if (email && !cli_import_odd_text(r, i) && (email = imu_email_normal(p, email)) &&
        strcmp(email, owner) == 0)
        im->owner_comes = 1;
    return NULL;
}

static imu_err *no_owner(cli_importer *im)
{
    return imu_error(im->p, 404, "owner", "there is no account %s, here or there",
                     im->c->opt.owner);
}

static imu_err *owner_here(cli_importer *im, imu_rows **user)
{
    return imu_user_secret_by_email(im->db, im->p, imu_email_normal(im->p, im->c->opt.owner), user);
}

/* Before anything is taken in. */
static imu_err *check_owner(cli_importer *im)
{
    imu_rows *user;
    imu_err *err;

    if (!im->c->opt.owner)
        return NULL;
    if (!imu_email_normal(im->p, im->c->opt.owner))
        return imu_error(im->p, 422, "owner", "\"%s\" is no e-mail address", im->c->opt.owner);
    if ((err = owner_here(im, &user)))
        return err;
    if (user->count)
        return imu_user_check_somebodys(im->p, user);
    err = cli_import_pages(im, "old_users", &(cli_import_steps){.prepare = is_owner});
    return err || im->owner_comes ? err : no_owner(im);
}

static imu_err *find_owner(cli_importer *im)
{
    imu_rows *user;
    imu_err *err;

    if (!im->c->opt.owner)
        return NULL;
    if ((err = owner_here(im, &user)))
        return err;
    if (!user->count)
        return no_owner(im);
    im->owner = imu_text(user, 0, "user_id");
    return NULL;
}

/* So that one that is killed has left a trace too. */
static imu_err *begin(cli_importer *im)
{
    return cli_import_audit(im, (imu_audit_fact){.action = IMU_AUDIT_IMPORTED,
                                                 .target_name = im->from,
                                                 .detail = json_pack("{s:b}", "begun", 1)});
}

imu_err *cli_import_people(cli_importer *im)
{
    imu_err *err = check_owner(im);

    if (!err && !(err = begin(im)) && !(err = cli_import_each(im, "old_users", take_user)) &&
        !(err = find_owner(im)))
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
    imu_rows *board;
    imu_err *err =
        imu_db_select(im->db, p, &board, "import_board_there", "s", imu_text(r, i, "board_id"));

    if (err)
        return err;
    if (!with || !board->count) {
        cli_import_left(im, "share", imu_text(r, i, "id"),
                        with ? "its board is not here" : "the person it is with has no account");
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
