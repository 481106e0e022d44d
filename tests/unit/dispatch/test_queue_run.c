/* The queue as the dispatcher runs it: turns, claims that two can't both have, leases, and what is
 * kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <apr_strings.h>

#include "mod_invokemu/store/queue_run.h"
#include "mod_invokemu/util/ids.h"
#include "tests/unit/core/tempdb.h"

static void sql(tempdb *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void sql(tempdb *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    assert_int_equal(
        apr_dbd_query(t->db->driver, t->db->handle, &n, apr_pvsprintf(t->pool, fmt, ap)), 0);
    va_end(ap);
}

static void person(tempdb *t, const char *id)
{
    sql(t,
        "INSERT INTO users (user_id, email, password_hash, created_at, updated_at) VALUES ('%s', "
        "'%s@x', '*', '', '')",
        id, id);
}

static void job(tempdb *t, int id, const char *owner, int priority)
{
    sql(t,
        "INSERT INTO session_queue (item_id, queue_id, batch_id, session_id, user_id, status, "
        "priority, session, created_at, updated_at)"
        " VALUES (%d, 'default', 'b', 's%d', '%s', 'pending', %d, '{}', '', '')",
        id, id, owner, priority);
}

/* Serves everything there is; the ids in the order of service. */
static const char *serve_all(tempdb *t, int fifo)
{
    const char *served = "";

    for (;;) {
        apr_int64_t id;
        imu_job *claimed;

        assert_no_error(imu_run_next(t->db, t->pool, fifo, &id));
        if (!id)
            return served;
        assert_no_error(imu_run_claim(t->db, t->pool, "me", id, NULL, &claimed));
        assert_non_null(claimed);
        assert_int_equal(claimed->item_id, id);
        served = apr_psprintf(t->pool, "%s %" APR_INT64_T_FMT, served, id);
        apr_sleep(2000); /* turns are told apart by milliseconds */
    }
}

static void people_and_jobs(tempdb *t)
{
    person(t, "ann");
    person(t, "bob");
    person(t, "cat");
    for (int i = 1; i <= 4; i++)
        job(t, i, "ann", 0);
    job(t, 5, "bob", 0);
    job(t, 6, "bob", 9); /* before his own 5, not before anybody else's */
    job(t, 7, "cat", 3);
}

static void test_people_take_turns(void **state)
{
    people_and_jobs(*state);
    assert_string_equal(serve_all(*state, 0), " 1 6 7 2 5 3 4");
}

static void test_fifo(void **state)
{
    people_and_jobs(*state);
    assert_string_equal(serve_all(*state, 1), " 1 2 3 4 6 5 7");
}

static void test_jobs_of_a_suspended_account_wait(void **state)
{
    tempdb *t = *state;

    people_and_jobs(t);
    sql(t, "UPDATE users SET is_active = 0 WHERE user_id = 'ann'");
    assert_string_equal(serve_all(t, 0), " 6 7 5");
    sql(t, "UPDATE users SET is_active = 1 WHERE user_id = 'ann'");
    assert_string_equal(serve_all(t, 1), " 1 2 3 4");
}

/* How many jobs come before each, "-" for those without a place. */
static const char *places(tempdb *t, int fifo)
{
    const char *told = "";
    imu_rows *rows;

    assert_no_error(imu_run_places(t->db, t->pool, fifo, "default", NULL, &rows));
    for (int i = 0; i < rows->count; i++) {
        const char *n = imu_text(rows, i, "jobs_before");

        told = apr_pstrcat(t->pool, told, " ", n ? n : "-", NULL);
    }
    return told;
}

