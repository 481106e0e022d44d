/*
 * doctor.c: the command, and what it finds in the database itself.
 */
#include "cli/doctor.h"

#include <stdio.h>
#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/util/clock.h"
#include "mod_invokemu/util/ids.h"

#define SHOWN   20
#define NO_TIME (-1)
#define HOUR    3600
#define DAY     (24 * HOUR)

/* Faults of rows: doctor_<what>_count counts them, doctor_<what>_mend mends them. */
static const struct {
    const char *what;
    const char *count, *mend;
    int age; /* seconds: older ones only; NO_TIME: of any age */
    const char *sentence;
} faults[] = {
#define FAULT(what, age, sentence)                                                                 \
    {                                                                                              \
#what, "doctor_" #what "_count", "doctor_" #what "_mend", age, sentence                    \
    }
    FAULT(ownerless_pictures, NO_TIME,
          "pictures of an account that is gone, to be the internal system account's, which "
          "administrators see"),
    FAULT(ownerless_boards, NO_TIME, "boards of an account that is gone, likewise"),
    FAULT(ownerless_workflows, NO_TIME, "workflows of an account that is gone, likewise"),
    FAULT(ownerless_presets, NO_TIME, "style presets of an account that is gone, likewise"),
    FAULT(ownerless_jobs, NO_TIME, "jobs of an account that is gone, likewise"),
    FAULT(shares, NO_TIME,
          "shares of a board that is gone, with somebody who is gone, or with the "
          "board's own owner"),
    FAULT(places, NO_TIME, "places on boards where board or picture is gone"),
    FAULT(documents, NO_TIME, "workflows of a picture that is gone"),
    FAULT(states, NO_TIME, "settings of an account that is gone"),
    FAULT(relations, NO_TIME, "relations of a model that is gone"),
    FAULT(replaced, NO_TIME, "notes about a picture or job that is gone"),
    FAULT(turns, NO_TIME, "turns of an account that is gone"),
    FAULT(links, NO_TIME, "links to choose a password of an account that is gone"),
    FAULT(inviters, NO_TIME, "links to choose a password made by somebody who is gone"),
    FAULT(networks, NO_TIME, "networks from which an account that is gone has signed in"),
    FAULT(makers, NO_TIME, "boards whose maker is gone"),
    FAULT(namers, NO_TIME, "shares made by somebody who is gone"),
    FAULT(covers, NO_TIME, "boards whose cover is gone"),
    FAULT(share_marks, NO_TIME, "boards marked as shared without being so, or the other way round"),
    FAULT(workflow_marks, NO_TIME,
          "pictures marked as having a workflow without one, or the other way round"),
    FAULT(sessions, 0, "sessions with an end in the past"),
    FAULT(old_links, 30 * DAY,
          "links to choose a password that were used, or have expired, long ago"),
    FAULT(addresses, 0, "addresses that nobody confirmed in time"),
    FAULT(downloads, DAY, "archives that nobody fetched in time"),
    FAULT(slices, HOUR, "jobs of a batch that was broken off"),
    FAULT(mails, 30 * DAY, "mails of long ago"),
};
#define N_FAULTS (sizeof faults / sizeof faults[0])

void cli_doctor_found(cli_doctor *d, const char *what, const char *sentence, int count,
                      const apr_array_header_t *names, int mended)
{
    json_t *list = json_array();

    for (int i = 0; names && i < names->nelts && i < SHOWN; i++)
        json_array_append_new(list, cli_json_name(d->c->p, APR_ARRAY_IDX(names, i, const char *)));
    if (mended < count)
        d->open++;
    if (!d->c->opt.json) {
        cli_say(d->c, "%d %s%s", count, cli_in_number(d->c->p, sentence, count),
                mended == count ? ": mended"
                : mended        ? ": some of them mended"
                                : "");
        for (size_t i = 0; i < json_array_size(list); i++)
            cli_say(d->c, "    %s", json_string_value(json_array_get(list, i)));
        if (names && names->nelts > SHOWN)
            cli_say(d->c, "    and %d more", names->nelts - SHOWN);
    }
    json_array_append_new(d->findings,
                          json_pack("{s:s, s:s, s:i, s:i, s:o}", "what", what, "sentence", sentence,
                                    "count", count, "mended", mended, "names", list));
}

static imu_err *count_fault(cli_doctor *d, size_t i, const char *before, int *n)
{
    imu_rows *rows;
    imu_err *err = before ? imu_db_select(d->c->db, d->c->p, &rows, faults[i].count, "s", before)
                          : imu_db_select(d->c->db, d->c->p, &rows, faults[i].count, "");

    *n = err ? 0 : (int)imu_int(rows, 0, "n");
    return err;
}

static imu_err *mend_fault(cli_doctor *d, size_t i, const char *before, int *mended)
{
    return before ? imu_db_exec(d->c->db, d->c->p, mended, faults[i].mend, "s", before)
                  : imu_db_exec(d->c->db, d->c->p, mended, faults[i].mend, "");
}

static imu_err *look_at_rows(cli_doctor *d)
{
    imu_err *err = NULL;

    for (size_t i = 0; !err && i < N_FAULTS; i++) {
        const char *before = NULL;
        int n, mended = 0;

        if (faults[i].age != NO_TIME)
            before = imu_time_text(d->c->p, imu_clock_now() - apr_time_from_sec(faults[i].age));
        if ((err = count_fault(d, i, before, &n)) || n == 0)
            continue;
        if (d->c->opt.fix)
            err = mend_fault(d, i, before, &mended);
        if (!err)
            cli_doctor_found(d, faults[i].what, faults[i].sentence, n, NULL, mended ? n : 0);
    }
    return err;
}

/* What SQLite says is wrong with the file is nothing to mend here. @param whole  0 then */
static imu_err *look_at_file(cli_doctor *d, int *whole)
{
    apr_array_header_t *problems = apr_array_make(d->c->p, 1, sizeof(const char *));
    imu_rows *rows;
    imu_err *err = imu_db_select(d->c->db, d->c->p, &rows, "doctor_damage", "");

    if (err)
        return err;
    for (int i = 0; i < rows->count; i++)
        if (strcmp(imu_text(rows, i, "problem"), "ok") != 0)
            APR_ARRAY_PUSH(problems, const char *) = imu_text(rows, i, "problem");
    *whole = problems->nelts == 0;
    if (!*whole)
        cli_doctor_found(d, "database",
                         "faults of the database file: stop Apache and restore a backup",
                         problems->nelts, problems, 0);
    return NULL;
}

imu_err *cli_doctor_command(cli *c)
{
    cli_doctor d = {.c = c, .findings = imu_json_own(c->p, json_array())};
    int whole, n;
    imu_err *err = look_at_file(&d, &whole);

    if (!err && whole && !(err = look_at_rows(&d)) && !(err = cli_doctor_texts(&d)) &&
        !(err = cli_doctor_tokenizers(&d)))
        err = cli_doctor_files(&d);
    if (err)
        return err;
    n = (int)json_array_size(d.findings);
    if (c->opt.fix && n > d.open)
        cli_note(c, (imu_audit_fact){.action = IMU_AUDIT_MENDED_DATA,
                                     .detail = json_pack("{s:i}", "findings", n - d.open)});
    c->remarks = d.open > 0;
    if (c->opt.json)
        cli_print_json(d.findings);
    else if (n == 0)
        cli_say(c, "Database and files are in order. (Whether server and workers run, and with "
                   "which models, was not looked at.)");
    else if (d.open && !c->opt.fix)
        cli_say(c, "Nothing was changed: --fix mends what can be mended.");
    return NULL;
}
