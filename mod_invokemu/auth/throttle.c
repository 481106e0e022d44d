#include "mod_invokemu/auth/throttle.h"

#include <string.h>
#include <http_log.h>
#include <util_mutex.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <unixd.h>

#include "mod_invokemu/auth/core_gate.h"
#include "mod_invokemu/auth/core_limit.h"
#include "mod_invokemu/auth/core_password.h"
#include "mod_invokemu/hosts.h"

APLOG_USE_MODULE(invokemu);

/* As registered in mod_invokemu.c; ours is an instance of its own. */
#define MUTEX_TYPE "invokemu"
#define BUCKETS    1024

#define HASH_AT_ONCE 2
#define HASH_QUEUE   12
#define HASH_WAIT    apr_time_from_sec(8)

/* A person who mistypes has plenty; who guesses gets six tries a minute after the first fifteen. */
static const imu_limit_rule account_rule = {15, apr_time_from_sec(10)};
/* An address may stand for a whole office. */
static const imu_limit_rule address_rule = {200, apr_time_from_sec(1)};

/* Nobody needs many mails; who gets them has not asked for them perhaps. */
static const imu_limit_rule mailbox_rule = {4, apr_time_from_sec(600)};
static const imu_limit_rule sender_rule = {30, apr_time_from_sec(30)};

/* Refusals by one person, or from one network, that are worth an entry each. */
static const imu_limit_rule note_rule = {100, apr_time_from_sec(30)};

static apr_global_mutex_t *lock;
static imu_limits *limits;
static imu_gate *gate;

apr_status_t imu_throttle_create(apr_pool_t *pconf, server_rec *s)
{
    apr_shm_t *shm;
    apr_status_t rv;

    if ((rv = ap_global_mutex_create(&lock, NULL, MUTEX_TYPE, "throttle", s, pconf, 0)) !=
            APR_SUCCESS ||
        (rv = apr_shm_create(&shm, imu_limits_size(BUCKETS), NULL, pconf)) != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, rv, s,
                     "IMU0205: no shared memory for counting failed sign-ins");
        return rv;
    }
    limits = apr_shm_baseaddr_get(shm);
    imu_limits_init(limits, BUCKETS);
    return APR_SUCCESS;
}

void imu_throttle_child_init(apr_pool_t *pchild, server_rec *s)
{
    apr_status_t rv = apr_global_mutex_child_init(&lock, apr_global_mutex_lockfile(lock), pchild);

    if (rv == APR_SUCCESS)
        rv = imu_gate_create(pchild, HASH_AT_ONCE, HASH_QUEUE, &gate);
    if (rv != APR_SUCCESS)
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s,
                     "IMU0206: sign-ins can't be limited in this child");
}

static imu_err *too_many(imu_req *req, apr_interval_time_t wait)
{
    imu_err *err = imu_error(req->p, 429, "too_many_attempts",
                             "Too many failed attempts. Wait a moment, then try again.");

    err->retry_after = (int)(apr_time_sec(wait) + 1);
    return err;
}

/** Takes one from an allowance, and one from another if that one has a rule: from both or none. */
static imu_err *take(imu_req *req, apr_uint64_t key, const imu_limit_rule *rule,
                     apr_uint64_t also_key, const imu_limit_rule *also_rule)
{
    apr_time_t now = apr_time_now();
    apr_interval_time_t wait;

    if (apr_global_mutex_lock(lock) != APR_SUCCESS)
        return imu_error_internal(req->p, "the lock of the failed sign-ins can't be taken");
    wait = imu_limit_take(limits, key, rule, now);
    if (also_rule && wait == 0 && (wait = imu_limit_take(limits, also_key, also_rule, now)) > 0)
        imu_limit_give_back(limits, key, rule, now);
    apr_global_mutex_unlock(lock);
    return wait > 0 ? too_many(req, wait) : NULL;
}

static void give_back(apr_uint64_t key, const imu_limit_rule *rule)
{
    if (apr_global_mutex_lock(lock) != APR_SUCCESS)
        return;
    imu_limit_give_back(limits, key, rule, apr_time_now());
    apr_global_mutex_unlock(lock);
}

static apr_uint64_t account_key(imu_req *req, const char *account, int known)
{
    return known ? imu_limit_key(limits, 'k',
                                 apr_pstrcat(req->p, imu_network_of(req), " ", account, NULL))
                 : imu_limit_key(limits, 'u', account);
}

imu_err *imu_throttle_sign_in(imu_req *req, const char *account, int known)
{
    return take(req, imu_limit_key(limits, 'a', imu_network_of(req)), &address_rule,
                account_key(req, account, known), &account_rule);
}

void imu_throttle_sign_in_back(imu_req *req, const char *account, int known)
{
    give_back(account_key(req, account, known), &account_rule);
    give_back(imu_limit_key(limits, 'a', imu_network_of(req)), &address_rule);
}

imu_err *imu_throttle_confirm(imu_req *req)
{
    return take(req, imu_limit_key(limits, 's', req->who.session_id), &account_rule, 0, NULL);
}

void imu_throttle_confirm_back(imu_req *req)
{
    give_back(imu_limit_key(limits, 's', req->who.session_id), &account_rule);
}

imu_err *imu_throttle_search(imu_req *req)
{
    return take(req, imu_limit_key(limits, 'w', req->who.user_id), &account_rule, 0, NULL);
}

void imu_throttle_search_back(imu_req *req)
{
    give_back(imu_limit_key(limits, 'w', req->who.user_id), &account_rule);
}

/* Nothing has failed here. */
static imu_err *mails_enough(imu_req *req, int seconds)
{
    int minutes = (seconds + 59) / 60;
    const char *wait = seconds < 60   ? apr_psprintf(req->p, "%d seconds", seconds)
                       : minutes == 1 ? "one minute"
                                      : apr_psprintf(req->p, "%d minutes", minutes);
    imu_err *err = imu_error(req->p, 429, "too_many_mails",
                             "Several mails were asked for just now, and they may be on their way. "
                             "Look into the mailbox, or ask again in %s.",
                             wait);

    err->retry_after = seconds;
    return err;
}

imu_err *imu_throttle_mail(imu_req *req, const char *address)
{
    imu_err *err = take(req, imu_limit_key(limits, 'n', imu_network_of(req)), &sender_rule,
                        imu_limit_key(limits, 'm', address), &mailbox_rule);

    if (!err || err->status != 429)
        return err;
    return mails_enough(req, err->retry_after);
}

int imu_throttle_note(imu_req *req)
{
    const char *whose = req->who.user_id ? req->who.user_id : imu_network_of(req);

    return !take(req, imu_limit_key(limits, 'r', whose), &note_rule, 0, NULL);
}

static imu_err *enter(imu_req *req)
{
    imu_err *err;

    if (imu_gate_enter(gate, HASH_WAIT))
        return NULL;
    err = imu_error(req->p, 503, "busy",
                    "The server is busy checking passwords. Try again in a few seconds.");
    err->retry_after = 3;
    return err;
}

imu_err *imu_hash_password(imu_req *req, const char *password, const char **hash)
{
    imu_err *err = enter(req);

    if (err)
        return err;
    err = imu_password_hash(req->p, password, hash);
    imu_gate_leave(gate);
    return err;
}

imu_err *imu_check_password(imu_req *req, const char *password, const char *hash, int *right)
{
    imu_err *err = enter(req);

    if (err)
        return err;
    *right = imu_password_verify(password, hash);
    imu_gate_leave(gate);
    return NULL;
}
