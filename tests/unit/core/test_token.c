/* Tokens, point by point of RFC 8725 where it applies to one issuer with one key. */
#include "tests/unit/core/tempdb.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "mod_invokemu/auth/core_token.h"
#include "mod_invokemu/util/ids.h"

#define KEY    "0123456789abcdef0123456789abcdef"
#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define NOW    apr_time_from_sec(1700000000)

static imu_token sample(void)
{
    return (imu_token){.user_id = "u-1",
                       .email = "a@example.org",
                       .is_admin = 0,
                       .remember = 1,
                       .sid = "the-session",
                       .epoch = 3,
                       .issued_at = NOW,
                       .expires_at = NOW + apr_time_from_sec(3600)};
}

/** A token of any header and claims, signed as a forger with the key would, by another
 * implementation of HMAC. */
static const char *forge(apr_pool_t *p, const char *key, const char *header, const char *claims,
                         const EVP_MD *md)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    const char *head = apr_pstrcat(p, imu_base64url(p, header, strlen(header)), ".",
                                   imu_base64url(p, claims, strlen(claims)), NULL);

    HMAC(md, key, (int)strlen(key), (const unsigned char *)head, strlen(head), mac, &len);
    return apr_pstrcat(p, head, ".", imu_base64url(p, mac, len), NULL);
}

static const char *claims_with(apr_pool_t *p, const char *change)
{
    json_t *c = json_pack("{s:s,s:s,s:s,s:s,s:s,s:b,s:b,s:s,s:i,s:I,s:I}", "iss", "invokemu", "aud",
                          "invokemu", "sub", "u-1", "user_id", "u-1", "email", "a@example.org",
                          "is_admin", 0, "remember_me", 0, "sid", "s", "epoch", 0, "iat",
                          (json_int_t)1700000000, "exp", (json_int_t)1700003600);
    json_t *patch = json_loads(change, 0, NULL);
    char *text;
    const char *kept;

    assert_non_null(patch);
    json_object_update(c, patch);
    text = json_dumps(c, JSON_COMPACT);
    kept = apr_pstrdup(p, text);
    free(text);
    json_decref(c);
    json_decref(patch);
    return kept;
}

static const char *read_at(apr_pool_t *p, const char *token, apr_time_t now)
{
    imu_token t;

    return imu_token_read(p, KEY, token, now, &t);
}

static void refused(apr_pool_t *p, const char *token, const char *why)
{
    const char *got = read_at(p, token, NOW);

    assert_non_null(got);
    if (why)
        assert_string_equal(got, why);
}

static void a_round_trip(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;
    imu_token in = sample(), out;
    const char *text = imu_token_sign(p, KEY, &in);

    assert_non_null(text);
    assert_null(imu_token_read(p, KEY, text, NOW, &out));
    assert_string_equal(out.user_id, "u-1");
    assert_string_equal(out.sid, "the-session");
    assert_int_equal(out.epoch, 3);
    assert_int_equal(out.remember, 1);
    assert_int_equal(out.issued_at, in.issued_at);
    assert_int_equal(out.expires_at, in.expires_at);
}

static void our_hmac_is_the_standard_one(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;
    const char *long_key =
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef-longer-than-a-block";
    imu_token t;

    assert_null(
        imu_token_read(p, KEY, forge(p, KEY, HEADER, claims_with(p, "{}"), EVP_sha256()), NOW, &t));
    assert_null(imu_token_read(
        p, long_key, forge(p, long_key, HEADER, claims_with(p, "{}"), EVP_sha256()), NOW, &t));
}

