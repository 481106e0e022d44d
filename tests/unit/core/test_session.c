#include "tests/unit/core/tempdb.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "mod_invokemu/auth/core_known.h"
#include "mod_invokemu/auth/core_secret.h"
#include "mod_invokemu/auth/core_session.h"
#include "mod_invokemu/auth/core_token.h"
#include "mod_invokemu/store/users.h"
#include "mod_invokemu/util/ids.h"

static const imu_session_client browser = {"Mozilla/5.0", "192.0.2.7", "192.0.2.7"};

static imu_rows *account(tempdb *f, const char *email, int admin)
{
    const char *id;
    imu_rows *user;

    assert_no_error(imu_user_create(f->db, f->pool, email, "Somebody",
                                    "$2b$12$not-a-hash-of-anything", admin, 0, &id));
    assert_no_error(imu_user_get(f->db, f->pool, id, &user));
    assert_int_equal(user->count, 1);
    return user;
}

static imu_rows *start(tempdb *f)
{
    imu_session_rules_set(&(imu_session_rules){24, 168, 0});
    assert_no_error(imu_secrets_ensure(f->db));
    return account(f, "a@example.org", 0);
}

static const char *opened(tempdb *f, const imu_rows *user, int remember)
{
    imu_session_token token;

    assert_no_error(imu_session_open(f->db, f->pool, user, remember, &browser, &token));
    return token.text;
}

static void refused(tempdb *f, const char *token)
{
    imu_identity who;
    imu_err *err = imu_identity_from_token(f->db, f->pool, token, &who);

    assert_non_null(err);
    assert_int_equal(err->status, 401);
    assert_int_equal(who.via, IMU_VIA_NONE);
}

static imu_identity accepted(tempdb *f, const char *token)
{
    imu_identity who;

    assert_no_error(imu_identity_from_token(f->db, f->pool, token, &who));
    return who;
}

static void a_token_tells_who(void **state)
{
    tempdb *f = *state;
    imu_rows *user = start(f), *row;
    imu_identity who = accepted(f, opened(f, user, 0));

    assert_int_equal(who.via, IMU_VIA_BEARER);
    assert_string_equal(who.user_id, imu_text(user, 0, "user_id"));
    assert_string_equal(who.email, "a@example.org");
    assert_false(who.is_admin);
    assert_int_equal(who.expires_at - who.issued_at, apr_time_from_sec(24 * 3600));
    assert_no_error(imu_user_get(f->db, f->pool, who.user_id, &row));
    assert_non_null(imu_text(row, 0, "last_login_at"));
}

static void a_session_asked_for_again_is_the_same(void **state)
{
    tempdb *f = *state;
    const char *id, *token;
    imu_rows *user;
    imu_identity first, again;

    start(f);
    assert_no_error(imu_user_create(f->db, f->pool, "n@example.org", NULL, "$2b$12$x", 1, 1, &id));
    assert_no_error(imu_user_get(f->db, f->pool, id, &user));
    token = opened(f, user, 1);
    first = accepted(f, token);
    again = accepted(f, token);
    assert_int_equal(again.via, first.via);
    assert_string_equal(again.user_id, id);
    assert_string_equal(again.email, "n@example.org");
    assert_null(again.display_name);
    assert_string_equal(again.session_id, first.session_id);
    assert_true(again.is_admin && again.must_change_password && again.remember);
    assert_int_equal(again.issued_at, first.issued_at);
    assert_int_equal(again.expires_at, first.expires_at);
}

static void another_process_ends_a_session_that_was_just_used(void **state)
{
    tempdb *f = *state;
    imu_db *other = tempdb_another(f);
    imu_rows *user = start(f);
    const char *one = opened(f, user, 0), *two = opened(f, user, 0);
    imu_identity who = accepted(f, one);

    accepted(f, one);
    assert_no_error(imu_session_end(other, f->pool, who.user_id, who.session_id, NULL));
    refused(f, one);
    accepted(f, two);
    accepted(f, two);
    assert_no_error(imu_session_end_all(other, f->pool, who.user_id, NULL));
    refused(f, two);
}

