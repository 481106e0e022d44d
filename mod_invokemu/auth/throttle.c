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
#include "mod_invokemu/crowd.h"
#include "mod_invokemu/hosts.h"
#include "mod_invokemu/util/clock.h"

APLOG_USE_MODULE(invokemu);

/* As registered in mod_invokemu.c; ours is an instance of its own. */
#define MUTEX_TYPE "invokemu"
#define BUCKETS    1024

#define HASH_AT_ONCE 2
#define HASH_WAIT    apr_time_from_sec(8)
/* A stranger is let in as somebody else who comes so much later. */
#define STRANGERS_RANK apr_time_from_sec(30)

/* What is counted, each in a table of its own. */
typedef enum kind {
    BY_ACCOUNT,
    BY_ACCOUNT_AND_NETWORK,
    BY_NETWORK,
    BY_WIDE_NETWORK,
    BY_SESSION,
    BY_SEARCHER,
    MAILS_TO,
    MAILS_BY_NETWORK,
    MAILS_BY_WIDE_NETWORK,
    MAILS_OF_STRANGERS,
    NOTES,
    WORK,
    WIDE_WORK,
    KINDS
} kind;

static const imu_limit_rule rules[KINDS] = {
    /* A person who mistypes has plenty; who guesses gets six tries a minute after the first
     * fifteen. */
    [BY_ACCOUNT] = {15, apr_time_from_sec(10)},
    [BY_ACCOUNT_AND_NETWORK] = {15, apr_time_from_sec(10)},
    [BY_SESSION] = {15, apr_time_from_sec(10)},
    [BY_SEARCHER] = {15, apr_time_from_sec(10)},
    /* An address may stand for a whole office, and the addresses beside it for a university. */
    [BY_NETWORK] = {200, apr_time_from_sec(1)},
    [BY_WIDE_NETWORK] = {1000, apr_time_from_msec(200)},
    /* Nobody needs many mails; who gets them has not asked for them perhaps. */
    [MAILS_TO] = {4, apr_time_from_sec(600)},
    [MAILS_BY_NETWORK] = {30, apr_time_from_sec(30)},
    [MAILS_BY_WIDE_NETWORK] = {90, apr_time_from_sec(10)},
    [MAILS_OF_STRANGERS] = {300, apr_time_from_sec(2)},
    /* Refusals by one person, or from one network, that are worth an entry each. */
    [NOTES] = {100, apr_time_from_sec(30)},
    /* Who has had how many passwords hashed lately; refuses nobody. */
    [WORK] = {600, apr_time_from_sec(1)},
    [WIDE_WORK] = {2400, apr_time_from_msec(250)},
};

_Static_assert(KINDS <= IMU_LIMIT_MOST_KINDS, "keys have no room for so many kinds");

static apr_global_mutex_t *lock;
static imu_limits *limits;
static imu_gate *gate;

apr_status_t imu_throttle_create(apr_pool_t *pconf, server_rec *s)
{
    apr_shm_t *shm;
    apr_status_t rv;

    if ((rv = ap_global_mutex_create(&lock, NULL, MUTEX_TYPE, "throttle", s, pconf, 0)) !=
            APR_SUCCESS ||
        (rv = apr_shm_create(&shm, imu_limits_size(KINDS, BUCKETS), NULL, pconf)) != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, rv, s,
                     "IMU0205: no shared memory for counting failed sign-ins");
        return rv;
    }
    limits = apr_shm_baseaddr_get(shm);
    imu_limits_init(limits, KINDS, BUCKETS);
    return APR_SUCCESS;
}

