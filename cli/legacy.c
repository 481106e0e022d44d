/*
 * legacy.c: what was made before there were accounts, and who receives it (specification 6.4).
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "cli/cli.h"
#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/events/account_news.h"
#include "mod_invokemu/store/legacy.h"

static const char *counted(cli *c, const imu_rows *counts, const char *column, const char *one,
                           const char *many)
{
    const char *n = imu_text(counts, 0, column);

    return apr_pstrcat(c->p, n, " ", strcmp(n, "1") == 0 ? one : many, NULL);
}

const char *cli_legacy_words(cli *c, const imu_rows *counts)
{
    return apr_pstrcat(c->p, counted(c, counts, "boards", "board", "boards"), ", ",
                       counted(c, counts, "images", "picture", "pictures"), ", ",
                       counted(c, counts, "workflows", "workflow", "workflows"), " and ",
                       counted(c, counts, "style_presets", "style preset", "style presets"), NULL);
}

static imu_err *assign(cli *c, const char *id, const char *email, imu_rows **counts)
{
    imu_account_news news;
    imu_err *err = imu_account_news_read(c->db, c->p, IMU_SYSTEM_USER, id, &news);

    if (err || (err = imu_legacy_assign(c->db, c->p, id, counts)))
        return err;
    imu_account_tell_moved(&news);
    cli_note(c, (imu_audit_fact){.action = IMU_AUDIT_LEGACY_ASSIGNED,
                                 .target_id = id,
                                 .target_name = email,
                                 .detail = imu_legacy_numbers(*counts)});
    return NULL;
}

imu_err *cli_legacy(cli *c)
{
    imu_rows *user, *counts;
    const char *email;
    imu_err *err;

    if (!c->opt.owner) {
        if (!(err = imu_legacy_count(c->db, c->p, &counts)))
            cli_done(c, imu_legacy_numbers(counts), "%s belong to no account.",
                     cli_legacy_words(c, counts));
        return err;
    }
    if ((err = cli_account(c, c->opt.owner, &user)))
        return err;
    email = imu_text(user, 0, "email");
    if ((err = assign(c, imu_text(user, 0, "user_id"), email, &counts)))
        return err;
    cli_done(c, imu_legacy_numbers(counts), "%s are now of %s.", cli_legacy_words(c, counts),
             email);
    return NULL;
}

imu_err *cli_offer_legacy(cli *c, const char *id, const char *email)
{
    imu_rows *counts;
    imu_err *err = imu_legacy_count(c->db, c->p, &counts);

    if (err || !imu_legacy_any(counts) || c->opt.json)
        return err;
    if (isatty(STDIN_FILENO) && !c->opt.password_stdin &&
        cli_confirm(c, apr_psprintf(c->p,
                                    "%s were made before there were accounts. Are they to be "
                                    "of %s?",
                                    cli_legacy_words(c, counts), email))) {
        if (!(err = assign(c, id, email, &counts)))
            cli_say(c, "They are now of %s.", email);
        return err;
    }
    cli_say(c,
            "%s, made before there were accounts, belong to nobody: invokemu legacy --owner EMAIL "
            "hands them to an account.",
            cli_legacy_words(c, counts));
    return NULL;
}