/* Puts a session into what the connection remembers, for a token that nothing else speaks for. */
static const char *remembered(tempdb *f, apr_interval_time_t token_left,
                              apr_interval_time_t session_left, apr_interval_time_t idle)
{
    apr_time_t now = apr_time_now();
    imu_known_session known = {.who = {.via = IMU_VIA_BEARER,
                                       .user_id = "somebody",
                                       .expires_at = now + token_left},
                               .ends_at = now + session_left,
                               .last_activity = now - idle},
                      none;

    assert_false(imu_known_recall(f->db, f->pool, "a token", &none));
    imu_known_remember(f->db, f->pool, "a token", &known);
    return "a token";
}

static void forget_all(tempdb *f)
{
    account(f, apr_psprintf(f->pool, "%s@example.org", imu_uuid4(f->pool)), 0);
}

static void what_is_remembered_still_ends_with_time(void **state)
{
    const apr_interval_time_t minute = apr_time_from_sec(60);
    tempdb *f = *state;

    start(f);
    imu_session_rules_set(&(imu_session_rules){24, 168, 5});
    assert_string_equal(accepted(f, remembered(f, minute, minute, 4 * minute)).user_id, "somebody");
    forget_all(f);
    refused(f, "a token");
    refused(f, remembered(f, -1, minute, 0));
    forget_all(f);
    refused(f, remembered(f, minute, -1, 0));
    forget_all(f);
    refused(f, remembered(f, minute, minute, 6 * minute));
}

static void remembered_ones_last_longer(void **state)
{
    tempdb *f = *state;
    imu_identity who = accepted(f, opened(f, start(f), 1));

    assert_true(who.remember);
    assert_int_equal(who.expires_at - who.issued_at, apr_time_from_sec(168 * 3600));
}

static void the_key_is_made_once(void **state)
{
    tempdb *f = *state;
    const char *one, *two;

    assert_no_error(imu_secrets_ensure(f->db));
    assert_no_error(imu_secret(f->db, f->pool, &one));
    assert_no_error(imu_secrets_ensure(f->db));
    assert_no_error(imu_secret(f->db, f->pool, &two));
    assert_string_equal(one, two);
    assert_true(strlen(one) >= IMU_TOKEN_KEY_MIN);
}

static void a_good_signature_without_a_session_is_nothing(void **state)
{
    tempdb *f = *state;
    imu_rows *user = start(f);
    apr_time_t now = apr_time_now();
    imu_token t = {.user_id = imu_text(user, 0, "user_id"),
                   .email = "a@example.org",
                   .is_admin = 1,
                   .sid = "invented",
                   .issued_at = now,
                   .expires_at = now + apr_time_from_sec(600)};
    const char *key;

    assert_no_error(imu_secret(f->db, f->pool, &key));
    refused(f, imu_token_sign(f->pool, key, &t));
}

static void a_role_in_the_token_counts_for_nothing(void **state)
{
    tempdb *f = *state;
    imu_rows *user = start(f);
    const char *key, *text = opened(f, user, 0);
    imu_token t;

    assert_no_error(imu_secret(f->db, f->pool, &key));
    assert_null(imu_token_read(f->pool, key, text, apr_time_now(), &t));
    t.is_admin = 1;
    assert_false(accepted(f, imu_token_sign(f->pool, key, &t)).is_admin);
    t.user_id = imu_text(account(f, "b@example.org", 0), 0, "user_id");
    refused(f, imu_token_sign(f->pool, key, &t));
}

static void signing_out_ends_one_session(void **state)
{
    tempdb *f = *state;
    imu_rows *user = start(f);
    const char *one = opened(f, user, 0), *two = opened(f, user, 0);
    imu_identity who = accepted(f, one);
    int ended;

    assert_no_error(imu_session_end(f->db, f->pool, "somebody else", who.session_id, &ended));
    assert_false(ended);
    assert_no_error(imu_session_end(f->db, f->pool, who.user_id, who.session_id, &ended));
    assert_true(ended);
    refused(f, one);
    accepted(f, two);
}

