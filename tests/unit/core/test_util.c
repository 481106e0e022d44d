#include "tests/unit/core/tempdb.h"
#include "tests/unit/pool.h"

#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/auth/core_email.h"
#include "mod_invokemu/util/hosts.h"
#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/person.h"
#include "mod_invokemu/validate.h"

static void test_uuids_are_version_4_and_differ(void **state)
{
    const char *a = imu_uuid4(pool), *b = imu_uuid4(pool);

    (void)state;
    assert_true(imu_is_uuid(a));
    assert_string_not_equal(a, b);
    assert_false(imu_is_uuid("3793cc06-9bce-1adf-8222-2bb2583fc300"));
    assert_false(imu_is_uuid("3793cc06-9bce-4adf-c222-2bb2583fc300"));
    assert_false(imu_is_uuid("3793CC06-9bce-4adf-8222-2bb2583fc300"));
    assert_false(imu_is_uuid("3793cc06-9bce-4adf-8222-2bb2583fc30"));
    assert_false(imu_is_uuid("3793cc06/9bce-4adf-8222-2bb2583fc300"));
    assert_false(imu_is_uuid(NULL));
}

static void test_base64url_is_canonical(void **state)
{
    static const struct {
        const char *bytes, *text;
    } pairs[] = {{"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
                 {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
    static const char *const refused[] = {"Z",    "Zg==", "Zh",   "Zm9",
                                          "Zm+v", "Zm/v", "Zm 9", "Zm9vY"};
    apr_size_t len;

    (void)state;
    for (unsigned i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const unsigned char *back =
            imu_base64url_decode(pool, pairs[i].text, strlen(pairs[i].text), &len);

        assert_string_equal(imu_base64url(pool, pairs[i].bytes, strlen(pairs[i].bytes)),
                            pairs[i].text);
        assert_non_null(back);
        assert_int_equal(len, strlen(pairs[i].bytes));
        assert_memory_equal(back, pairs[i].bytes, len);
    }
    for (unsigned i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_null(imu_base64url_decode(pool, refused[i], strlen(refused[i]), &len));
}

static void test_sha256_of_a_known_text(void **state)
{
    (void)state;
    assert_string_equal(imu_sha256_hex(pool, "abc", 3),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_times_go_out_and_come_back(void **state)
{
    (void)state;
    assert_string_equal(imu_time_text(pool, 0), "1970-01-01 00:00:00.000");
    assert_string_equal(imu_time_text(pool, apr_time_from_sec(1795254061) + 123456),
                        "2026-11-21 09:41:01.123");
    assert_int_equal(imu_time_parse("2026-11-21 09:41:01.123"),
                     apr_time_from_sec(1795254061) + 123000);
    assert_int_equal(imu_time_parse("2026-11-21T09:41:01"), 0);
    assert_int_equal(imu_time_parse("2026-11-21 09:41:01.123Z"), 0);
    assert_int_equal(imu_time_parse(NULL), 0);
}

static void test_clean_text(void **state)
{
    static const char *const clean[] = {"",         "plain",        "tab\tand\r\nlines",
                                        "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\xa6\x8a"};
    static const char *const dirty[] = {
        "\x01",        "a\x7f",        "\xff",         "\xc3",
        "\xc0\xaf",    "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xf0\x9f\xa6"};

    (void)state;
    for (unsigned i = 0; i < sizeof clean / sizeof clean[0]; i++)
        assert_true(imu_is_clean_text(clean[i]));
    for (unsigned i = 0; i < sizeof dirty / sizeof dirty[0]; i++)
        assert_false(imu_is_clean_text(dirty[i]));
}

static void test_names_of_people(void **state)
{
    static const struct {
        const char *given, *stored;
    } names[] = {
        {"Ada", "Ada"},
        {"  Ada Lovelace\t", "Ada Lovelace"},
        {"\xe2\x80\x8b\xc2\xa0"
         "Ada\xef\xbb\xbf",
         "Ada"},
        /* joiners inside a word belong to it */
        {"\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xae", "\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xae"},
        {"<script>", "<script>"},
    };
    static const char *const refused[] = {"   ",
                                          "\xe2\x80\x8b",
                                          "\xe2\x81\xa0 \xef\xbb\xbf",
                                          "\xe3\x85\xa4",
                                          "\xe2\xa0\x80",
                                          "a\nb",
                                          "a\rb",
                                          "a\tb",
                                          "a\x01"
                                          "b",
                                          "a\xc2\x85"
                                          "b",
                                          "a\xe2\x80\xae"
                                          "b",
                                          "a\xe2\x81\xa6"
                                          "b",
                                          "a\xe2\x80\xa8"
                                          "b",
                                          "a\xff"};
    const char *name;
    char *kanji = apr_pcalloc(pool, 3 * (IMU_NAME_MAX + 1) + 1);

    (void)state;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_null(imu_check_person_name(pool, names[i].given, &name));
        assert_string_equal(name, names[i].stored);
    }
    for (unsigned i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_non_null(imu_check_person_name(pool, refused[i], &name));
    for (int i = 0; i < IMU_NAME_MAX; i++)
        strncat(kanji, "\xe7\x95\x8c", 4);
    assert_null(imu_check_person_name(pool, kanji, &name));
    assert_string_equal(name, kanji);
    strncat(kanji, "\xe7\x95\x8c", 4);
    assert_non_null(imu_check_person_name(pool, kanji, &name));
    assert_null(imu_check_person_name(pool, NULL, &name));
    assert_null(name);
    assert_null(imu_check_person_name(pool, "", &name));
    assert_string_equal(name, "");
}

static void test_addresses_are_seen_whole(void **state)
{
    static const char *const refused[] = {"a\xe2\x80\x8b@example.com",
                                          "a@ex\xc2\xad"
                                          "ample.com",
                                          "a\xef\xbb\xbf@example.com",
                                          "a\xe2\x80\xae@example.com",
                                          "a\xc2\xa0@example.com",
                                          "a\n@example.com"};

    (void)state;
    assert_string_equal(imu_email_normal(pool, "J\xc3\xbcrgen@Example.com"),
                        "j\xc3\xbcrgen@example.com");
    for (unsigned i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_null(imu_email_normal(pool, refused[i]));
}

/* The first fault that a check of this body finds, or NULL. */
static const char *fault_of(const char *text, void (*look)(imu_check *, const json_t *))
{
    json_t *body = imu_json_own(pool, json_loads(text, 0, NULL));
    imu_check *c = imu_check_new(pool, "body");
    imu_err *err;

    look(c, body);
    err = imu_check_end(c);
    if (!err)
        return NULL;
    assert_int_equal(err->status, 422);
    return json_string_value(json_object_get(json_array_get(err->fields, 0), "type"));
}

static void look_text(imu_check *c, const json_t *body)
{
    imu_check_text(c, body, "t", IMU_REQUIRED, 2, 4);
}

static void look_number(imu_check *c, const json_t *body)
{
    imu_check_int(c, body, "n", 0, 1, 5, 1);
    imu_check_number(c, body, "x", 0, 0, 1, 0);
    imu_check_bool(c, body, "b", 0, 0);
}

static void look_list(imu_check *c, const json_t *body)
{
    static const char *const words[] = {"up", "down", NULL}, *const known[] = {"l", "w", NULL};

    imu_check_texts(c, body, "l", IMU_NULLABLE, 2, 3);
    imu_check_choice(c, body, "w", 0, words);
    imu_check_only(c, body, known);
}

static void test_visible_text(void **state)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"", ""},
        {"Zo\xc3\xab \xf0\x9f\xa6\x8a \\x1b", "Zo\xc3\xab \xf0\x9f\xa6\x8a \\x1b"},
        {"\x1b[2J\r\n\x7f", "\\x1b[2J\\x0d\\x0a\\x7f"},
        {"\xc2\x9b\x33\xc2\xa0", "\\xc2\\x9b\x33\xc2\xa0"},
        {"a\xe2\x80\xae.\xe2\x82\xac", "a\\xe2\\x80\\xae.\xe2\x82\xac"},
        {"\x9b\xff\xe2\x80", "\\x9b\\xff\\xe2\\x80"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(imu_visible_text(pool, cases[i].text), cases[i].shown);
}

static void test_faults_have_the_right_type(void **state)
{
    static const struct {
        const char *body;
        void (*look)(imu_check *, const json_t *);
        const char *type;
    } cases[] = {
        {"{\"t\":\"abc\"}", look_text, NULL},
        {"{}", look_text, "missing"},
        {"{\"t\":null}", look_text, "null_type"},
        {"{\"t\":5}", look_text, "string_type"},
        {"{\"t\":\"a\"}", look_text, "string_too_short"},
        {"{\"t\":\"abcde\"}", look_text, "string_too_long"},
        {"{\"t\":\"a\\u0001b\"}", look_text, "value_error"},
        {"{\"n\":5,\"x\":0.5,\"b\":true}", look_number, NULL},
        {"{\"n\":6}", look_number, "less_than_equal"},
        {"{\"n\":0}", look_number, "greater_than_equal"},
        {"{\"n\":1.5}", look_number, "int_type"},
        {"{\"x\":\"1\"}", look_number, "float_type"},
        {"{\"x\":2}", look_number, "less_than_equal"},
        {"{\"b\":1}", look_number, "bool_type"},
        {"{\"l\":[\"a\",\"b\"],\"w\":\"up\"}", look_list, NULL},
        {"{\"l\":null}", look_list, NULL},
        {"{\"l\":{}}", look_list, "list_type"},
        {"{\"l\":[\"a\",\"b\",\"c\"]}", look_list, "too_long"},
        {"{\"l\":[1]}", look_list, "string_type"},
        {"{\"l\":[\"abcd\"]}", look_list, "value_error"},
        {"{\"w\":\"left\"}", look_list, "literal_error"},
        {"{\"other\":1}", look_list, "extra_forbidden"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *type = fault_of(cases[i].body, cases[i].look);

        if (!cases[i].type)
            assert_null(type);
        else
            assert_string_equal(type ? type : "accepted", cases[i].type);
    }
}

static void test_long_input_is_not_echoed(void **state)
{
    char *text = apr_pcalloc(pool, 5001);
    json_t *body;
    imu_check *c = imu_check_new(pool, "body");

    (void)state;
    memset(text, 'x', 5000);
    body = imu_json_own(pool, json_pack("{s:s}", "t", text));
    imu_check_text(c, body, "t", IMU_REQUIRED, 1, 10);
    assert_true(
        json_is_null(json_object_get(json_array_get(imu_check_end(c)->fields, 0), "input")));
}

static void test_local_names(void **state)
{
    static const char *const local[] = {"127.0.0.1", "10.0.0.7",    "::1",       "[fe80::1]",
                                        "localhost", "nas",         "NAS.Local", "nas.lan.",
                                        "a.b.home",  "x.home.arpa", "localhost."};
    static const char *const foreign[] = {
        ".",         "evil.example", "127.0.0.1.evil.example", "local.org",
        "1.2.3.4.5", ".local",       "[nas.example]",          "nas.lan.example"};

    (void)state;
    for (unsigned i = 0; i < sizeof local / sizeof local[0]; i++)
        assert_true(imu_host_is_local(local[i]));
    for (unsigned i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        assert_false(imu_host_is_local(foreign[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uuids_are_version_4_and_differ),
        cmocka_unit_test(test_base64url_is_canonical),
        cmocka_unit_test(test_sha256_of_a_known_text),
        cmocka_unit_test(test_times_go_out_and_come_back),
        cmocka_unit_test(test_clean_text),
        cmocka_unit_test(test_names_of_people),
        cmocka_unit_test(test_addresses_are_seen_whole),
        cmocka_unit_test(test_visible_text),
        cmocka_unit_test(test_faults_have_the_right_type),
        cmocka_unit_test(test_long_input_is_not_echoed),
        cmocka_unit_test(test_local_names),
    };

    return cmocka_run_group_tests_name("util", tests, pool_setup, pool_teardown);
}