/* 3.1 and 3.2: the algorithm is ours to choose. */
static void the_algorithm_is_pinned(void **state)
{
    static const char *const headers[] = {"{\"alg\":\"none\",\"typ\":\"JWT\"}",
                                          "{\"alg\":\"None\",\"typ\":\"JWT\"}",
                                          "{\"alg\":\"HS384\",\"typ\":\"JWT\"}",
                                          "{\"alg\":\"RS256\",\"typ\":\"JWT\"}",
                                          "{\"alg\":\"hs256\",\"typ\":\"JWT\"}",
                                          "{\"typ\":\"JWT\"}",
                                          "{}"};
    apr_pool_t *p = ((tempdb *)*state)->pool;
    const char *claims = claims_with(p, "{}");

    for (unsigned i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        const char *signed_one = forge(p, KEY, headers[i], claims, EVP_sha256());

        refused(p, signed_one, "another header");
        refused(
            p,
            apr_pstrmemdup(p, signed_one, (apr_size_t)(strrchr(signed_one, '.') - signed_one) + 1),
            "another header");
    }
    refused(p, forge(p, KEY, HEADER, claims, EVP_sha384()), "signature malformed");
    refused(p, forge(p, KEY, HEADER, claims, EVP_sha512()), "signature malformed");
}

/* 3.3: every cryptographic operation is checked, and the token refused as a whole. */
static void a_wrong_signature_is_refused(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;
    imu_token in = sample();
    char *text = apr_pstrdup(p, imu_token_sign(p, KEY, &in));
    size_t n = strlen(text);

    assert_null(read_at(p, text, NOW));
    refused(
        p,
        forge(p, "another key, just as long as ours", HEADER, claims_with(p, "{}"), EVP_sha256()),
        "signature wrong");
    for (size_t i = 0; i < n; i++) {
        char kept = text[i];

        text[i] = kept == 'A' ? 'B' : 'A';
        refused(p, text, NULL);
        text[i] = kept;
    }
    for (size_t i = 0; i < n; i++)
        refused(p, apr_pstrmemdup(p, text, i), NULL);
    refused(p, apr_pstrcat(p, text, "A", NULL), NULL);
    refused(p, apr_pstrcat(p, text, ".", NULL), NULL);
    refused(p, apr_pstrcat(p, text, "=", NULL), NULL);
    refused(p, apr_pstrcat(p, text, ".", strrchr(text, '.') + 1, NULL), "not three parts");
}

/* 3.5: no key of less than 256 bits is used at all. */
static void short_keys_are_not_used(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;
    imu_token in = sample(), out;

    assert_null(imu_token_sign(p, "short", &in));
    assert_null(imu_token_sign(p, "", &in));
    assert_non_null(
        imu_token_read(p, "", forge(p, "", HEADER, claims_with(p, "{}"), EVP_sha256()), NOW, &out));
}

/* 3.7, and section 2 of RFC 7515: one spelling of one token, in UTF-8, with every name once. */
static void only_the_canonical_spelling_counts(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;
    const char *good = forge(p, KEY, HEADER, claims_with(p, "{}"), EVP_sha256());
    char *last = apr_pstrdup(p, good), *c = last + strlen(last) - 1;
    static const char *const broken[] = {"",
                                         "null",
                                         "[]",
                                         "\"text\"",
                                         "{",
                                         "{\"iss\":\"invokemu\",\"iss\":\"invokemu\"}",
                                         "{\"iss\":\"\xff\"}"};

    assert_null(read_at(p, good, NOW));
    /* 32 bytes leave four unused bits in the last character: set one of them. */
    *c = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        [(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", *c) -
          "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") |
         1];
    refused(p, last, "signature malformed");
    for (unsigned i = 0; i < sizeof broken / sizeof broken[0]; i++)
        refused(p, forge(p, KEY, HEADER, broken[i], EVP_sha256()), NULL);
    assert_null(read_at(p, forge(p, KEY, HEADER, claims_with(p, "{}"), EVP_sha256()), NOW));
    refused(p,
            forge(p, KEY, HEADER, apr_pstrcat(p, "{\"sid\":\"s\",", claims_with(p, "{}") + 1, NULL),
                  EVP_sha256()),
            "claims malformed");
    refused(p, apr_pstrcat(p, " ", good, NULL), NULL);
    refused(p, apr_pstrcat(p, good, " ", NULL), NULL);
}

