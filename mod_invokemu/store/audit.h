/*
 * audit.h: the record of who did what. Entries are added and read; nothing changes one.
 */
#ifndef IMU_STORE_AUDIT_H
#define IMU_STORE_AUDIT_H

#include <stdio.h>

#include "mod_invokemu/store/users.h"

/** Entries that are kept, whatever their age: of what was done, and of what was refused or what
 * anybody can do who is not signed in (asking for a new password). */
#define IMU_AUDIT_MAX         500000
#define IMU_AUDIT_MAX_REFUSED 100000

typedef enum imu_audit_action {
    /* InvokeMUAuditSignIns */
    IMU_AUDIT_SIGN_IN,
    IMU_AUDIT_SIGN_OUT,
    IMU_AUDIT_SESSIONS_ENDED,
    IMU_AUDIT_PASSWORD_CHANGED,
    IMU_AUDIT_LINK_REDEEMED,
    IMU_AUDIT_RESET_ASKED,
    IMU_AUDIT_EMAIL_ASKED,
    /* InvokeMUAuditChanges */
    IMU_AUDIT_SET_UP,
    IMU_AUDIT_ACCOUNT_CREATED,
    IMU_AUDIT_ACCOUNT_CHANGED,
    IMU_AUDIT_EMAIL_CHANGED,
    IMU_AUDIT_ROLE_CHANGED,
    IMU_AUDIT_SUSPENDED,
    IMU_AUDIT_RESTORED,
    IMU_AUDIT_ACCOUNT_DELETED,
    IMU_AUDIT_INVITED,
    IMU_AUDIT_RESET_LINK,
    IMU_AUDIT_LINK_ENDED,
    IMU_AUDIT_MAIL_AGAIN,
    IMU_AUDIT_LEGACY_ASSIGNED,
    IMU_AUDIT_BOARD_SHARED,
    IMU_AUDIT_BOARD_UNSHARED,
    IMU_AUDIT_BOARD_VISIBILITY,
    IMU_AUDIT_BOARD_CHANGED, /* these eight by somebody who does not own it */
    IMU_AUDIT_BOARD_DELETED,
    IMU_AUDIT_PICTURES_CHANGED,
    IMU_AUDIT_PICTURES_DELETED,
    IMU_AUDIT_WORKFLOW_CHANGED,
    IMU_AUDIT_WORKFLOW_DELETED,
    IMU_AUDIT_PRESET_CHANGED,
    IMU_AUDIT_PRESET_DELETED,
    IMU_AUDIT_WORKFLOW_VISIBILITY,
    IMU_AUDIT_PRESET_VISIBILITY,
    IMU_AUDIT_MODEL_CHANGED,
    IMU_AUDIT_MODEL_DELETED,
    IMU_AUDIT_MODEL_INSTALLED,
    IMU_AUDIT_TOKENIZER_KEPT, /* on the machine itself */
    IMU_AUDIT_QUEUE_PAUSED,
    IMU_AUDIT_QUEUE_RESUMED,
    IMU_AUDIT_QUEUE_CLEARED,
    IMU_AUDIT_JOBS_CANCELED, /* these three: jobs of other people */
    IMU_AUDIT_JOBS_DELETED,
    IMU_AUDIT_JOBS_RETRIED,
    IMU_AUDIT_NOT_ALLOWED,      /* what only others may do was tried */
    IMU_AUDIT_SETTINGS_CHANGED, /* at the start, when the configuration says something else */
    IMU_AUDIT_ROOT_ADMIN,       /* at the start, from the configuration */
    IMU_AUDIT_BACKED_UP,        /* these four on the machine itself */
    IMU_AUDIT_RESTORED_DATA,
    IMU_AUDIT_MENDED_DATA,
    IMU_AUDIT_IMPORTED,
    IMU_AUDIT_ACTIONS /* how many there are */
} imu_audit_action;