void imu_throttle_child_init(apr_pool_t *pchild, server_rec *s)
{
    apr_status_t rv = apr_global_mutex_child_init(&lock, apr_global_mutex_lockfile(lock), pchild);

    if (rv == APR_SUCCESS)
        rv = imu_gate_create(pchild, HASH_AT_ONCE, &gate);
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

/* ---- allowances ---- */

/** One of several that an attempt is taken from. */
typedef struct fee {
    kind of;
    const char *whose;
} fee;

static apr_uint64_t key_of(fee f)
{
    return imu_limit_key(limits, f.of, f.whose);
}

static void return_fees(const fee *fees, int n, apr_time_t now)
{
    while (n-- > 0)
        imu_limit_give_back(limits, key_of(fees[n]), &rules[fees[n].of], now);
}

/* From all allowances or none. lacks: which of them has not enough, NULL where nobody asks. @return
 * 0, or how long until there is enough */
static apr_interval_time_t take_fees(const fee *fees, int n, apr_time_t now, kind *lacks)
{
    for (int i = 0; i < n; i++) {
        apr_interval_time_t wait =
            imu_limit_take(limits, key_of(fees[i]), &rules[fees[i].of], 1, now);

        if (wait > 0) {
            return_fees(fees, i, now);
            if (lacks)
                *lacks = fees[i].of;
            return wait;
        }
    }
    return 0;
}

static imu_err *no_lock(imu_req *req)
{
    return imu_error_internal(req->p, "the lock of the failed sign-ins can't be taken");
}

static imu_err *take(imu_req *req, const fee *fees, int n)
{
    apr_interval_time_t wait;

    if (apr_global_mutex_lock(lock) != APR_SUCCESS)
        return no_lock(req);
    wait = take_fees(fees, n, imu_clock_steady(), NULL);
    apr_global_mutex_unlock(lock);
    return wait > 0 ? too_many(req, wait) : NULL;
}

static void give_back(const fee *fees, int n)
{
    if (apr_global_mutex_lock(lock) != APR_SUCCESS)
        return;
    return_fees(fees, n, imu_clock_steady());
    apr_global_mutex_unlock(lock);
}

/* ---- attempts ---- */

#define MOST_FEES 3

/* How many of an attempt's fees are its network's, which come first. Neighbours of a network where
 * somebody has signed in can't use up what lets people in there. */
static int network_fees(const imu_attempt *attempt)
{
    return attempt->past == IMU_NETWORK_NEW ? 2 : 1;
}

/* The networks', then the account's: here, and everywhere if that was counted. @return how many */
static int sign_in_fees(imu_req *req, const imu_attempt *attempt, fee fees[MOST_FEES])
{
    const char *network = imu_network_of(req);

    fees[0] = (fee){BY_NETWORK, network};
    fees[2] = (fee){BY_ACCOUNT, attempt->account};
    if (attempt->past == IMU_NETWORK_NEW) {
        fees[1] = (fee){BY_WIDE_NETWORK, imu_wide_network_of(req)};
        return 3;
    }
    fees[1] =
        (fee){BY_ACCOUNT_AND_NETWORK, apr_pstrcat(req->p, network, " ", attempt->account, NULL)};
    return 2 + attempt->counted;
}

imu_err *imu_throttle_sign_in(imu_req *req, imu_attempt *attempt)
{
    fee fees[MOST_FEES];
    apr_time_t now = imu_clock_steady();
    apr_interval_time_t wait;
    kind lacks = BY_NETWORK;
    int n;

    attempt->counted = attempt->in_vain = attempt->by_others = 0;
    n = sign_in_fees(req, attempt, fees);
    if (apr_global_mutex_lock(lock) != APR_SUCCESS)
        return no_lock(req);
    wait = take_fees(fees, n, now, &lacks);
    /* Counted for the owner too: what others see elsewhere must not depend on who the owner is. */
    if (wait == 0 && attempt->past != IMU_NETWORK_NEW) {
        attempt->counted = take_fees(fees + n, 1, now, NULL) == 0;
        attempt->in_vain = !attempt->counted && attempt->past != IMU_NETWORK_OF_ACCOUNT;
    }
    apr_global_mutex_unlock(lock);
    attempt->by_others = attempt->in_vain || lacks == BY_WIDE_NETWORK || lacks == BY_ACCOUNT;
    return wait > 0 ? too_many(req, wait) : NULL;
}

void imu_throttle_sign_in_back(imu_req *req, const imu_attempt *attempt)
{
    fee fees[MOST_FEES];

    give_back(fees, sign_in_fees(req, attempt, fees));
}

void imu_throttle_sign_in_turned_away(imu_req *req, const imu_attempt *attempt)
{
    fee fees[MOST_FEES];
    int n = sign_in_fees(req, attempt, fees), networks = network_fees(attempt);
    apr_time_t now = imu_clock_steady();

    if (apr_global_mutex_lock(lock) != APR_SUCCESS)
        return;
    return_fees(fees + networks, n - networks, now);
    for (int i = 0; i < networks; i++)
        imu_limit_charge(limits, key_of(fees[i]), &rules[fees[i].of], now);
    apr_global_mutex_unlock(lock);
}

imu_err *imu_throttle_confirm(imu_req *req)
{
    return take(req, &(fee){BY_SESSION, req->who.session_id}, 1);
}

void imu_throttle_confirm_back(imu_req *req)
{
    give_back(&(fee){BY_SESSION, req->who.session_id}, 1);
}

imu_err *imu_throttle_search(imu_req *req)
{
    return take(req, &(fee){BY_SEARCHER, req->who.user_id}, 1);
}

void imu_throttle_search_back(imu_req *req)
{
    give_back(&(fee){BY_SEARCHER, req->who.user_id}, 1);
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

imu_err *imu_throttle_mail(imu_req *req, const char *address, int stranger)
{
    const fee fees[] = {{MAILS_TO, address},
                        {MAILS_BY_NETWORK, imu_network_of(req)},
                        {MAILS_BY_WIDE_NETWORK, imu_wide_network_of(req)},
                        {MAILS_OF_STRANGERS, ""}};
    /* As for sign-ins: what is left to strangers is no limit for others. */
    imu_err *err = take(req, fees, stranger ? 4 : 2);

    return err && err->status == 429 ? mails_enough(req, err->retry_after) : err;
}

int imu_throttle_note(imu_req *req)
{
    return !take(req, &(fee){NOTES, req->who.user_id ? req->who.user_id : imu_network_of(req)}, 1);
}

/* ---- the gate ---- */

/* When it is their turn, by the clock: who has had much hashed lately has to let others go first, a
 * person, or a network, and for strangers those beside it; of two who are alike, who came first
 * goes first. */
static apr_int64_t rank_of(imu_req *req, int stranger)
{
    int person = req->who.via != IMU_VIA_NONE;
    fee work = {WORK, person ? req->who.user_id : imu_network_of(req)};
    fee wide = {WIDE_WORK, imu_wide_network_of(req)};
    apr_time_t now = imu_clock_steady();
    apr_int64_t rank = now + (stranger ? STRANGERS_RANK : 0);

    if (apr_global_mutex_lock(lock) != APR_SUCCESS)
        return rank;
    rank += imu_limit_owed(limits, key_of(work), now);
    imu_limit_charge(limits, key_of(work), &rules[work.of], now);
    if (stranger) {
        rank += imu_limit_owed(limits, key_of(wide), now);
        imu_limit_charge(limits, key_of(wide), &rules[wide.of], now);
    }
    apr_global_mutex_unlock(lock);
    return rank;
}

/* @return whether inside */
static int pass(imu_gate_guest *guest)
{
    imu_gate_state state;

    /* Who is displaced leaves their place in the crowd to us. */
    if (imu_crowd_enter_hashing() != 0 && !imu_gate_displace(gate, guest->rank))
        return 0;
    state = imu_gate_enter(gate, guest, HASH_WAIT);
    if (state == IMU_GATE_LATE)
        imu_crowd_leave_hashing();
    return state == IMU_GATE_IN;
}

static imu_err *enter(imu_req *req, int stranger, imu_gate_guest *guest)
{
    imu_err *err;

    *guest = (imu_gate_guest){.rank = rank_of(req, stranger), .stranger = stranger};
    if (pass(guest))
        return NULL;
    err = imu_error(req->p, 503, IMU_HASHING_BUSY,
                    "The server is busy checking passwords. Try again in a few seconds.");
    err->retry_after = 3;
    return err;
}

static void leave(imu_gate_guest *guest)
{
    imu_gate_leave(gate, guest);
    imu_crowd_leave_hashing();
}

imu_err *imu_hash_password(imu_req *req, const char *password, const char **hash)
{
    imu_gate_guest guest;
    imu_err *err = enter(req, 0, &guest);

    if (err)
        return err;
    err = imu_password_hash(req->p, password, hash);
    leave(&guest);
    return err;
}

imu_err *imu_check_password(imu_req *req, int stranger, const char *password, const char *hash,
                            int *right)
{
    imu_gate_guest guest;
    imu_err *err = enter(req, stranger, &guest);

    if (err)
        return err;
    *right = imu_password_verify(password, hash);
    leave(&guest);
    return NULL;
}