static void test_held_jobs_keep_their_place_out_of_the_way(void **state)
{
    tempdb *t = *state;
    imu_rows *models;
    int held;

    people_and_jobs(t);
    assert_no_error(imu_run_hold(t->db, t->pool, 1, "model", &held));
    assert_true(held);
    assert_no_error(imu_run_hold(t->db, t->pool, 6, "model", &held));
    assert_string_equal(places(t, 0), " - 0 3 4 1 - 2");
    assert_string_equal(places(t, 1), " - 0 1 2 3 - 4");
    assert_string_equal(serve_all(t, 0), " 2 5 7 3 4");
    assert_no_error(imu_run_hold(t->db, t->pool, 2, "model", &held));
    assert_false(held);
    assert_no_error(imu_run_held_for(t->db, t->pool, &models));
    assert_int_equal(models->count, 1);
    assert_string_equal(imu_text(models, 0, "held_for"), "model");
    assert_no_error(imu_run_unhold(t->db, t->pool, "another"));
    assert_string_equal(serve_all(t, 1), "");
    assert_no_error(imu_run_unhold(t->db, t->pool, "model"));
    assert_string_equal(serve_all(t, 1), " 1 6");
    assert_no_error(imu_run_held_for(t->db, t->pool, &models));
    assert_int_equal(models->count, 0);
}

static void test_turns_survive(void **state)
{
    tempdb *t = *state;

    people_and_jobs(t);
    sql(t,
        "INSERT INTO queue_turns (user_id, served_at) VALUES ('ann', '2026-01-02 00:00:00.000')");
    sql(t,
        "INSERT INTO queue_turns (user_id, served_at) VALUES ('bob', '2026-01-01 00:00:00.000')");
    assert_string_equal(serve_all(t, 0), " 7 6 1 5 2 3 4");
}

static void test_paused_queue_hands_out_nothing(void **state)
{
    tempdb *t = *state;

    people_and_jobs(t);
    job(t, 20, "cat", 0);
    sql(t, "UPDATE session_queue SET queue_id = 'other' WHERE item_id = 20");
    sql(t, "INSERT INTO queue_state (queue_id, is_paused, updated_at) VALUES ('default', 1, '')");
    assert_string_equal(serve_all(t, 0), "");
    assert_string_equal(serve_all(t, 1), "");
    sql(t, "UPDATE queue_state SET is_paused = 0");
    assert_string_equal(serve_all(t, 1), " 1 2 3 4 6 5 7 20");
}

static void test_slices_of_an_unfinished_batch_wait_and_are_swept(void **state)
{
    tempdb *t = *state;
    int gone;

    people_and_jobs(t);
    sql(t, "UPDATE session_queue SET queue_id = '/abc' WHERE user_id = 'ann'");
    assert_string_equal(serve_all(t, 0), " 6 7 5");
    sql(t, "UPDATE session_queue SET created_at = '%s' WHERE item_id <> 2", imu_now(t->pool));
    assert_no_error(imu_run_prune_history(t->db, t->pool, 100, &gone));
    assert_int_equal(gone, 1);
    sql(t, "UPDATE session_queue SET queue_id = 'default' WHERE user_id = 'ann'");
    assert_string_equal(serve_all(t, 1), " 1 3 4");
}

static void test_a_job_left_in_good_order_is_known(void **state)
{
    tempdb *t = *state;
    apr_array_header_t *jobs;
    imu_job *claimed;

    person(t, "ann");
    for (int i = 1; i <= 2; i++) {
        job(t, i, "ann", 0);
        assert_no_error(imu_run_claim(t->db, t->pool, "me", i, NULL, &claimed));
    }
    assert_no_error(imu_run_leave(t->db, t->pool, 2, "another attempt"));
    assert_no_error(imu_run_leave(t->db, t->pool, 2, claimed->run_id));
    for (int again = 0; again < 2; again++) {
        assert_no_error(imu_run_take_over(t->db, t->pool, "me", &jobs));
        assert_int_equal(jobs->nelts, 2);
        assert_int_equal(APR_ARRAY_IDX(jobs, 0, imu_job *)->left, 0);
        assert_int_equal(APR_ARRAY_IDX(jobs, 1, imu_job *)->left, !again);
    }
}

static void test_only_one_claims(void **state)
{
    tempdb *t = *state;
    imu_db *other = tempdb_another(t);
    imu_job *mine, *theirs, *seen;

    person(t, "ann");
    job(t, 1, "ann", 0);
    assert_no_error(imu_run_claim(t->db, t->pool, "me", 1, "cuda:0", &mine));
    assert_non_null(mine);
    assert_int_equal(mine->attempts, 1);
    assert_no_error(imu_run_claim(other, t->pool, "them", 1, NULL, &theirs));
    assert_null(theirs);
    assert_no_error(imu_run_job(other, t->pool, 1, &seen));
    assert_string_equal(seen->run_id, mine->run_id);
}

