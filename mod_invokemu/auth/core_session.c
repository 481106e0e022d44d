#include "mod_invokemu/auth/core_session.h"

#include <string.h>
#include <apr_strings.h>

#include "mod_invokemu/auth/core_known.h"
#include "mod_invokemu/auth/core_secret.h"
#include "mod_invokemu/auth/core_token.h"
#include "mod_invokemu/util/clock.h"
#include "mod_invokemu/util/ids.h"

#define SID_BYTES   32
#define TOUCH_AFTER apr_time_from_sec(60)
#define AGENT_MAX   300
#define ADDRESS_MAX 64

static imu_session_rules rules = {24, 168, 0};

void imu_session_rules_set(const imu_session_rules *given)
{
    rules = *given;
}

/** How old the last activity on record may grow. Under an idle limit a twelfth of it at most:
 * whoever is at work must not be signed out for what has not been written down. */
static apr_interval_time_t touch_after(void)
{
    apr_interval_time_t twelfth = apr_time_from_sec((apr_int64_t)rules.idle_minutes * 5);

    return twelfth > 0 && twelfth < TOUCH_AFTER ? twelfth : TOUCH_AFTER;
}

static apr_int64_t life_seconds(int remember)
{
    return (apr_int64_t)(remember ? rules.remember_hours : rules.hours) * 3600;
}

static const char *hash_of(apr_pool_t *p, const char *sid)
{
    return imu_sha256_hex(p, sid, strlen(sid));
}

/** Text for a list: valid UTF-8 without control characters, cut at a character's end. */
static const char *shown(apr_pool_t *p, const char *text, apr_size_t max)
{
    char *cut;
    apr_size_t n;

    if (!text)
        return NULL;
    cut = apr_pstrndup(p, text, max);
    n = strlen(cut);
    if (n == max) {
        while (n > 0 && ((unsigned char)cut[n - 1] & 0xC0) == 0x80)
            n--;
        if (n > 0 && (unsigned char)cut[n - 1] >= 0xC0)
            n--;
        cut[n] = '\0';
    }
    return imu_is_clean_text(cut) ? cut : NULL;
}

/** Signs a token for a session whose secret is sid. */
static imu_err *sign(imu_db *db, apr_pool_t *p, const imu_token *about, imu_session_token *token)
{
    imu_token t = *about;
    const char *key;
    imu_err *err = imu_secret(db, p, &key);

    if (err)
        return err;
    t.issued_at = apr_time_from_sec(apr_time_sec(imu_clock_now()));
    token->seconds = life_seconds(t.remember);
    t.expires_at = t.issued_at + apr_time_from_sec(token->seconds);
    token->expires_at = t.expires_at;
    token->text = imu_token_sign(p, key, &t);
    return token->text ? NULL : imu_error_internal(p, "a token can't be signed");
}

static void about_user(imu_token *t, const imu_rows *user)
{
    memset(t, 0, sizeof *t);
    t->user_id = imu_text(user, 0, "user_id");
    t->email = imu_text(user, 0, "email");
    t->is_admin = imu_bool(user, 0, "is_admin");
    t->epoch = imu_int(user, 0, "token_epoch");
}

#define ENDED         "Your session has ended. Sign in again."
#define ENDED_AWAY    "You were signed out because you were away for a long time. Sign in again."
#define ENDED_CHANGED "You were signed out because your password was changed. Sign in again."
#define ENDED_OFF     "Your account was suspended. An administrator can end that."
#define ENDED_GONE    "Your account was deleted. An administrator can tell you more."
#define ENDED_REMOTE                                                                               \
    "You were signed out from another device, or by an administrator. Sign in again."

/** Why a session doesn't hold: for the log, and for the person, who has proved to be its owner. */
typedef struct objection {
    const char *log, *detail;
} objection;

static imu_err *refused(apr_pool_t *p, const char *why, const char *detail)
{
    return imu_error_log(p, imu_error(p, 401, "session_ended", "%s", detail), "token refused: %s",
                         why);
}

imu_err *imu_session_remember_network(imu_db *db, apr_pool_t *p, const char *user_id,
                                      const char *network)
{
    imu_err *err = imu_db_begin(db);

    if (err)
        return err;
    err = imu_db_exec(db, p, NULL, "network_remember", "sss", user_id, network, imu_now(p));
    if (!err)
        err = imu_db_exec(db, p, NULL, "network_drop_oldest", "ss", user_id, user_id);
    return imu_db_end(db, err);
}

imu_err *imu_session_network_past(imu_db *db, apr_pool_t *p, const char *email, const char *network,
                                  imu_network_past *past)
{
    imu_rows *rows;
    imu_err *err =
        imu_db_select(db, p, &rows, "network_past", "sss", network, email ? email : "", network);

    if (err)
        return err;
    *past = imu_bool(rows, 0, "of_account")   ? IMU_NETWORK_OF_ACCOUNT
            : imu_bool(rows, 0, "of_anybody") ? IMU_NETWORK_OF_OTHERS
                                              : IMU_NETWORK_NEW;
    return NULL;
}

