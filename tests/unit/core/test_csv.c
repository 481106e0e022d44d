/* Tables as comma-separated values: what comes in malformed, and what goes out and comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/pool.h"
#include "mod_invokemu/util/csv.h"

#include <string.h>

static json_t *parse(const char *text)
{
    const char *why;
    json_t *rows = imu_csv_objects(pool, text, 3, &why);

    assert_true(!rows == !!why);
    return rows;
}

static void reads(const char *text, json_t *wanted)
{
    json_t *rows = parse(text);

    assert_non_null(wanted);
    assert_true(json_equal(rows, wanted));
    json_decref(rows);
    json_decref(wanted);
}

static void tables(void **state)
{
    (void)state;
    reads("", json_array());
    reads("a,b\n", json_array());
    reads("a,b\r\n1,2\r\n3,4",
          json_pack("[{s:s,s:s},{s:s,s:s}]", "a", "1", "b", "2", "a", "3", "b", "4"));
    reads("\xef\xbb\xbf"
          "a\nx\n",
          json_pack("[{s:s}]", "a", "x"));
    reads("a,b\n\n1\n\r\n", json_pack("[{s:s}]", "a", "1"));
    reads("a,b\n\"x,\"\"y\"\"\r\nz\",\n", json_pack("[{s:s,s:s}]", "a", "x,\"y\"\r\nz", "b", ""));
    reads("a\n\"\"\n", json_array());
    reads("a,b\nsay \"hi\",'t is\n", json_pack("[{s:s,s:s}]", "a", "say \"hi\"", "b", "'t is"));
}

static void malformed(void **state)
{
    static const char *const bad[] = {"a\n\"x",   "a\n\"x\"y\n", "a\n\"x\"\"\n",
                                      "a\n1,2\n", "\"a",         "a\n1\n2\n3\n4\n"};
    char wide[200];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_null(parse(bad[i]));
    memset(wide, ',', sizeof wide - 1);
    wide[sizeof wide - 1] = '\0';
    assert_null(parse(wide));
}

static void there_and_back(void **state)
{
    static const char *const texts[] = {"plain",  "a, b",   "a \"b\"", "two\nlines", "=1+1", "'=1",
                                        "''@x",   "'quote", "-1",      "+",          "\tx",  "\r",
                                        "=\"x\"", "'",      "\"",      "ü\r\n"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        reads(apr_pstrcat(pool, "a,b\n", imu_csv_cell(pool, texts[i]), ",end\n", NULL),
              json_pack("[{s:s,s:s}]", "a", texts[i], "b", "end"));
    assert_string_equal(imu_csv_cell(pool, "=1+1"), "'=1+1");
    assert_string_equal(imu_csv_cell(pool, "@a,b"), "\"'@a,b\"");
    assert_string_equal(imu_csv_cell(pool, "a-b"), "a-b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables),
        cmocka_unit_test(malformed),
        cmocka_unit_test(there_and_back),
    };

    return cmocka_run_group_tests(tests, pool_setup, pool_teardown);
}
