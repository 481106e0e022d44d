#include "tests/unit/core/tempdb.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <apr_strings.h>

#include <apr_time.h>

#include "mod_invokemu/auth/core_password.h"

#define GOOD "Quarrystone58"

static int refused(apr_pool_t *p, const char *password)
{
    imu_err *err = imu_password_check(p, password, 1, "lena.meier@example.org", "Lena Meier");

    return imu_error_is(err, "password_weak") && err->status == 400;
}

static void rules_of_strict_passwords(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;

    assert_null(imu_password_check(p, GOOD, 1, "lena.meier@example.org", "Lena Meier"));
    assert_null(imu_password_check(p, "Kestrel-Harbour-91x", 1, NULL, NULL));
    assert_true(refused(p, ""));
    assert_true(refused(p, "Abcde1!"));
    assert_true(refused(p, "nocapital99!"));
    assert_true(refused(p, "NOSMALL99!!"));
    assert_true(refused(p, "NoDigitsAtAll!"));
    assert_true(refused(p, GOOD "\x07"));
}

static void eight_characters_not_bytes(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;

    assert_true(refused(p, "Aq1\xC3\xA4\xC3\xB6\xC3\xBC"));
    assert_null(
        imu_password_check(p, "Qx7\xC3\xA4\xC3\xB6\xC3\xBC\xC3\x9F\xC3\xA9", 1, NULL, NULL));
}

static void well_known_ones_are_refused(void **state)
{
    static const char *const known[] = {"Password1",  "Passw0rd1", "P@ssw0rd1", "Password123",
                                        "Qwerty123",  "Welcome1",  "Letmein1",  "Iloveyou1",
                                        "Summer2024", "Michael1",  "Trustno1",  "Abcd1234"};
    apr_pool_t *p = ((tempdb *)*state)->pool;

    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!refused(p, known[i]))
            fail_msg("%s is accepted", known[i]);
    }
}

static void the_own_name_is_no_password(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;

    assert_true(refused(p, "Lena.Meier1"));
    assert_null(imu_password_check(p, "Vorwerk.Tannin1", 1, "lena.meier@example.org", NULL));
}

static void at_most_72_bytes_can_be_chosen(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;
    char text[80];
    const char *hash;

    memset(text, 'x', sizeof text);
    memcpy(text, "Q7-kestrel", 10);
    text[72] = '\0';
    assert_null(imu_password_check(p, text, 0, NULL, NULL));
    assert_no_error(imu_password_hash(p, text, &hash));
    assert_true(imu_password_verify(text, hash));
    text[72] = 'y';
    text[73] = '\0';
    assert_true(refused(p, text));
    assert_non_null(imu_password_check(p, text, 0, NULL, NULL));
    assert_false(imu_password_verify(text, hash));
}

/* Another program may have let people choose longer ones, of which bcrypt saw 72 bytes. */
static void longer_ones_match_hashes_of_other_programs(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;
    const char *hash, *foreign;
    char text[80];

    memset(text, 'x', sizeof text);
    text[72] = '\0';
    assert_no_error(imu_password_hash(p, text, &hash));
    foreign = imu_password_hash_foreign(p, hash);
    assert_memory_equal(foreign, "$2y$12$", 7);
    assert_true(imu_password_verify(text, foreign));
    text[72] = 'y';
    text[73] = '\0';
    assert_true(imu_password_verify(text, foreign));
    assert_false(imu_password_verify(text, hash));
    text[71] = 'y';
    assert_false(imu_password_verify(text, foreign));
    /* A letter of two bytes across the end was left out whole. */
    text[71] = '\0';
    assert_no_error(imu_password_hash(p, text, &hash));
    memcpy(text + 71, "\xc3\xa4z", 4);
    assert_true(imu_password_verify(text, imu_password_hash_foreign(p, hash)));
    assert_null(imu_password_hash_foreign(p, "none"));
}

static void a_minimum_without_strict_rules(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;

    assert_null(imu_password_check(p, "a", 0, NULL, NULL));
    assert_non_null(imu_password_check(p, "", 0, NULL, NULL));
    assert_non_null(imu_password_check(p, "a\nb", 0, NULL, NULL));
}

