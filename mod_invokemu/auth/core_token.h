/*
 * core_token.h: the signed token a signed-in client carries (JSON Web Token, RFC 7519, HS256), read
 * by the rules of RFC 8725. It proves one thing: that this server handed it out for a session. Role
 * and activity are never read from it. Free of httpd and of the database.
 */
#ifndef IMU_CORE_TOKEN_H
#define IMU_CORE_TOKEN_H

#include <apr_pools.h>
#include <apr_time.h>

#define IMU_TOKEN_MAX 2048 /**< bytes of the longest token that is looked at */
#define IMU_TOKEN_KEY_MIN                                                                          \
    32 /**< bytes of the shortest key that is used (256 bits, RFC 7518 section 3.2) */
#define IMU_TOKEN_ISSUER "invokemu"

typedef struct imu_token {
    const char *user_id;
    const char *email; /**< for the client's eyes: not read back as truth */
    int is_admin;      /**< likewise */
    int remember;
    const char *sid;       /**< the session's secret; its SHA-256 is in user_sessions.token_hash */
    apr_int64_t epoch;     /**< users.token_epoch when it was signed */
    apr_time_t issued_at;  /**< whole seconds */
    apr_time_t expires_at; /**< whole seconds */
} imu_token;

/** Signs. key is text of at least IMU_TOKEN_KEY_MIN bytes. @return the token, or NULL when the key
 * is too short */
const char *imu_token_sign(apr_pool_t *p, const char *key, const imu_token *token);

/**
 * Reads a token and checks everything that can be checked without the database: size, exact header
 * (so the algorithm is ours, not the token's), canonical encoding, signature in constant time,
 * issuer, audience, types and times.
 * @param now  the time to judge by
 * @return NULL with *token filled, or what is wrong, for the log
 */
const char *imu_token_read(apr_pool_t *p, const char *key, const char *text, apr_time_t now,
                           imu_token *token);

#endif