static void renewal_keeps_the_session_and_the_old_token(void **state)
{
    tempdb *f = *state;
    const char *old = opened(f, start(f), 0);
    imu_identity before = accepted(f, old), after;
    imu_session_token fresh;
    int ended;

    assert_no_error(imu_session_renew(f->db, f->pool, old, &before, &fresh));
    after = accepted(f, fresh.text);
    assert_string_equal(after.session_id, before.session_id);
    accepted(f, old);
    assert_no_error(imu_session_end(f->db, f->pool, before.user_id, before.session_id, &ended));
    refused(f, old);
    refused(f, fresh.text);
}

static void a_new_password_leaves_one_new_token(void **state)
{
    tempdb *f = *state;
    imu_rows *user = start(f);
    const char *mine = opened(f, user, 0), *other = opened(f, user, 0);
    imu_identity who = accepted(f, mine);
    imu_user_change change = {NULL, "new", IMU_KEEP, IMU_KEEP, IMU_KEEP, NULL};
    imu_session_token fresh;

    assert_no_error(imu_db_begin(f->db));
    assert_no_error(imu_user_update(f->db, f->pool, who.user_id, &change, &user));
    assert_no_error(imu_session_replace(f->db, f->pool, user, &who, &fresh));
    assert_no_error(imu_db_end(f->db, NULL));
    refused(f, mine);
    refused(f, other);
    assert_string_equal(accepted(f, fresh.text).session_id, who.session_id);
}

static void what_an_administrator_does_counts_at_once(void **state)
{
    tempdb *f = *state;
    imu_rows *user = start(f);
    const char *id = imu_text(user, 0, "user_id"), *token = opened(f, user, 0);
    imu_user_change change = {NULL, NULL, 1, IMU_KEEP, 1, NULL};

    account(f, "root@example.org", 1);
    assert_false(accepted(f, token).is_admin);
    assert_no_error(imu_user_update(f->db, f->pool, id, &change, &user));
    assert_true(accepted(f, token).is_admin);
    assert_true(accepted(f, token).must_change_password);
    change = (imu_user_change){NULL, NULL, 0, 0, IMU_KEEP, NULL};
    assert_no_error(imu_user_update(f->db, f->pool, id, &change, &user));
    refused(f, token);
    change.is_active = 1;
    assert_no_error(imu_user_update(f->db, f->pool, id, &change, &user));
    refused(f, token);
    token = opened(f, user, 0);
    accepted(f, token);
    assert_no_error(imu_user_delete(f->db, f->pool, id, NULL));
    refused(f, token);
}

/* Suspending and a new password end sessions; a token must not work even where its row was left
 * over. */
static void a_left_over_session_opens_nothing(void **state)
{
    tempdb *f = *state;
    imu_rows *user = start(f);
    const char *id = imu_text(user, 0, "user_id"), *token = opened(f, user, 0);
    imu_user_change change = {NULL, "new", IMU_KEEP, IMU_KEEP, IMU_KEEP, NULL};

    assert_no_error(imu_db_exec(f->db, f->pool, NULL, "user_update", "sbbbss", "Somebody", 0, 0, 0,
                                imu_now(f->pool), id));
    refused(f, token);
    assert_no_error(imu_db_exec(f->db, f->pool, NULL, "user_update", "sbbbss", "Somebody", 0, 1, 0,
                                imu_now(f->pool), id));
    accepted(f, token);
    assert_no_error(imu_user_update(f->db, f->pool, id, &change, &user));
    refused(f, token);
}

