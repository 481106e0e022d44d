/* What may be put into the queue is decided when it is stored, whoever the request was let in as.
 */
#include "tests/unit/core/tempdb.h"

#include <string.h>

#include "mod_invokemu/store/queue.h"
#include "mod_invokemu/store/queue_batch.h"
#include "mod_invokemu/store/users.h"

/* An account, and a request of its person that was let in. */
static imu_queue_scope let_in(tempdb *t, const char *email, int admin)
{
    imu_identity *who = apr_pcalloc(t->pool, sizeof *who);

    who->via = IMU_VIA_BEARER;
    who->is_admin = admin;
    assert_no_error(imu_user_create(t->db, t->pool, email, NULL, "hash", admin, 0, &who->user_id));
    return (imu_queue_scope){.db = t->db, .p = t->pool, .who = who, .queue_id = "default"};
}

static void change(tempdb *t, const imu_queue_scope *s, int admin, int active)
{
    const imu_user_change to = {
        .is_admin = admin, .is_active = active, .must_change_password = IMU_KEEP};
    imu_rows *user;

    assert_no_error(imu_user_update(t->db, t->pool, s->who->user_id, &to, &user));
}

static imu_err *enqueue(const imu_queue_scope *s, int runs, json_t **result)
{
    json_t *body =
        imu_json_own(s->p, json_pack("{s:{s:i, s:{s:s, s:{s:{s:s, s:s, s:s}}, s:[]}}}", "batch",
                                     "runs", runs, "graph", "id", "g", "nodes", "a", "id", "a",
                                     "type", "string", "value", "x", "edges"));
    imu_batch batch;

    assert_non_null(body);
    assert_no_error(imu_batch_parse(s->p, body, &batch));
    return imu_batch_enqueue(s, &batch, result);
}

static int waiting(tempdb *t)
{
    int n = 0;
    imu_rows *rows;

    assert_no_error(imu_db_select(t->db, t->pool, &rows, "queue_counts", "ss", "", "default"));
    for (int i = 0; i < rows->count; i++)
        if (strcmp(imu_text(rows, i, "status"), "pending") == 0)
            n += (int)imu_int(rows, i, "n");
    return n;
}

static void test_a_batch_of_who_was_suspended_meanwhile(void **state)
{
    tempdb *t = *state;
    imu_queue_scope s = let_in(t, "ann@example.com", 0);
    json_t *result;

    assert_no_error(enqueue(&s, 2, &result));
    assert_int_equal(waiting(t), 2);
    change(t, &s, IMU_KEEP, 0);
    assert_true(imu_error_is(enqueue(&s, 1, &result), "session_ended"));
    /* Of several slices none stays. */
    assert_true(imu_error_is(enqueue(&s, 900, &result), "session_ended"));
    assert_int_equal(waiting(t), 2);
}

static void test_running_again_by_who_was_demoted_meanwhile(void **state)
{
    tempdb *t = *state;
    imu_queue_scope owner = let_in(t, "ann@example.com", 0);
    imu_queue_scope admin = let_in(t, "root@example.com", 1);
    imu_queue_scope other = let_in(t, "other@example.com", 1);
    const imu_queue_filter all = {0};
    imu_queue_change done;
    json_t *result, *ids;

    assert_no_error(enqueue(&owner, 1, &result));
    ids = json_object_get(result, "item_ids");
    assert_no_error(imu_queue_cancel(&owner, &all, &done));
    assert_no_error(imu_queue_retry(&other, ids, &done));
    assert_int_equal(waiting(t), 1);
    change(t, &admin, 0, IMU_KEEP);
    assert_true(imu_error_is(imu_queue_retry(&admin, ids, &done), "not_yours"));
    change(t, &owner, IMU_KEEP, 0);
    assert_true(imu_error_is(imu_queue_retry(&other, ids, &done), "owner_suspended"));
    assert_int_equal(json_array_size(done.item_ids), 0);
    assert_int_equal(waiting(t), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_batch_of_who_was_suspended_meanwhile, tempdb_setup,
                                        tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_running_again_by_who_was_demoted_meanwhile,
                                        tempdb_setup, tempdb_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