imu_err *imu_session_open(imu_db *db, apr_pool_t *p, const imu_rows *user, int remember,
                          const imu_session_client *client, imu_session_token *token)
{
    const char *now = imu_now(p);
    imu_token about;
    imu_err *err;

    about_user(&about, user);
    about.remember = remember;
    about.sid = imu_random_token(p, SID_BYTES);
    if ((err = sign(db, p, &about, token)) || (err = imu_db_begin(db)))
        return err;
    err = imu_db_exec(db, p, NULL, "session_purge_of_user", "ss", about.user_id, now);
    if (!err)
        err = imu_db_exec(db, p, NULL, "session_drop_oldest", "ss", about.user_id, about.user_id);
    if (!err)
        err = imu_db_exec(db, p, NULL, "session_insert", "sssbsssss", imu_uuid4(p), about.user_id,
                          hash_of(p, about.sid), remember, imu_time_text(p, token->expires_at), now,
                          now, shown(p, client->agent, AGENT_MAX),
                          shown(p, client->address, ADDRESS_MAX));
    if (!err && client->network)
        err = imu_session_remember_network(db, p, about.user_id, client->network);
    if (!err)
        err = imu_db_exec(db, p, NULL, "user_signed_in", "ss", now, about.user_id);
    err = imu_db_end(db, err);
    return imu_error_is(err, "db_constraint") ? refused(p, "no such account", ENDED_GONE) : err;
}

static int idle_too_long(apr_time_t last, apr_time_t now)
{
    return rules.idle_minutes > 0 &&
           now - last > apr_time_from_sec((apr_int64_t)rules.idle_minutes * 60);
}

/** What the account has to say against the token; all NULL for nothing. */
static objection account_objection(const imu_rows *row, const imu_token *t)
{
    if (!imu_bool(row, 0, "is_active"))
        return (objection){"account suspended", ENDED_OFF};
    if (imu_int(row, 0, "token_epoch") != t->epoch)
        return (objection){"token of an earlier password", ENDED_CHANGED};
    return (objection){NULL, NULL};
}

/** What the session has to say against the token; all NULL for nothing. */
static objection session_objection(const imu_rows *row, const imu_token *t,
                                   const imu_known_session *known, apr_time_t now)
{
    if (strcmp(imu_text(row, 0, "user_id"), t->user_id) != 0)
        return (objection){"session of somebody else", ENDED};
    if (known->ends_at <= now)
        return (objection){"session expired", ENDED_AWAY};
    if (idle_too_long(known->last_activity, now))
        return (objection){"session idle for too long", ENDED_AWAY};
    return account_objection(row, t);
}

/** The session is not there any more: the account tells why. @return 401, or what went wrong */
static imu_err *refused_without_session(imu_db *db, apr_pool_t *p, const imu_token *t)
{
    imu_rows *user;
    imu_err *err = imu_db_select(db, p, &user, "user_by_id", "s", t->user_id);
    objection why;

    if (err)
        return err;
    if (user->count == 0)
        return refused(p, "no such account", ENDED_GONE);
    why = account_objection(user, t);
    return refused(p, "no such session", why.log ? why.detail : ENDED_REMOTE);
}

static void identify(imu_known_session *known, const imu_rows *row, const imu_token *t)
{
    known->who = (imu_identity){
        .via = IMU_VIA_BEARER,
        .user_id = imu_text(row, 0, "user_id"),
        .email = imu_text(row, 0, "email"),
        .display_name = imu_text(row, 0, "display_name"),
        .is_admin = imu_bool(row, 0, "is_admin"),
        .must_change_password = imu_bool(row, 0, "must_change_password"),
        .session_id = imu_text(row, 0, "session_id"),
        .issued_at = t->issued_at,
        .expires_at = t->expires_at,
        .remember = imu_bool(row, 0, "remember"),
    };
    known->ends_at = imu_time_parse(imu_text(row, 0, "expires_at"));
    known->last_activity = imu_time_parse(imu_text(row, 0, "last_activity_at"));
}

/** Checks the token by itself, and then by the session and the account that it names. */
static imu_err *look_up(imu_db *db, apr_pool_t *p, const char *text, apr_time_t now,
                        imu_known_session *known)
{
    const char *key, *wrong;
    objection why;
    imu_token t;
    imu_rows *row;
    imu_err *err = imu_secret(db, p, &key);

    if (err)
        return err;
    if ((wrong = imu_token_read(p, key, text, now, &t)))
        return refused(p, wrong, strcmp(wrong, "expired") == 0 ? ENDED_AWAY : ENDED);
    if ((err = imu_db_select(db, p, &row, "session_identity", "s", hash_of(p, t.sid))))
        return err;
    if (row->count == 0)
        return refused_without_session(db, p, &t);
    identify(known, row, &t);
    why = session_objection(row, &t, known, now);
    return why.log ? refused(p, why.log, why.detail) : NULL;
}