static void test_end_is_guarded_by_the_attempt(void **state)
{
    tempdb *t = *state;
    imu_outcome completed = {.status = "completed", .session = "{\"x\":1}"};
    imu_job *claimed, *seen;
    int done, still;

    person(t, "ann");
    job(t, 1, "ann", 0);
    assert_no_error(imu_run_claim(t->db, t->pool, "me", 1, NULL, &claimed));
    assert_no_error(imu_run_end(t->db, t->pool, 1, "another run", &completed, &done));
    assert_int_equal(done, 0);
    assert_no_error(imu_run_still(t->db, t->pool, 1, claimed->run_id, &still));
    assert_int_equal(still, 1);
    assert_no_error(imu_run_end(t->db, t->pool, 1, claimed->run_id, &completed, &done));
    assert_int_equal(done, 1);
    assert_no_error(imu_run_end(t->db, t->pool, 1, claimed->run_id, &completed, &done));
    assert_int_equal(done, 0);
    assert_no_error(imu_run_renew(t->db, t->pool, 1, claimed->run_id, &still));
    assert_int_equal(still, 0);
    assert_no_error(imu_run_job(t->db, t->pool, 1, &seen));
    assert_string_equal(seen->session, "{\"x\":1}");
}

static void test_given_back_counts_unless_refunded(void **state)
{
    tempdb *t = *state;
    imu_job *claimed;
    int done;

    person(t, "ann");
    job(t, 1, "ann", 0);
    assert_no_error(imu_run_claim(t->db, t->pool, "me", 1, NULL, &claimed));
    assert_no_error(imu_run_release(t->db, t->pool, 1, claimed->run_id, 1, &done));
    assert_int_equal(done, 1);
    assert_no_error(imu_run_claim(t->db, t->pool, "me", 1, NULL, &claimed));
    assert_int_equal(claimed->attempts, 1);
    assert_no_error(imu_run_release(t->db, t->pool, 1, claimed->run_id, 0, &done));
    assert_no_error(imu_run_claim(t->db, t->pool, "me", 1, NULL, &claimed));
    assert_int_equal(claimed->attempts, 2);
}

static void picture(tempdb *t, const char *name, const char *origin, int starred)
{
    sql(t,
        "INSERT INTO images (image_name, user_id, image_origin, image_category, width, height, "
        "session_id, starred, created_at, updated_at) VALUES ('%s', 'ann', '%s', 'general', 8, 8, "
        "'s1', %d, '', '')",
        name, origin, starred);
}

static const char *pictures(tempdb *t)
{
    const char *all = "";
    imu_rows *rows;

    for (const char *name = "abcdef"; *name; name++) {
        const char *one = apr_psprintf(t->pool, "%c", *name);

        assert_no_error(imu_db_select(t->db, t->pool, &rows, "image_exists", "s", one));
        if (rows->count)
            all = apr_pstrcat(t->pool, all, one, NULL);
    }
    return all;
}

/* Ann's job makes a picture, is given back, and makes another one. */
static void second_attempt(tempdb *t, const char *status)
{
    imu_outcome outcome = {.status = status};
    imu_job *claimed;
    int done;

    person(t, "ann");
    job(t, 1, "ann", 0);
    job(t, 2, "ann", 0);
    assert_no_error(imu_run_claim(t->db, t->pool, "me", 1, NULL, &claimed));
    picture(t, "a", "internal", 0);
    picture(t, "b", "internal", 1);
    picture(t, "c", "external", 0);
    picture(t, "d", "internal", 0);
    sql(t, "UPDATE images SET session_id = 's2' WHERE image_name = 'd'");
    picture(t, "f", "internal", 0);
    sql(t, "INSERT INTO boards (board_id, board_name, user_id, cover_image_name, created_at, "
           "updated_at) VALUES ('b', 'B', 'ann', 'f', '', '')");
    assert_no_error(imu_run_release(t->db, t->pool, 1, claimed->run_id, 0, &done));
    assert_int_equal(done, 1);
    assert_string_equal(pictures(t), "abcdf");
    assert_no_error(imu_run_claim(t->db, t->pool, "me", 1, NULL, &claimed));
    picture(t, "e", "internal", 0);
    assert_no_error(imu_run_end(t->db, t->pool, 1, claimed->run_id, &outcome, &done));
    assert_int_equal(done, 1);
}

