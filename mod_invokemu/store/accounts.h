/*
 * store/accounts.h: what happens to a person's jobs and sessions when their account changes or
 * goes. The same for requests and for the command line.
 */
#ifndef IMU_STORE_ACCOUNTS_H
#define IMU_STORE_ACCOUNTS_H

#include "mod_invokemu/store/queue.h"
#include "mod_invokemu/store/users.h"

/**
 * Changes an account: jobs of one that is suspended are canceled, sessions of one with a new
 * password end.
 * @param keep_sessions  the caller sees to the sessions
 * @param user   the row as it is then
 * @param ended  array of imu_queue_change: the jobs that were canceled
 * @return as imu_user_update
 */
imu_err *imu_account_change(imu_db *db, apr_pool_t *p, const char *user_id,
                            const imu_user_change *change, int keep_sessions, imu_rows **user,
                            apr_array_header_t **ended);
/**
 * Deletes an account and its jobs. Not inside a transaction: of an account with many jobs these go
 * first, in slices, and the rest in one transaction after that. When that fails, or is interrupted,
 * those jobs are gone, everything else is as it was, and the account can be deleted again.
 * @param heir, return  as imu_user_delete; the error says so when jobs are gone
 * @param ended  array of imu_queue_change: the jobs that were canceled or deleted; true after an
 * error too
 */
imu_err *imu_account_remove(imu_db *db, apr_pool_t *p, const char *user_id, const char *heir,
                            apr_array_header_t **ended);
/** How many jobs were canceled, for the audit log. */
int imu_account_jobs_ended(const apr_array_header_t *ended);
/** How many jobs were canceled or deleted by a deletion that failed. */
int imu_account_jobs_gone(const apr_array_header_t *ended);

#endif
