#include "mod_invokemu/auth/core_token.h"

#include <string.h>
#include <apr_strings.h>
#include <jansson.h>

#include "mod_invokemu/auth/core_equal.h"
#include "mod_invokemu/util/err.h"
#include "mod_invokemu/util/ids.h"

/* {"alg":"HS256","typ":"JWT"}: the only header there is, compared byte by byte (RFC 8725
 * sections 3.1, 3.2, 3.10, 3.11). */
#define HEADER     "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
#define BLOCK      64
#define DIGEST     32
#define CLOCK_SKEW apr_time_from_sec(60)

static int hex_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static void sha256(apr_pool_t *p, const void *data, apr_size_t len, unsigned char out[DIGEST])
{
    const char *hex = imu_sha256_hex(p, data, len);
    int i;

    for (i = 0; i < DIGEST; i++)
        out[i] = (unsigned char)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
}

/** HMAC-SHA-256 (RFC 2104). */
static void hmac(apr_pool_t *p, const char *key, const char *data, apr_size_t len,
                 unsigned char out[DIGEST])
{
    unsigned char *inner = apr_palloc(p, BLOCK + len), outer[BLOCK + DIGEST], block[BLOCK] = {0};
    apr_size_t key_len = strlen(key);
    int i;

    if (key_len > BLOCK)
        sha256(p, key, key_len, block);
    else
        /* A key, not a text: nothing ends it. */
        memcpy(block, key, key_len); /* NOLINT(bugprone-not-null-terminated-result) */
    for (i = 0; i < BLOCK; i++) {
        inner[i] = block[i] ^ 0x36;
        outer[i] = block[i] ^ 0x5C;
    }
    memcpy(inner + BLOCK, data, len);
    sha256(p, inner, BLOCK + len, outer + BLOCK);
    sha256(p, outer, sizeof outer, out);
}

const char *imu_token_sign(apr_pool_t *p, const char *key, const imu_token *token)
{
    unsigned char mac[DIGEST];
    const char *head;
    char *text;
    json_t *claims;

    if (strlen(key) < IMU_TOKEN_KEY_MIN)
        return NULL;
    claims = imu_json_own(
        p, json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:s, s:I, s:I, s:I}", "iss",
                     IMU_TOKEN_ISSUER, "aud", IMU_TOKEN_ISSUER, "sub", token->user_id, "user_id",
                     token->user_id, "email", token->email ? token->email : "", "is_admin",
                     token->is_admin, "remember_me", token->remember, "sid", token->sid, "epoch",
                     (json_int_t)token->epoch, "iat", (json_int_t)apr_time_sec(token->issued_at),
                     "exp", (json_int_t)apr_time_sec(token->expires_at)));
    text = claims ? json_dumps(claims, JSON_COMPACT) : NULL;
    if (!text)
        return NULL;
    head = apr_pstrcat(p, HEADER ".", imu_base64url(p, text, strlen(text)), NULL);
    free(text);
    hmac(p, key, head, strlen(head), mac);
    return apr_pstrcat(p, head, ".", imu_base64url(p, mac, DIGEST), NULL);
}

static const char *text_claim(const json_t *claims, const char *name)
{
    const char *value = json_string_value(json_object_get(claims, name));

    return value && *value ? value : NULL;
}

/** Fills *token from the claims. @return NULL or what is wrong */
static const char *read_claims(const json_t *claims, apr_time_t now, imu_token *token)
{
    const char *issuer = text_claim(claims, "iss"), *audience = text_claim(claims, "aud");
    const char *subject = text_claim(claims, "sub");
    const json_t *epoch = json_object_get(claims, "epoch");
    const json_t *iat = json_object_get(claims, "iat"), *exp = json_object_get(claims, "exp");
    const json_t *nbf = json_object_get(claims, "nbf");
    const json_int_t latest = APR_INT64_MAX / APR_USEC_PER_SEC;

    token->user_id = text_claim(claims, "user_id");
    token->email = text_claim(claims, "email");
    token->sid = text_claim(claims, "sid");
    token->is_admin = json_is_true(json_object_get(claims, "is_admin"));
    token->remember = json_is_true(json_object_get(claims, "remember_me"));
    if (!issuer || strcmp(issuer, IMU_TOKEN_ISSUER) != 0)
        return "another issuer";
    if (!audience || strcmp(audience, IMU_TOKEN_ISSUER) != 0)
        return "another audience";
    if (!token->user_id || !subject || strcmp(subject, token->user_id) != 0)
        return "no subject";
    if (!token->sid)
        return "no session";
    if (!json_is_integer(epoch) || !json_is_integer(iat) || !json_is_integer(exp))
        return "no times";
    token->epoch = json_integer_value(epoch);
    if (json_integer_value(iat) < 0 || json_integer_value(iat) > latest ||
        json_integer_value(exp) < 0 || json_integer_value(exp) > latest)
        return "impossible times";
    token->issued_at = apr_time_from_sec(json_integer_value(iat));
    token->expires_at = apr_time_from_sec(json_integer_value(exp));
    if (token->issued_at > now + CLOCK_SKEW)
        return "from the future";
    /* Ours has none; whoever puts one in means it (RFC 7519 section 4.1.5). */
    if (nbf && (!json_is_integer(nbf) || json_integer_value(nbf) > apr_time_sec(now + CLOCK_SKEW)))
        return "not valid yet";
    if (token->expires_at <= now)
        return "expired";
    return NULL;
}

const char *imu_token_read(apr_pool_t *p, const char *key, const char *text, apr_time_t now,
                           imu_token *token)
{
    apr_size_t len = strnlen(text, IMU_TOKEN_MAX + 1), head_len = strlen(HEADER), n;
    const char *payload, *mac;
    const unsigned char *bytes;
    unsigned char expected[DIGEST];
    json_t *claims;

    memset(token, 0, sizeof *token);
    if (strlen(key) < IMU_TOKEN_KEY_MIN)
        return "the server has no key";
    if (len > IMU_TOKEN_MAX)
        return "too long";
    if (len <= head_len || memcmp(text, HEADER ".", head_len + 1) != 0)
        return "another header";
    payload = text + head_len + 1;
    mac = strchr(payload, '.');
    if (!mac || strchr(mac + 1, '.'))
        return "not three parts";
    bytes = imu_base64url_decode(p, mac + 1, strlen(mac + 1), &n);
    if (!bytes || n != DIGEST)
        return "signature malformed";
    hmac(p, key, text, (apr_size_t)(mac - text), expected);
    if (!imu_equal(bytes, expected, DIGEST))
        return "signature wrong";
    bytes = imu_base64url_decode(p, payload, (apr_size_t)(mac - payload), &n);
    claims = bytes ? json_loadb((const char *)bytes, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (!claims)
        return "claims malformed";
    imu_json_own(p, claims);
    return json_is_object(claims) ? read_claims(claims, now, token) : "claims malformed";
}
