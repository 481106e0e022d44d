/* A link to choose a password by is looked at, the password is hashed, and only then is it used:
 * what became of it meanwhile counts, and is told as it is. */
#include "tests/unit/core/tempdb.h"

#include "mod_invokemu/store/invitations.h"
#include "mod_invokemu/store/users.h"

#define NETWORK "192.0.2.0"

/* An account with a link to it that has just been looked at. */
static imu_rows *looked_at(tempdb *t, const char **user_id)
{
    imu_rows *user, *account;
    const char *token;

    assert_no_error(
        imu_user_create(t->db, t->pool, "ann@example.com", NULL, "hash", 0, 0, user_id));
    assert_no_error(imu_user_get(t->db, t->pool, *user_id, &user));
    assert_no_error(imu_invitation_create(t->db, t->pool, user, *user_id, 24, &token));
    assert_no_error(imu_invitation_account(t->db, t->pool, token, &account));
    return account;
}

static imu_err *redeem(tempdb *t, const imu_rows *account)
{
    return imu_invitation_redeem(t->db, t->pool, account, "new hash", NETWORK);
}

static void change(tempdb *t, const char *user_id, const char *email, int active)
{
    const imu_user_change to = {.email = email,
                                .is_admin = IMU_KEEP,
                                .is_active = active,
                                .must_change_password = IMU_KEEP};
    imu_rows *user;

    assert_no_error(imu_user_update(t->db, t->pool, user_id, &to, &user));
}

static void test_used_meanwhile(void **state)
{
    tempdb *t = *state;
    const char *user_id;
    imu_rows *account = looked_at(t, &user_id);

    assert_no_error(redeem(t, account));
    assert_true(imu_error_is(redeem(t, account), "link_used"));
}

static void test_ended_meanwhile(void **state)
{
    tempdb *t = *state;
    const char *user_id;
    imu_rows *account = looked_at(t, &user_id);

    assert_no_error(imu_invitation_revoke(t->db, t->pool, user_id));
    assert_true(imu_error_is(redeem(t, account), "link_unknown"));
}

static void test_suspended_meanwhile(void **state)
{
    tempdb *t = *state;
    const char *user_id;
    imu_rows *account = looked_at(t, &user_id);

    change(t, user_id, NULL, 0);
    assert_true(imu_error_is(redeem(t, account), "link_unknown"));
}

static void test_the_address_is_another_ones_meanwhile(void **state)
{
    tempdb *t = *state;
    const char *user_id, *other;
    imu_rows *account = looked_at(t, &user_id);

    change(t, user_id, "moved@example.com", IMU_KEEP);
    assert_no_error(imu_user_create(t->db, t->pool, "ann@example.com", NULL, "hash", 0, 0, &other));
    assert_true(imu_error_is(redeem(t, account), "link_unknown"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_used_meanwhile, tempdb_setup, tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_ended_meanwhile, tempdb_setup, tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_suspended_meanwhile, tempdb_setup, tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_the_address_is_another_ones_meanwhile, tempdb_setup,
                                        tempdb_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
