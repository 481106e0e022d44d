/*
 * audit.h: the record of who did what. Entries are added and read; nothing changes one.
 */
#ifndef IMU_STORE_AUDIT_H
#define IMU_STORE_AUDIT_H

#include "mod_invokemu/store/db.h"

/** Entries that are kept, whatever their age: of what was done, and of what was refused. */
#define IMU_AUDIT_MAX         500000
#define IMU_AUDIT_MAX_REFUSED 100000

/** One entry. What is not known is NULL. */
typedef struct imu_audit_entry {
    const char *action; /**< such as "account_created" */
    int refused;
    const char *user_id, *user_email; /**< who */
    const char *address;              /**< from where */
    const char *target_type;          /**< "account", "board", "model", "queue" */
    const char *target_id, *target_name;
    const char *detail; /**< a JSON object */
} imu_audit_entry;

/** Which entries; NULL: any. */
typedef struct imu_audit_filter {
    apr_int64_t before; /**< entries with smaller numbers */
    const char *action, *result, *user_id;
    const char *search;        /**< literal text in who, from where, or what it was about */
    const char *since, *until; /**< beginnings of time texts; until is included whole */
    apr_int64_t limit;
} imu_audit_filter;

imu_err *imu_audit_add(imu_db *db, apr_pool_t *p, const imu_audit_entry *entry);
/** Entries, latest first; every column. */
imu_err *imu_audit_page(imu_db *db, apr_pool_t *p, const imu_audit_filter *filter, imu_rows **rows);
/** Deletes some of those that are older than so many days, or too many. @param removed how many it
 * were */
imu_err *imu_audit_purge(imu_db *db, apr_pool_t *p, int days, int *removed);

#endif