static void hashes_are_bcrypt_of_cost_12_with_fresh_salt(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;
    const char *one, *two;

    assert_no_error(imu_password_hash(p, GOOD, &one));
    assert_no_error(imu_password_hash(p, GOOD, &two));
    assert_int_equal(strlen(one), 60);
    assert_memory_equal(one, "$2b$12$", 7);
    assert_string_not_equal(one, two);
    assert_true(imu_password_verify(GOOD, one));
    assert_false(imu_password_verify("quarrystone58", one));
    assert_false(imu_password_verify("", one));
}

static void a_known_vector(void **state)
{
    (void)state;
    /* From the test program of crypt_blowfish. */
    assert_true(
        imu_password_verify("U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
}

/* Of this thread alone: others may keep the processor busy. */
static apr_interval_time_t time_used(void)
{
    struct timespec now;

    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
    return apr_time_from_sec(now.tv_sec) + now.tv_nsec / 1000;
}

static apr_interval_time_t time_of(const char *hash)
{
    apr_interval_time_t start = time_used();

    assert_false(imu_password_verify("not the password", hash));
    return time_used() - start;
}

static void no_account_takes_as_long_and_matches_nothing(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;
    const char *hash;
    apr_interval_time_t real, none, system;

    assert_no_error(imu_password_hash(p, GOOD, &hash));
    real = time_of(hash);
    none = time_of(NULL);
    system = time_of("*");
    assert_true(none > real / 4 && none < real * 4);
    assert_true(system > real / 4 && system < real * 4);
}

static void generated_ones_follow_the_rules(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;
    const char *last = "";

    for (int i = 0; i < 200; i++) {
        const char *one = imu_password_generate(p);

        assert_int_equal(strlen(one), IMU_PASSWORD_GENERATED);
        assert_null(imu_password_check(p, one, 1, NULL, NULL));
        assert_string_not_equal(one, last);
        last = one;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tempdb_setup, tempdb_teardown)

static void the_length_can_be_raised(void **state)
{
    apr_pool_t *pool = ((tempdb *)*state)->pool;

    imu_password_length_set(20);
    assert_true(imu_error_is(imu_password_check(pool, "Quiet-Harbour-42-L", 1, NULL, NULL),
                             "password_weak"));
    assert_null(imu_password_check(pool, "Quiet-Harbour-42-Lights", 1, NULL, NULL));
    assert_null(imu_password_check(pool, "short", 0, NULL, NULL));
    imu_password_length_set(IMU_PASSWORD_MIN);
}

static void hashes_of_other_programs(void **state)
{
    static const char rest[] = "vO7FIqJY4WDhVYbD/14souQg9Lc51Cqr1kMi9vv/f2dc5u3TUxBM.";
    static const char *const bad[] = {"$2a$12$", "$2b$09$", "$2b$17$", "$2b$1x$",
                                      "$2b$12.", "$1$12$0", "$2y$99$"};
    apr_pool_t *pool = ((tempdb *)*state)->pool;

    assert_string_equal(imu_password_hash_normal(pool, apr_pstrcat(pool, "$2y$12$", rest, NULL)),
                        apr_pstrcat(pool, "$2b$12$", rest, NULL));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_null(imu_password_hash_normal(pool, apr_pstrcat(pool, bad[i], rest, NULL)));
    assert_null(imu_password_hash_normal(pool, "none"));
    assert_null(imu_password_hash_normal(
        pool, "$2b$12$vO7FIqJY4WDhVYbD/14souQg9Lc51Cqr1kMi9vv/f2dc5u3TUx:\n."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rules_of_strict_passwords),
        TEST(eight_characters_not_bytes),
        TEST(well_known_ones_are_refused),
        TEST(the_own_name_is_no_password),
        TEST(at_most_72_bytes_can_be_chosen),
        TEST(longer_ones_match_hashes_of_other_programs),
        TEST(a_minimum_without_strict_rules),
        TEST(hashes_are_bcrypt_of_cost_12_with_fresh_salt),
        TEST(a_known_vector),
        TEST(no_account_takes_as_long_and_matches_nothing),
        TEST(generated_ones_follow_the_rules),
        TEST(the_length_can_be_raised),
        TEST(hashes_of_other_programs),
    };

    return cmocka_run_group_tests_name("password", tests, NULL, NULL);
}
