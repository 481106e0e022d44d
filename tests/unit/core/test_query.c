/* The query string and the Cookie header: what comes out, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/pool.h"
#include "mod_invokemu/util/query.h"

#include "mod_invokemu/auth/core_cookie.h"

static void splits(void **state)
{
    const imu_query_arg *list;

    (void)state;
    assert_int_equal(imu_query_split(pool, NULL, 5, &list), 0);
    assert_int_equal(imu_query_split(pool, "", 5, &list), 0);
    assert_int_equal(imu_query_split(pool, "&=x&&", 5, &list), 0);
    assert_int_equal(imu_query_split(pool, "a=1&%62+c=%e2%82%AC+x=y&a", 5, &list), 3);
    assert_string_equal(list[0].name, "a");
    assert_string_equal(list[0].value, "1");
    assert_string_equal(list[1].name, "b c");
    assert_string_equal(list[1].value, "\xe2\x82\xac x=y");
    assert_string_equal(list[2].name, "a");
    assert_string_equal(list[2].value, "");
}

static void refuses(void **state)
{
    static const char *const broken[] = {"a=%",    "a=%4",  "a=1%4&b=1", "%zz=1", "a=%4g",
                                         "a=%00x", "a=%ff", "a=\xff",    "a=%01"};
    const imu_query_arg *list = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        assert_int_equal(imu_query_split(pool, broken[i], 5, &list), IMU_QUERY_BROKEN);
    assert_int_equal(imu_query_split(pool, "a&b&c", 2, &list), IMU_QUERY_MANY);
    assert_null(list);
    assert_int_equal(imu_query_split(pool, "a&b&c", 3, &list), 3);
}

static void cookies(void **state)
{
    (void)state;
    assert_null(imu_cookie_find(pool, NULL, "a"));
    assert_null(imu_cookie_find(pool, "", "a"));
    assert_null(imu_cookie_find(pool, "a=", "a"));
    assert_null(imu_cookie_find(pool, "aa=1; ba=2; a", "a"));
    assert_null(imu_cookie_find(pool, "a=1; b=2; a=1", "a"));
    assert_string_equal(imu_cookie_find(pool, "b=2;a=1=2 3; ;c", "a"), "1=2 3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(splits), cmocka_unit_test(refuses),
                                       cmocka_unit_test(cookies)};

    return cmocka_run_group_tests(tests, pool_setup, pool_teardown);
}
