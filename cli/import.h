/*
 * import.h: taking in an InvokeAI root. Its database is copied and the copy read; nothing is
 * written there. Everything keeps its id, so that a second run finds what came before: that makes
 * the import one that can be broken off anywhere. A trial run works on a copy of our database and
 * places no files.
 */
#ifndef IMU_CLI_IMPORT_H
#define IMU_CLI_IMPORT_H

#include <apr_hash.h>

#include "cli/files.h"

typedef struct cli_importer {
    cli *c;
    apr_pool_t *p;        /**< of the whole import */
    imu_db *old, *db;     /**< the copy that is read; ours, or a copy of it */
    const char *from;     /**< the root that is taken in */
    const char *outputs;  /**< its folder of pictures */
    const char *models;   /**< its folder of models */
    const char *owner;    /**< account that gets what has no owner; NULL: none was named */
    int owner_comes;      /**< whether that is one of their accounts */
    apr_hash_t *accounts; /**< their user id -> ours */
    apr_hash_t *holders;  /**< our user id -> theirs, of whoever it was first */
    apr_hash_t *left_out; /**< user id of theirs who got no account here -> who that is, in words */
    apr_hash_t *left_pictures; /**< names of pictures that are left out */
    int dry;
    cli_how how;
    cli_placed placed;
    json_t *counts; /**< object: what -> {taken, there} */
    json_t *left;   /**< array of {what, name, reason}: what could not be taken */
    json_t *notes;  /**< array of sentences */
    int nobodys;    /**< something that is here already belongs to nobody here, but there it did */
    int no_media;   /**< the media process can't be asked */
} cli_importer;

/** Counts a thing that was taken in, or that was there already. */
void cli_import_count(cli_importer *im, const char *what, int taken);
/** The first column of a row whose text is no UTF-8; NULL when there is none. */
const char *cli_import_odd_text(const imu_rows *rows, int row);
/** Notes what can't be taken in. */
void cli_import_left(cli_importer *im, const char *what, const char *name, const char *reason);
/** Notes a sentence for the one who imports. */
void cli_import_note(cli_importer *im, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Adds an entry to the audit log, inside the transaction of what it tells of. Takes the detail. */
imu_err *cli_import_audit(cli_importer *im, imu_audit_fact fact);
/** Why nobody here can get what the row's owner had, or NULL. */
const char *cli_import_nobody(cli_importer *im, apr_pool_t *p, const imu_rows *rows, int row);
/** Our account for their owner. */
const char *cli_import_owner(cli_importer *im, const char *user_id);
/** Called for a row of a named read. */
typedef imu_err *cli_import_row(cli_importer *im, apr_pool_t *p, const imu_rows *rows, int row);
/** What is done with each page of a named read, whose first column is the key of its order. Nobody
 * waits for files or for the media process inside a transaction. */
typedef struct cli_import_steps {
    cli_import_row *prepare;              /**< for each row, or NULL */
    imu_err *(*settle)(cli_importer *im); /**< then once, or NULL */
    cli_import_row *take;                 /**< then for each row, all in one transaction, or NULL */
} cli_import_steps;
imu_err *cli_import_pages(cli_importer *im, const char *read, const cli_import_steps *steps);
/** The same with take alone. */
imu_err *cli_import_each(cli_importer *im, const char *read, cli_import_row *take);
/** What rows of a named read are taken in by, in one transaction; those that do not fit are left
 * out.
 */
imu_err *cli_import_take(cli_importer *im, apr_pool_t *p, const imu_rows *rows, const char *read,
                         cli_import_row *take);
/** What people called a thing, as it can be kept. What had to be changed is in the report.
 * @param kind  "board" @param id  for the report */
const char *cli_import_name(cli_importer *im, apr_pool_t *p, const char *kind, const char *id,
                            const char *name);
/** A time of theirs as ours; now for what is none. */
const char *cli_import_time(apr_pool_t *p, const char *text);
/** NULL for what is none: of things that may not have happened. */
const char *cli_import_time_or_none(apr_pool_t *p, const char *text);

imu_err *cli_import_people(cli_importer *im);
imu_err *cli_import_boards(cli_importer *im);
imu_err *cli_import_pictures(cli_importer *im);
imu_err *cli_import_library(cli_importer *im);
imu_err *cli_import_models(cli_importer *im);
imu_err *cli_import_jobs(cli_importer *im);

/** A setting of invokeai.yaml: plain "key: value" lines of the outermost level.
 * @return the value without quotes and comment, or NULL */
const char *cli_yaml_value(apr_pool_t *p, const char *text, const char *key);

#endif