static void idle_sessions_end(void **state)
{
    tempdb *f = *state;
    imu_rows *user = start(f);
    const char *token = opened(f, user, 0);
    imu_identity who;
    int due = 1;

    imu_session_rules_set(&(imu_session_rules){24, 168, 30});
    assert_no_error(imu_session_check(f->db, f->pool, token, &who, &due));
    assert_false(due);
    assert_no_error(imu_db_exec(f->db, f->pool, NULL, "session_touch", "sss",
                                imu_time_text(f->pool, apr_time_now() - apr_time_from_sec(1740)),
                                NULL, who.session_id));
    assert_no_error(imu_session_check(f->db, f->pool, token, &who, &due));
    assert_true(due);
    assert_no_error(imu_session_touch(f->db, f->pool, &who, &browser));
    assert_no_error(imu_session_check(f->db, f->pool, token, &who, &due));
    assert_false(due);
    assert_no_error(imu_db_exec(f->db, f->pool, NULL, "session_touch", "sss",
                                imu_time_text(f->pool, apr_time_now() - apr_time_from_sec(1860)),
                                NULL, who.session_id));
    refused(f, token);
    imu_session_rules_set(&(imu_session_rules){24, 168, 0});
    accepted(f, token);
}

/** The last activity on record is so old: is the next one written down? */
static int due_after(tempdb *f, const char *token, const char *session_id, int seconds)
{
    imu_identity who;
    int due;

    assert_no_error(imu_db_exec(f->db, f->pool, NULL, "session_touch", "sss",
                                imu_time_text(f->pool, apr_time_now() - apr_time_from_sec(seconds)),
                                NULL, session_id));
    assert_no_error(imu_session_check(f->db, f->pool, token, &who, &due));
    return due;
}

static void activity_is_written_down_well_before_the_idle_limit(void **state)
{
    tempdb *f = *state;
    const char *token = opened(f, start(f), 0), *id = accepted(f, token).session_id;

    assert_false(due_after(f, token, id, 50));
    assert_true(due_after(f, token, id, 61));
    imu_session_rules_set(&(imu_session_rules){24, 168, 1});
    assert_false(due_after(f, token, id, 2));
    assert_true(due_after(f, token, id, 6));
    imu_session_rules_set(&(imu_session_rules){24, 168, 6});
    assert_false(due_after(f, token, id, 25));
    assert_true(due_after(f, token, id, 31));
    imu_session_rules_set(&(imu_session_rules){24, 168, 600});
    assert_false(due_after(f, token, id, 50));
    assert_true(due_after(f, token, id, 61));
    imu_session_rules_set(&(imu_session_rules){24, 168, 0});
}

static void signing_in_to_a_deleted_account_is_refused(void **state)
{
    tempdb *f = *state;
    imu_rows *user = start(f);
    imu_session_token token;
    imu_err *err;

    assert_no_error(imu_user_delete(f->db, f->pool, imu_text(user, 0, "user_id"), NULL));
    err = imu_session_open(f->db, f->pool, user, 0, &browser, &token);
    assert_non_null(err);
    assert_int_equal(err->status, 401);
}

static void what_was_verified_must_still_be_so(void **state)
{
    tempdb *f = *state;
    imu_rows *user = start(f);
    const char *id = imu_text(user, 0, "user_id"), *old = "$2b$12$not-a-hash-of-anything";
    imu_identity who = accepted(f, opened(f, user, 0));
    imu_user_change change = {NULL, "$2b$12$another", IMU_KEEP, IMU_KEEP, IMU_KEEP, NULL};
    imu_session_token token;
    imu_err *err;

    assert_no_error(imu_user_hash_is(f->db, f->pool, id, old));
    assert_no_error(imu_user_update(f->db, f->pool, id, &change, &user));
    err = imu_user_hash_is(f->db, f->pool, id, old);
    assert_non_null(err);
    assert_int_equal(err->status, 401);
    assert_no_error(imu_session_end(f->db, f->pool, id, who.session_id, NULL));
    err = imu_session_replace(f->db, f->pool, user, &who, &token);
    assert_non_null(err);
    assert_int_equal(err->status, 401);
}