/* 3.8: issuer and subject. */
static void issuer_and_subject_are_checked(void **state)
{
    static const char *const changes[] = {
        "{\"iss\":\"somebody\"}", "{\"iss\":null}", "{\"iss\":[\"invokemu\"]}",
        "{\"sub\":\"u-2\"}",      "{\"sub\":null}", "{\"user_id\":\"u-2\"}",
        "{\"user_id\":7}",        "{\"sid\":\"\"}", "{\"sid\":null}"};
    apr_pool_t *p = ((tempdb *)*state)->pool;

    for (unsigned i = 0; i < sizeof changes / sizeof changes[0]; i++)
        refused(p, forge(p, KEY, HEADER, claims_with(p, changes[i]), EVP_sha256()), NULL);
}

/* 3.9: audience. */
static void the_audience_is_checked(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;

    refused(p, forge(p, KEY, HEADER, claims_with(p, "{\"aud\":\"elsewhere\"}"), EVP_sha256()),
            "another audience");
    refused(p, forge(p, KEY, HEADER, claims_with(p, "{\"aud\":null}"), EVP_sha256()),
            "another audience");
}

/* 3.10: nothing in the header is followed. 3.11 and 3.12: a token of another kind is none of ours.
 */
static void headers_of_other_kinds_are_refused(void **state)
{
    static const char *const headers[] = {
        "{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"HS256\"}",
        "{\"typ\":\"JWT\",\"alg\":\"HS256\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"../../etc/passwd\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"jku\":\"https://example.org/keys\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"x5u\":\"https://example.org/cert\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"zip\":\"DEF\"}",
        "{\"alg\":\"dir\",\"enc\":\"A128GCM\"}",
    };
    apr_pool_t *p = ((tempdb *)*state)->pool;

    for (unsigned i = 0; i < sizeof headers / sizeof headers[0]; i++)
        refused(p, forge(p, KEY, headers[i], claims_with(p, "{}"), EVP_sha256()), "another header");
}

static void times_are_checked(void **state)
{
    static const char *const changes[] = {"{\"exp\":null}",
                                          "{\"exp\":\"1800000000\"}",
                                          "{\"exp\":1800000000.5}",
                                          "{\"iat\":null}",
                                          "{\"epoch\":null}",
                                          "{\"exp\":-1}",
                                          "{\"exp\":9223372036854775807}",
                                          "{\"iat\":1700000100}",
                                          "{\"nbf\":1700000100}",
                                          "{\"nbf\":\"1\"}"};
    apr_pool_t *p = ((tempdb *)*state)->pool;
    imu_token in = sample();
    const char *text = imu_token_sign(p, KEY, &in);

    for (unsigned i = 0; i < sizeof changes / sizeof changes[0]; i++)
        refused(p, forge(p, KEY, HEADER, claims_with(p, changes[i]), EVP_sha256()), NULL);
    assert_null(read_at(p, text, in.expires_at - 1));
    assert_string_equal(read_at(p, text, in.expires_at), "expired");
    assert_null(read_at(p, text, NOW - apr_time_from_sec(30)));
    assert_string_equal(read_at(p, text, NOW - apr_time_from_sec(120)), "from the future");
}

static void the_size_is_bounded(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;
    char *big = apr_palloc(p, 3001);
    const char *claims;

    memset(big, 'x', 3000);
    big[3000] = '\0';
    refused(p, big, "too long");
    claims = claims_with(p, apr_psprintf(p, "{\"email\":\"%s\"}", big));
    refused(p, forge(p, KEY, HEADER, claims, EVP_sha256()), "too long");
    refused(p, "", NULL);
    refused(p, "..", NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tempdb_setup, tempdb_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_round_trip),
        TEST(our_hmac_is_the_standard_one),
        TEST(the_algorithm_is_pinned),
        TEST(a_wrong_signature_is_refused),
        TEST(short_keys_are_not_used),
        TEST(only_the_canonical_spelling_counts),
        TEST(issuer_and_subject_are_checked),
        TEST(the_audience_is_checked),
        TEST(headers_of_other_kinds_are_refused),
        TEST(times_are_checked),
        TEST(the_size_is_bounded),
    };

    return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
