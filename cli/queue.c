/*
 * queue.c: everybody's jobs on the command line. A server that runs is told of each change.
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/events/news.h"
#include "mod_invokemu/events/publish.h"
#include "mod_invokemu/store/queue.h"

#define QUEUE         "default"
#define SHOWN_DEFAULT 50
#define SHOWN_MAX     10000

void cli_tell_canceled(cli *c, const apr_array_header_t *changes)
{
    for (int i = 0; i < changes->nelts; i++)
        imu_queue_announce_canceled(c->p, IMU_SYSTEM_USER,
                                    &APR_ARRAY_IDX(changes, i, imu_queue_change));
}

static imu_queue_scope everybody(cli *c)
{
    imu_identity *who = apr_palloc(c->p, sizeof *who);

    imu_identity_system(who);
    return (imu_queue_scope){.db = c->db, .p = c->p, .who = who, .queue_id = QUEUE};
}

static const char *const states[] = {"pending", "in_progress", "completed", "failed", "canceled"};
#define N_STATES (sizeof states / sizeof states[0])

imu_err *cli_queue_status(cli *c)
{
    imu_queue_scope s = everybody(c);
    json_t *status, *counts, *processor;
    long long workers;
    imu_err *err = imu_queue_status(&s, &status);

    if (err)
        return err;
    if (c->opt.json) {
        cli_print_json(status);
        return NULL;
    }
    counts = json_object_get(status, "queue");
    processor = json_object_get(status, "processor");
    workers = json_integer_value(json_object_get(processor, "workers"));
    cli_say(c, "%s, %lld %s ready",
            json_is_true(json_object_get(processor, "is_started")) ? "Jobs are started" : "Paused",
            workers, workers == 1 ? "worker" : "workers");
    for (size_t i = 0; i < N_STATES; i++)
        cli_say(c, "%-12s %lld", states[i],
                (long long)json_integer_value(json_object_get(counts, states[i])));
    return NULL;
}

static json_t *job_json(const imu_rows *rows, int i)
{
    static const char *const texts[] = {"batch_id",   "user_id",     "user_email",   "status",
                                        "origin",     "destination", "error_type",   "held_for",
                                        "created_at", "started_at",  "completed_at", NULL};
    json_t *one = json_pack("{s:I, s:I}", "item_id", (json_int_t)imu_int(rows, i, "item_id"),
                            "priority", (json_int_t)imu_int(rows, i, "priority"));

    imu_json_set_texts(one, rows, i, texts);
    return one;
}

static imu_err *whose(cli *c, const char **user_id)
{
    imu_rows *user;
    imu_err *err = NULL;

    *user_id = NULL;
    if (c->opt.user && !(err = cli_account(c, c->opt.user, &user)))
        *user_id = imu_text(user, 0, "user_id");
    return err;
}

static imu_err *check_status(cli *c)
{
    size_t i = 0;

    while (c->opt.status && i < N_STATES && strcmp(states[i], c->opt.status) != 0)
        i++;
    return i < N_STATES ? NULL
                        : imu_error(c->p, 422, CLI_NOT_UNDERSTOOD,
                                    "--status takes pending, in_progress, completed, failed or "
                                    "canceled");
}

/* Why a job failed, or what it waits for; NULL for the others. */
static const char *remark(cli *c, const imu_rows *rows, int i)
{
    const char *model = imu_text(rows, i, "held_for");

    return model ? apr_pstrcat(c->p, "waits for model ", model, NULL)
                 : imu_text(rows, i, "error_type");
}

imu_err *cli_queue_list(cli *c)
{
    json_t *list = imu_json_own(c->p, json_array());
    imu_queue_scope s = everybody(c);
    const char *user_id;
    apr_int64_t limit;
    imu_rows *rows;
    imu_err *err;

    if ((err = check_status(c)) || (err = whose(c, &user_id)) ||
        (err = cli_limit(c, SHOWN_DEFAULT, SHOWN_MAX, &limit)) ||
        (err = imu_queue_latest(&s, user_id, c->opt.status, limit, &rows)))
        return err;
    for (int i = 0; i < rows->count; i++) {
        const char *email = imu_text(rows, i, "user_email"), *why = remark(c, rows, i);

        if (c->opt.json)
            json_array_append_new(list, job_json(rows, i));
        else
            cli_say(c, "%8s  %s  %-11s  %s%s%s", imu_text(rows, i, "item_id"),
                    imu_text(rows, i, "created_at"), imu_text(rows, i, "status"),
                    email ? email : "-", why ? "  " : "", why ? why : "");
    }
    if (c->opt.json)
        cli_print_json(list);
    return NULL;
}

