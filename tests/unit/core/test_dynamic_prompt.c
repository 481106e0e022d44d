#include "tests/unit/core/tempdb.h"
#include "tests/unit/pool.h"

#include <string.h>

#include "mod_invokemu/util/dynamic_prompt.h"

/* The prompts as one text, "/" between them, and "!" where there was an error. */
static const char *prompts(const char *prompt, int max, const uint64_t *seed)
{
    const char *error, *all = "";
    json_t *list = imu_dynamic_prompts(pool, prompt, max, seed, &error), *one;
    size_t i;

    assert_non_null(list);
    json_array_foreach (list, i, one)
        all = apr_pstrcat(pool, all, i ? "/" : "", json_string_value(one), NULL);
    json_decref(list);
    return error ? apr_pstrcat(pool, all, "!", NULL) : all;
}

static void test_combinations(void **state)
{
    static const struct {
        const char *prompt, *expected;
    } cases[] = {
        {"", ""},
        {"a cat", "a cat"},
        {"a {red|blue} {cat|dog}", "a red cat/a red dog/a blue cat/a blue dog"},
        {"{a|{b|c} d}!", "a!/b d!/c d!"},
        {"{|very }big", "big/very big"},
        {"{a|a|b}", "a/b"},
        {"{2$$ and $$A|B|C}", "A and B/A and C/B and A/B and C/C and A/C and B"},
        {"{2$$|$$A|B}", "A|B/B|A"},
        {"{2$$A|B}", "A,B/B,A"},
        {"{1-2$$A|B}", "A/B/A,B/B,A"},
        {"{-1$$A|B}.", "./A./B."},
        {"{2-$$A|B}", "A,B/B,A"},
        {"{5$$A|B}", "A,B/B,A"},
        {"{2-1$$A|B}", "A/B/A,B/B,A"},
        {"{2$$x{1|2}|y}", "x1,y/x2,y/y,x1/y,x2"},
        {"{2$${a|b}|c}", "a,c/b,c/c,a/c,b"},
        {"{0.5::A|2::B}", "A/B"},
        {"{2:A|B::C}", "2:A/B::C"},
        {"costs {5$|6}", "costs 5$/costs 6"},
        {"a | b } c", "a | b } c"},
        {"\\{a|b\\} (x:1.2) \\(y\\)", "{a|b} (x:1.2) \\(y\\)"},
        {"__colour__ {a|b}", "__colour__ a/__colour__ b"},
        {"{}", ""},
        {"{a", "{a!"},
        {"a {b|{c}", "a {b|{c}!"},
        {"${x=1}", "${x=1}!"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(prompts(cases[i].prompt, 100, NULL), cases[i].expected);
    assert_string_equal(prompts("{a|b|c}{d|e}", 3, NULL), "ad/ae/bd");
}

static void test_random(void **state)
{
    uint64_t seed = 7, other = 8;
    const char *prompt = "{a|b|c|d|e} {2$$f|g|h|i}";

    (void)state;
    assert_string_equal(prompts(prompt, 20, &seed), prompts(prompt, 20, &seed));
    assert_string_not_equal(prompts(prompt, 20, &seed), prompts(prompt, 20, &other));
    assert_string_equal(prompts("{0::a|1::b}", 5, &seed), "b/b/b/b/b");
    assert_string_equal(prompts("{0::a}", 2, &seed), "a/a");
    assert_string_equal(prompts("{0$$a|b}x", 2, &seed), "x/x");
}

/* What would be endless, or exhaust memory or the stack, ends. */
static void test_bounds(void **state)
{
    static const char many[] = "{1$$a|b|c|d|e|f|g|h|i|j}{a|b|c|d|e|f|g|h|i|j}{a|b|c|d|e|f|g|h|i|j}";
    char *text = apr_pcalloc(pool, 40001);
    uint64_t seed = 1;
    const char *error;
    json_t *list;

    (void)state;
    for (int i = 0; i < 100; i++)
        memcpy(text + 9 * i, "{a|b|c|d}", 9);
    list = imu_dynamic_prompts(pool, text, 10000, NULL, &error);
    assert_null(error);
    assert_int_equal(json_array_size(list), 10000);
    json_decref(list);
    memset(text, '{', 10000);
    assert_non_null(strchr(prompts(text, 10, NULL), '!'));
    for (int i = 0; i < 10000; i++)
        memcpy(text + 2 * i, "{}", 2);
    assert_non_null(strchr(prompts(text, 10, NULL), '!'));
    /* Hundreds of choices that come to nothing. */
    memcpy(text, "{400-$$", 8);
    for (int i = 0; i < 400; i++)
        apr_snprintf(text + strlen(text), 20, "{0$$%d}|", i);
    text[strlen(text) - 1] = '}';
    list = imu_dynamic_prompts(pool, text, 10000, &seed, &error);
    assert_null(error);
    assert_in_range(json_array_size(list), 1, 9999);
    json_decref(list);
    memset(text, 'x', 19000);
    memcpy(text + 19000, many, sizeof many);
    list = imu_dynamic_prompts(pool, text, 10000, NULL, &error);
    assert_in_range(json_array_size(list), 1, 300);
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_combinations),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests_name("dynamic_prompt", tests, pool_setup, pool_teardown);
}
