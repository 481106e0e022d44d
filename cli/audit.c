/*
 * audit.c: the audit log on the command line, and what the command line itself adds to it.
 */
#include "cli/cli.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "mod_invokemu/auth/core_email.h"
#include "mod_invokemu/util/ids.h"

#define SHOWN_DEFAULT 100
#define SHOWN_MAX     100000

/* Who works on the machine: a name of the system, which is none of our accounts. */
static const char *whoever(apr_pool_t *p)
{
    const struct passwd *entry = getpwuid(getuid());

    return entry ? apr_psprintf(p, "command line: %s (uid %ld)", entry->pw_name, (long)getuid())
                 : apr_psprintf(p, "command line: uid %ld", (long)getuid());
}

imu_err *cli_note_with(cli *c, imu_audit_fact fact)
{
    imu_audit_entry entry = imu_audit_entry_of(c->p, &fact);

    if (!imu_audit_wanted(fact.action, c->server.audit_sign_ins, c->server.audit_changes))
        return NULL;
    /* A path is what the file system takes, an entry is text. */
    if (entry.target_name && !imu_is_clean_text(entry.target_name))
        entry.target_name = imu_visible_text(c->p, entry.target_name);
    entry.user_email = whoever(c->p);
    entry.address = "local";
    return imu_audit_add(c->db, c->p, &entry);
}

void cli_note(cli *c, imu_audit_fact fact)
{
    imu_err *err = cli_note_with(c, fact);

    if (err)
        cli_complain(c, "done, but there is no entry in the audit log: %s",
                     err->log ? err->log : err->detail);
}

static imu_err *take_time(cli *c, const char *option, const char *given, const char **value)
{
    if (!given)
        return NULL;
    if (!(*value = imu_audit_time(c->p, given)))
        return imu_error(c->p, 422, CLI_NOT_UNDERSTOOD,
                         "--%s takes a date such as 2026-11-21, or a date and a "
                         "time",
                         option);
    return NULL;
}

static imu_err *check_action(cli *c)
{
    const char *words = "";

    if (!c->opt.action)
        return NULL;
    for (int i = 0; i < IMU_AUDIT_ACTIONS; i++) {
        const char *word = imu_audit_word((imu_audit_action)i);

        if (strcmp(c->opt.action, word) == 0)
            return NULL;
        words = apr_pstrcat(c->p, words, i ? ", " : "", word, NULL);
    }
    return imu_error(c->p, 422, CLI_NOT_UNDERSTOOD, "--action takes one of %s", words);
}

/* The account of --user; its entries outlive it. */
static imu_err *whose(cli *c, const char **user_id)
{
    const char *email = imu_email_normal(c->p, c->opt.user);
    imu_rows *user;
    imu_err *err = cli_account(c, c->opt.user, &user);

    if (imu_error_is(err, "no_account")) {
        err = imu_db_select(c->db, c->p, &user, "audit_account_once", "s", email);
        if (!err && user->count == 0)
            err = imu_error(c->p, 404, "no_account",
                            "there is no account %s, nor an entry of one that is gone", email);
    }
    *user_id = err ? NULL : imu_text(user, 0, "user_id");
    return err;
}

static imu_err *read_filter(cli *c, imu_audit_filter *f)
{
    imu_err *err;

    f->before = APR_INT64_MAX;
    if ((err = check_action(c)))
        return err;
    f->action = c->opt.action;
    f->result = c->opt.result;
    f->search = c->opt.search;
    if (f->result && strcmp(f->result, "ok") != 0 && strcmp(f->result, "refused") != 0)
        return imu_error(c->p, 422, CLI_NOT_UNDERSTOOD, "--result takes ok or refused");
    if (c->opt.user && (err = whose(c, &f->user_id)))
        return err;
    if ((err = take_time(c, "since", c->opt.since, &f->since)) ||
        (err = take_time(c, "until", c->opt.until, &f->until)))
        return err;
    return cli_limit(c, SHOWN_DEFAULT, SHOWN_MAX, &f->limit);
}

static const char *or_dash(const char *text)
{
    return text && *text ? text : "-";
}

static imu_err *print_text(cli *c, const imu_audit_filter *filter)
{
    imu_rows *rows;
    imu_err *err = imu_audit_page(c->db, c->p, filter, &rows);

    for (int i = 0; !err && i < rows->count; i++)
        cli_say(c, "%s  %-24s %-7s  %s (%s): %s %s", imu_text(rows, i, "created_at"),
                imu_text(rows, i, "action"), imu_text(rows, i, "result"),
                or_dash(imu_text(rows, i, "user_email")), or_dash(imu_text(rows, i, "address")),
                or_dash(imu_text(rows, i, "target_name")), or_dash(imu_text(rows, i, "detail")));
    return err;
}

static imu_err *print_list(cli *c, const imu_audit_filter *filter)
{
    json_t *list = imu_json_own(c->p, json_array());
    imu_rows *rows;
    imu_err *err = imu_audit_page(c->db, c->p, filter, &rows);

    for (int i = 0; !err && i < rows->count; i++)
        json_array_append_new(list, imu_audit_json(rows, i));
    if (!err)
        cli_print_json(list);
    return err;
}

static imu_err *print_lines(cli *c, const imu_audit_filter *filter, imu_audit_format format)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    imu_err *err = out ? imu_audit_write(c->db, c->p, filter, format, out)
                       : imu_error(c->p, 500, "output", "no memory");

    if (out && fclose(out) != 0 && !err)
        err = imu_error(c->p, 500, "output", "no memory");
    if (!err)
        cli_print_lines(c, text);
    free(text);
    return err;
}

imu_err *cli_audit(cli *c)
{
    const char *format = c->opt.format ? c->opt.format : c->opt.json ? "json" : "text";
    imu_audit_filter filter = {0};
    imu_err *err = read_filter(c, &filter);

    if (err)
        return err;
    if (strcmp(format, "jsonl") == 0)
        return print_lines(c, &filter, IMU_AUDIT_JSON_LINES);
    if (strcmp(format, "csv") == 0)
        return print_lines(c, &filter, IMU_AUDIT_CSV);
    if (strcmp(format, "json") == 0)
        return print_list(c, &filter);
    if (strcmp(format, "text") == 0)
        return print_text(c, &filter);
    return imu_error(c->p, 422, CLI_NOT_UNDERSTOOD, "--format takes text, json, jsonl or csv");
}
