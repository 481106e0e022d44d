/*
 * core_session.h: sessions as rows of user_sessions. A token names its session by a secret whose
 * hash is in the row, so a session ends for good when its row goes, and neither the row nor the
 * signing key alone makes a token. Free of httpd.
 */
#ifndef IMU_CORE_SESSION_H
#define IMU_CORE_SESSION_H

#include "mod_invokemu/auth/identity.h"

/** How long sessions live; the same for the whole server. */
typedef struct imu_session_rules {
    int hours;          /**< an ordinary one */
    int remember_hours; /**< one that was asked to last */
    int idle_minutes;   /**< ended after so long without a request; 0: never */
} imu_session_rules;

/** A token and when it ends. */
typedef struct imu_session_token {
    const char *text;
    apr_time_t expires_at;
    apr_int64_t seconds; /**< its whole life */
} imu_session_token;

/** Who signs in from where; cut to what a list shows. */
typedef struct imu_session_client {
    const char *agent;   /**< User-Agent, may be NULL */
    const char *address; /**< may be NULL */
    const char *network; /**< what the address is in, as sign-ins are counted; may be NULL */
} imu_session_client;

/** Sets the rules of this process; before any thread or child starts. */
void imu_session_rules_set(const imu_session_rules *rules);

/** Who signed in from a network before. */
typedef enum imu_network_past {
    IMU_NETWORK_NEW,       /**< nobody */
    IMU_NETWORK_OF_OTHERS, /**< somebody, not the account that is meant */
    IMU_NETWORK_OF_ACCOUNT
} imu_network_past;

/** Looks up who signed in from that network. @param email  means an account, if there is one; may
 * be NULL */
imu_err *imu_session_network_past(imu_db *db, apr_pool_t *p, const char *email, const char *network,
                                  imu_network_past *past);

/** Writes down that the account's owner is there. Its 30 latest networks are kept. */
imu_err *imu_session_remember_network(imu_db *db, apr_pool_t *p, const char *user_id,
                                      const char *network);

/** Opens a session for the account in *user (a row of users) and drops the person's ended ones.
 * @return 401 when the account has been deleted meanwhile */
imu_err *imu_session_open(imu_db *db, apr_pool_t *p, const imu_rows *user, int remember,
                          const imu_session_client *client, imu_session_token *token);

/**
 * Checks a token, its session and its account. @param touch_due  may be NULL; set when the last
 * activity on record is a minute old, or a twelfth of the idle limit if that is less. @return as
 * imu_identity_from_token
 */
imu_err *imu_session_check(imu_db *db, apr_pool_t *p, const char *token, imu_identity *who,
                           int *touch_due);

/** Writes down that the session is in use. */
imu_err *imu_session_touch(imu_db *db, apr_pool_t *p, const imu_identity *who,
                           const imu_session_client *client);

/** A token of the same session that lives its full length from now on. The old one stays good until
 * its own end. */
imu_err *imu_session_renew(imu_db *db, apr_pool_t *p, const char *old_token,
                           const imu_identity *who, imu_session_token *token);

/** True when both are tokens of one session, whether it still holds or not. */
int imu_session_same(imu_db *db, apr_pool_t *p, const char *token, const char *other);

/**
 * After a change of password: ends every other session of the person and gives this one a new
 * secret, so that its old token is dead too. *user is the row as it is now. Inside a transaction.
 * @return 401 when this one has been ended meanwhile
 */
imu_err *imu_session_replace(imu_db *db, apr_pool_t *p, const imu_rows *user,
                             const imu_identity *who, imu_session_token *token);

/** Ends one session of that person. *ended: whether there was one. */
imu_err *imu_session_end(imu_db *db, apr_pool_t *p, const char *user_id, const char *session_id,
                         int *ended);

/** Ends all of a person's sessions; except one when keep is not NULL. */
imu_err *imu_session_end_all(imu_db *db, apr_pool_t *p, const char *user_id, const char *keep);

/** Removes every session that is over, of anybody. For housekeeping. */
imu_err *imu_session_purge(imu_db *db, apr_pool_t *p, int *removed);

/** A person's sessions as they are shown: [{session_id, created_at, last_activity_at, ...}], newest
 * use first. */
imu_err *imu_session_list(imu_db *db, apr_pool_t *p, const imu_identity *who, json_t **list);

#endif