static void tokens_of_one_session_are_known(void **state)
{
    tempdb *f = *state;
    imu_rows *user = start(f);
    const char *one = opened(f, user, 0), *two = opened(f, user, 0);
    imu_identity who = accepted(f, one);
    imu_session_token fresh;

    assert_no_error(imu_session_renew(f->db, f->pool, one, &who, &fresh));
    assert_true(imu_session_same(f->db, f->pool, one, fresh.text));
    assert_false(imu_session_same(f->db, f->pool, one, two));
    assert_false(imu_session_same(f->db, f->pool, "nonsense", one));
}

static void expired_rows_are_refused_and_purged(void **state)
{
    tempdb *f = *state;
    const char *token = opened(f, start(f), 0);
    imu_identity who = accepted(f, token);
    const char *key;
    imu_token t;
    int removed = 0;

    assert_no_error(imu_secret(f->db, f->pool, &key));
    assert_null(imu_token_read(f->pool, key, token, apr_time_now(), &t));
    assert_no_error(imu_db_exec(f->db, f->pool, NULL, "session_rekey", "sss",
                                imu_sha256_hex(f->pool, t.sid, strlen(t.sid)),
                                "2001-01-01 00:00:00.000", who.session_id));
    refused(f, token);
    assert_no_error(imu_session_purge(f->db, f->pool, &removed));
    assert_int_equal(removed, 1);
}

static void sessions_are_listed_and_bounded(void **state)
{
    tempdb *f = *state;
    imu_rows *user = start(f);
    const char *token = NULL;
    imu_identity who;
    json_t *list, *one;
    size_t i;
    int current = 0;

    for (i = 0; i < 205; i++)
        token = opened(f, user, 0);
    who = accepted(f, token);
    assert_no_error(imu_session_list(f->db, f->pool, &who, &list));
    assert_int_equal(json_array_size(list), 200);
    json_array_foreach (list, i, one)
        current += json_is_true(json_object_get(one, "current"));
    assert_int_equal(current, 1);
    one = json_array_get(list, 0);
    assert_string_equal(json_string_value(json_object_get(one, "user_agent")), "Mozilla/5.0");
    assert_string_equal(json_string_value(json_object_get(one, "ip_address")), "192.0.2.7");
    assert_null(json_object_get(one, "token_hash"));
    json_decref(list);
}

static void a_hostile_user_agent_is_kept_out_or_cut(void **state)
{
    tempdb *f = *state;
    imu_rows *user = start(f);
    char text[1000];
    imu_session_client client = {text, "192.0.2.7", NULL};
    imu_session_token token;
    imu_identity who;
    json_t *list;

    memset(text, 'x', sizeof text);
    memcpy(text + 299, "\xC3\xA4", 2);
    text[999] = '\0';
    assert_no_error(imu_session_open(f->db, f->pool, user, 0, &client, &token));
    who = accepted(f, token.text);
    assert_no_error(imu_session_list(f->db, f->pool, &who, &list));
    assert_int_equal(
        strlen(json_string_value(json_object_get(json_array_get(list, 0), "user_agent"))), 299);
    json_decref(list);
    text[0] = '\x1b';
    assert_no_error(imu_session_open(f->db, f->pool, user, 0, &client, &token));
}