/** Whether neither the token's time nor the session's has run out since it was remembered. */
static int in_time(const imu_known_session *known, apr_time_t now)
{
    return known->who.expires_at > now && known->ends_at > now &&
           !idle_too_long(known->last_activity, now);
}

imu_err *imu_session_check(imu_db *db, apr_pool_t *p, const char *text, imu_identity *who,
                           int *touch_due)
{
    apr_time_t now = imu_clock_now();
    imu_known_session known;
    imu_err *err;

    memset(who, 0, sizeof *who);
    if (!imu_known_recall(db, p, text, &known) || !in_time(&known, now)) {
        if ((err = look_up(db, p, text, now, &known)))
            return err;
        imu_known_remember(db, p, text, &known);
    }
    *who = known.who;
    if (touch_due)
        *touch_due = now - known.last_activity >= touch_after();
    return NULL;
}

imu_err *imu_session_touch(imu_db *db, apr_pool_t *p, const imu_identity *who,
                           const imu_session_client *client)
{
    return imu_db_exec(db, p, NULL, "session_touch", "sss", imu_now(p),
                       shown(p, client->address, ADDRESS_MAX), who->session_id);
}

imu_err *imu_session_renew(imu_db *db, apr_pool_t *p, const char *old_token,
                           const imu_identity *who, imu_session_token *token)
{
    const char *key, *wrong;
    imu_token t;
    imu_err *err = imu_secret(db, p, &key);

    if (err)
        return err;
    if ((wrong = imu_token_read(p, key, old_token, imu_clock_now(), &t)))
        return refused(p, wrong, ENDED);
    t.email = who->email;
    t.is_admin = who->is_admin;
    t.remember = who->remember;
    if ((err = sign(db, p, &t, token)))
        return err;
    /* The row outlives its latest token by up to a minute, so that it needn't be written for each.
     */
    return imu_db_exec(db, p, NULL, "session_extend", "sss",
                       imu_time_text(p, token->expires_at + TOUCH_AFTER), who->session_id,
                       imu_time_text(p, token->expires_at));
}

int imu_session_same(imu_db *db, apr_pool_t *p, const char *token, const char *other)
{
    apr_time_t now = imu_clock_now();
    const char *key;
    imu_token a, b;

    return !imu_secret(db, p, &key) && !imu_token_read(p, key, token, now, &a) &&
           !imu_token_read(p, key, other, now, &b) && strcmp(a.sid, b.sid) == 0;
}

imu_err *imu_session_replace(imu_db *db, apr_pool_t *p, const imu_rows *user,
                             const imu_identity *who, imu_session_token *token)
{
    imu_token about;
    int there = 0;
    imu_err *err = imu_session_end_all(db, p, who->user_id, who->session_id);

    about_user(&about, user);
    about.remember = who->remember;
    about.sid = imu_random_token(p, SID_BYTES);
    if (!err)
        err = sign(db, p, &about, token);
    if (!err)
        err = imu_db_exec(db, p, &there, "session_rekey", "sss", hash_of(p, about.sid),
                          imu_time_text(p, token->expires_at), who->session_id);
    return err || there ? err : refused(p, "no such session", ENDED_REMOTE);
}

imu_err *imu_session_end(imu_db *db, apr_pool_t *p, const char *user_id, const char *session_id,
                         int *ended)
{
    int n = 0;
    imu_err *err = imu_db_exec(db, p, &n, "session_delete", "ss", user_id, session_id);

    if (ended)
        *ended = n > 0;
    return err;
}

imu_err *imu_session_end_all(imu_db *db, apr_pool_t *p, const char *user_id, const char *keep)
{
    return imu_db_exec(db, p, NULL, "session_delete_all", "ss", user_id, keep ? keep : "");
}

imu_err *imu_session_purge(imu_db *db, apr_pool_t *p, int *removed)
{
    return imu_db_exec(db, p, removed, "session_purge", "s", imu_now(p));
}

imu_err *imu_session_list(imu_db *db, apr_pool_t *p, const imu_identity *who, json_t **list)
{
    imu_rows *rows;
    int i;
    imu_err *err = imu_db_select(db, p, &rows, "session_list", "ss", who->user_id, imu_now(p));

    if (err)
        return err;
    *list = json_array();
    for (i = 0; i < rows->count; i++) {
        const char *id = imu_text(rows, i, "session_id");
        int current = who->session_id && strcmp(id, who->session_id) == 0;
        json_t *one = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:b}", "session_id", id,
                                "created_at", imu_json_text(rows, i, "created_at"),
                                "last_activity_at", imu_json_text(rows, i, "last_activity_at"),
                                "expires_at", imu_json_text(rows, i, "expires_at"), "user_agent",
                                imu_json_text(rows, i, "user_agent"), "ip_address",
                                imu_json_text(rows, i, "ip_address"), "current", current);

        if (!one || json_array_append_new(*list, one) != 0) {
            json_decref(*list);
            return imu_error_internal(p, "no memory for a list of sessions");
        }
    }
    return NULL;
}