static void test_completed_attempt_replaces_what_the_lost_one_made(void **state)
{
    tempdb *t = *state;
    imu_rows *rows;

    second_attempt(t, "completed");
    /* Starred, uploaded, of another job, a cover: these are not ours to take away. */
    assert_string_equal(pictures(t), "bcdef");
    assert_no_error(imu_db_select(t->db, t->pool, &rows, "deleted_pictures_list", ""));
    assert_int_equal(rows->count, 1);
}

static void test_failed_attempt_replaces_nothing(void **state)
{
    second_attempt(*state, "failed");
    assert_string_equal(pictures(*state), "abcdef");
}

static void test_take_over(void **state)
{
    tempdb *t = *state;
    apr_array_header_t *jobs;
    imu_job *claimed;

    person(t, "ann");
    for (int i = 1; i <= 3; i++) {
        job(t, i, "ann", 0);
        assert_no_error(imu_run_claim(t->db, t->pool, i == 1 ? "me" : "them", i, NULL, &claimed));
    }
    /* One's own left over, and another's whose lease has run out; never another's that is alive. */
    sql(t,
        "UPDATE session_queue SET lease_expires_at = '2020-01-01 00:00:00.000' WHERE item_id = 3");
    assert_no_error(imu_run_take_over(t->db, t->pool, "me", &jobs));
    assert_int_equal(jobs->nelts, 2);
    assert_int_equal(APR_ARRAY_IDX(jobs, 0, imu_job *)->item_id, 1);
    assert_int_equal(APR_ARRAY_IDX(jobs, 1, imu_job *)->item_id, 3);
    assert_string_equal(APR_ARRAY_IDX(jobs, 1, imu_job *)->run_id, claimed->run_id);
    assert_no_error(imu_run_take_over(t->db, t->pool, "them", &jobs));
    assert_int_equal(jobs->nelts, 1);
}

static void test_history_is_kept_for_each_person(void **state)
{
    tempdb *t = *state;
    imu_rows *rows;
    apr_int64_t id;
    int deleted;

    person(t, "ann");
    person(t, "bob");
    for (int i = 1; i <= 10; i++) {
        job(t, i, i <= 7 ? "ann" : "bob", 0);
        if (i != 1)
            sql(t,
                "UPDATE session_queue SET status = 'completed', completed_at = '2026-01-01 "
                "00:00:%02d.000' WHERE item_id = %d",
                i, i);
    }
    assert_no_error(imu_run_prune_history(t->db, t->pool, 2, &deleted));
    assert_int_equal(deleted, 5); /* 2..5 of Ann's, 8 of Bob's */
    assert_no_error(imu_db_select(t->db, t->pool, &rows, "queue_ids_asc", "s", "default"));
    assert_int_equal(rows->count, 5);
    assert_no_error(imu_run_next(t->db, t->pool, 0, &id));
    assert_int_equal(id, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, tempdb_setup, tempdb_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_people_take_turns),
        TEST(test_fifo),
        TEST(test_jobs_of_a_suspended_account_wait),
        TEST(test_held_jobs_keep_their_place_out_of_the_way),
        TEST(test_turns_survive),
        TEST(test_paused_queue_hands_out_nothing),
        TEST(test_slices_of_an_unfinished_batch_wait_and_are_swept),
        TEST(test_a_job_left_in_good_order_is_known),
        TEST(test_only_one_claims),
        TEST(test_end_is_guarded_by_the_attempt),
        TEST(test_given_back_counts_unless_refunded),
        TEST(test_completed_attempt_replaces_what_the_lost_one_made),
        TEST(test_failed_attempt_replaces_nothing),
        TEST(test_take_over),
        TEST(test_history_is_kept_for_each_person),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