static void the_last_administrator_stays(void **state)
{
    tempdb *f = *state;
    const char *id, *other;
    imu_rows *user;
    imu_user_change demote = {NULL, NULL, 0, IMU_KEEP, IMU_KEEP, NULL},
                    stop = {NULL, NULL, IMU_KEEP, 0, IMU_KEEP, NULL};

    assert_no_error(imu_user_create_first_admin(f->db, f->pool, "root@example.org", NULL,
                                                "$2b$12$not-a-hash-of-anything", &id));
    assert_true(imu_error_is(imu_user_create_first_admin(f->db, f->pool, "two@example.org", NULL,
                                                         "$2b$12$not-a-hash-of-anything", &other),
                             "setup_done"));
    assert_true(imu_error_is(imu_user_update(f->db, f->pool, id, &demote, &user), "last_admin"));
    assert_true(imu_error_is(imu_user_update(f->db, f->pool, id, &stop, &user), "last_admin"));
    assert_true(imu_error_is(imu_user_delete(f->db, f->pool, id, NULL), "last_admin"));
    assert_no_error(imu_user_create(f->db, f->pool, "two@example.org", NULL,
                                    "$2b$12$not-a-hash-of-anything", 1, 0, &other));
    assert_true(imu_error_is(imu_user_create(f->db, f->pool, "two@example.org", NULL,
                                             "$2b$12$not-a-hash-of-anything", 1, 0, &other),
                             "email_taken"));
    assert_no_error(imu_user_update(f->db, f->pool, id, &demote, &user));
    assert_true(imu_error_is(imu_user_update(f->db, f->pool, IMU_SYSTEM_USER, &stop, &user),
                             "system_user"));
    assert_true(
        imu_error_is(imu_user_delete(f->db, f->pool, IMU_SYSTEM_USER, NULL), "system_user"));
    assert_true(imu_error_is(imu_user_delete(f->db, f->pool, "nobody", NULL), "user_not_found"));
}

static void search_is_literal(void **state)
{
    tempdb *f = *state;
    imu_user_filter filter = {"50%_!", IMU_KEEP, 0, 10, IMU_USERS_ANY};
    apr_int64_t total;
    const char *id;
    imu_rows *rows;

    assert_no_error(imu_user_create(f->db, f->pool, "a@example.org", "Rebate 50%_! off",
                                    "$2b$12$not-a-hash-of-anything", 0, 0, &id));
    assert_no_error(imu_user_create(f->db, f->pool, "b@example.org", "Rebate 500! off",
                                    "$2b$12$not-a-hash-of-anything", 1, 0, &id));
    assert_no_error(imu_user_list(f->db, f->pool, &filter, &rows, &total));
    assert_int_equal(total, 1);
    assert_string_equal(imu_text(rows, 0, "email"), "a@example.org");
    filter = (imu_user_filter){"REBATE", 1, 0, 10, IMU_USERS_ANY};
    assert_no_error(imu_user_list(f->db, f->pool, &filter, &rows, &total));
    assert_int_equal(total, 1);
    assert_string_equal(imu_text(rows, 0, "email"), "b@example.org");
    filter = (imu_user_filter){NULL, IMU_KEEP, 1, 1, IMU_USERS_ANY};
    assert_no_error(imu_user_list(f->db, f->pool, &filter, &rows, &total));
    assert_int_equal(total, 2);
    assert_int_equal(rows->count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tempdb_setup, tempdb_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_tells_who),
        TEST(a_session_asked_for_again_is_the_same),
        TEST(another_process_ends_a_session_that_was_just_used),
        TEST(what_is_remembered_still_ends_with_time),
        TEST(remembered_ones_last_longer),
        TEST(the_key_is_made_once),
        TEST(a_good_signature_without_a_session_is_nothing),
        TEST(a_role_in_the_token_counts_for_nothing),
        TEST(signing_out_ends_one_session),
        TEST(renewal_keeps_the_session_and_the_old_token),
        TEST(a_new_password_leaves_one_new_token),
        TEST(what_an_administrator_does_counts_at_once),
        TEST(a_left_over_session_opens_nothing),
        TEST(idle_sessions_end),
        TEST(activity_is_written_down_well_before_the_idle_limit),
        TEST(signing_in_to_a_deleted_account_is_refused),
        TEST(what_was_verified_must_still_be_so),
        TEST(tokens_of_one_session_are_known),
        TEST(expired_rows_are_refused_and_purged),
        TEST(sessions_are_listed_and_bounded),
        TEST(a_hostile_user_agent_is_kept_out_or_cut),
        TEST(the_last_administrator_stays),
        TEST(search_is_literal),
    };

    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