static imu_err *set_paused(cli *c, int paused)
{
    imu_queue_scope s = everybody(c);
    imu_err *err = imu_queue_set_paused(&s, paused);

    if (err)
        return err;
    imu_publish_queue_changed();
    cli_note(c,
             (imu_audit_fact){.action = paused ? IMU_AUDIT_QUEUE_PAUSED : IMU_AUDIT_QUEUE_RESUMED,
                              .target_id = QUEUE});
    cli_done(c, json_pack("{s:b}", "paused", paused),
             paused ? "No more jobs are started; what runs goes on." : "Jobs are started again.");
    return NULL;
}

imu_err *cli_queue_pause(cli *c)
{
    return set_paused(c, 1);
}

imu_err *cli_queue_resume(cli *c)
{
    return set_paused(c, 0);
}

/* Which jobs: one by its number, those of a person, or all. */
static imu_err *reach(cli *c, imu_queue_scope *s, imu_queue_filter *filter)
{
    imu_identity *person;
    const char *user_id;
    char *end = NULL;
    json_t *item;
    imu_err *err;

    if (c->opt.plain) {
        errno = 0;
        filter->item_id = apr_strtoi64(c->opt.plain, &end, 10);
        if (errno || *end || filter->item_id < 1)
            return imu_error(c->p, 422, CLI_NOT_UNDERSTOOD, "\"%s\" is no number of a job",
                             c->opt.plain);
        return imu_queue_item_get(s, filter->item_id, &item, NULL);
    }
    if ((err = whose(c, &user_id)) || !user_id)
        return err;
    person = apr_pcalloc(c->p, sizeof *person);
    person->via = IMU_VIA_BEARER;
    person->user_id = user_id;
    s->who = person;
    return NULL;
}

imu_err *cli_queue_cancel(cli *c)
{
    imu_queue_filter filter = {.running = 1};
    imu_queue_scope s = everybody(c);
    imu_queue_change change;
    int n;
    imu_err *err;

    if ((err = reach(c, &s, &filter)) || (err = imu_queue_cancel(&s, &filter, &change)) ||
        (err = imu_queue_change_events(c->db, c->p, &change)))
        return err;
    imu_queue_announce_canceled(c->p, IMU_SYSTEM_USER, &change);
    n = (int)json_array_size(change.item_ids);
    cli_done(c, json_pack("{s:i}", "canceled", n), "Canceled %d job%s.", n, n == 1 ? "" : "s");
    return NULL;
}

static imu_err *sweep(cli *c, imu_queue_sweep what)
{
    imu_queue_scope s = everybody(c);
    imu_queue_change change;
    int deleted;
    imu_err *err = imu_queue_sweep_items(&s, what, NULL, &deleted, &change);

    if (err)
        return err;
    imu_queue_announce_canceled(c->p, IMU_SYSTEM_USER, &change);
    imu_queue_announce_swept(what == IMU_SWEEP_ALL ? "queue_cleared" : "queue_pruned", QUEUE, NULL);
    if (what == IMU_SWEEP_ALL)
        cli_note(c, (imu_audit_fact){.action = IMU_AUDIT_QUEUE_CLEARED, .target_id = QUEUE});
    cli_done(c, json_pack("{s:i}", "deleted", deleted), "Deleted %d job%s.", deleted,
             deleted == 1 ? "" : "s");
    return NULL;
}

imu_err *cli_queue_clear(cli *c)
{
    if (!cli_confirm(c, "This cancels and deletes the jobs of everybody, with their history; "
                        "pictures stay."))
        return imu_error(c->p, 400, "not_confirmed", "nothing was deleted");
    return sweep(c, IMU_SWEEP_ALL);
}

imu_err *cli_queue_prune(cli *c)
{
    return sweep(c, IMU_SWEEP_ENDED);
}