/** One entry. What is not known is NULL. */
typedef struct imu_audit_entry {
    const char *action; /**< such as "account_created" */
    int refused;
    const char *user_id, *user_email; /**< who */
    const char *address;              /**< from where */
    const char *target_type;          /**< "account", "board", "model", "queue", ... */
    const char *target_id, *target_name;
    const char *detail; /**< a JSON object */
} imu_audit_entry;

/** What happened. Left out (NULL) is what is not known; who and from where come from the request,
 * or are whoever works on the machine itself. */
typedef struct imu_audit_fact {
    imu_audit_action action;
    int refused;
    const char *user_id, *user_email; /**< who, where the request does not say it */
    const char *target_type;          /**< where the action does not say it */
    const char *target_id, *target_name;
    json_t *detail; /**< an object; the reference is taken */
} imu_audit_fact;

/** An entry of that fact, still without who and from where unless the fact says it. Takes
 * fact->detail. */
imu_audit_entry imu_audit_entry_of(apr_pool_t *p, const imu_audit_fact *fact);

/** The word of an action, such as "account_created". */
const char *imu_audit_word(imu_audit_action action);
/** Whether such entries are to be written, by the two switches of the configuration. */
int imu_audit_wanted(imu_audit_action action, int sign_ins, int changes);

/** Most facts of one change of an account. */
#define IMU_AUDIT_ACCOUNT_FACTS 5
/** One fact for each kind of thing that was changed. @return how many */
int imu_audit_account_facts(const imu_user_change *change, const imu_rows *before,
                            const imu_rows *after, imu_audit_fact *facts);

/** The detail of a deletion: the account that the data was handed to, if there is one, and how many
 * jobs were ended, if any. New reference, or NULL. */
json_t *imu_audit_account_gone(const imu_rows *heir, int jobs);
/** The fact that an account was to be deleted and is still there: why, and how many of its jobs are
 * gone. */
imu_audit_fact imu_audit_account_stays(const imu_rows *user, const imu_err *err, int jobs);

/** Which entries; NULL: any. */
typedef struct imu_audit_filter {
    apr_int64_t before; /**< entries with smaller numbers */
    const char *action, *result, *user_id;
    const char *search;        /**< literal text in who, from where, or what it was about */
    const char *since, *until; /**< beginnings of time texts; until is included whole */
    apr_int64_t limit;
} imu_audit_filter;

/** What a board is called now, and the addresses of people (a JSON array of ids, or NULL), to be
 * kept in an entry.
 * @param name  NULL when there is no such board  @param addresses  a JSON array, owned by p */
imu_err *imu_audit_board_words(imu_db *db, apr_pool_t *p, const char *board_id,
                               const json_t *people, const char **name, json_t **addresses);

/** The addresses of people. @param people  a JSON array of ids, or NULL  @param addresses  a JSON
 * array, owned by p */
imu_err *imu_audit_people(imu_db *db, apr_pool_t *p, const json_t *people, json_t **addresses);

imu_err *imu_audit_add(imu_db *db, apr_pool_t *p, const imu_audit_entry *entry);
/** Entries, latest first; every column. */
imu_err *imu_audit_page(imu_db *db, apr_pool_t *p, const imu_audit_filter *filter, imu_rows **rows);
/** An entry of a page as clients read it. */
json_t *imu_audit_json(const imu_rows *rows, int row);
/** The beginning of a time as it is stored ("2026", "2026-11-21", "2026-11-21 09:00", with a T
 * too). NULL for anything else, also for days that no month has. */
const char *imu_audit_time(apr_pool_t *p, const char *text);

typedef enum imu_audit_format { IMU_AUDIT_JSON_LINES, IMU_AUDIT_CSV } imu_audit_format;
/** Writes what the filter reaches, a page at a time. The caller looks at ferror(out). */
imu_err *imu_audit_write(imu_db *db, apr_pool_t *p, const imu_audit_filter *filter,
                         imu_audit_format format, FILE *out);
/** Deletes some of those that are older than so many days, or too many. @param removed how many it
 * were */
imu_err *imu_audit_purge(imu_db *db, apr_pool_t *p, int days, int *removed);

#endif
