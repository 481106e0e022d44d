#include "mod_invokemu/util/ids.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/sha.h>

#include "mod_invokemu/util/clock.h"

#define UUID_LEN 36

static const char BASE64URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void imu_random_bytes(void *buf, apr_size_t len)
{
    unsigned char *out = buf;

    while (len > 0) {
        ssize_t n = getrandom(out, len, 0);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            /* Going on without randomness would hand out guessable secrets. */
            abort();
        }
        out += n;
        len -= (apr_size_t)n;
    }
}

static const char *hex(apr_pool_t *p, const unsigned char *bytes, apr_size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *out = apr_palloc(p, len * 2 + 1);

    for (apr_size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[len * 2] = '\0';
    return out;
}

const char *imu_uuid4(apr_pool_t *p)
{
    unsigned char b[16];
    const char *h;

    imu_random_bytes(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    h = hex(p, b, sizeof b);
    return apr_psprintf(p, "%.8s-%.4s-%.4s-%.4s-%.12s", h, h + 8, h + 12, h + 16, h + 20);
}

int imu_is_any_uuid(const char *text)
{
    if (!text || strlen(text) != UUID_LEN)
        return 0;
    for (int i = 0; i < UUID_LEN; i++) {
        char c = text[i];
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (c != '-')
                return 0;
        } else if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return 0;
        }
    }
    return 1;
}

int imu_is_uuid(const char *text)
{
    return imu_is_any_uuid(text) && text[14] == '4' && strchr("89ab", text[19]) != NULL;
}

const char *imu_base64url(apr_pool_t *p, const void *data, apr_size_t len)
{
    const unsigned char *in = data;
    char *out = apr_palloc(p, (len + 2) / 3 * 4 + 1);
    char *o = out;

    for (apr_size_t i = 0; i < len; i += 3) {
        apr_size_t left = len - i;
        unsigned v = (unsigned)in[i] << 16;
        if (left > 1)
            v |= (unsigned)in[i + 1] << 8;
        if (left > 2)
            v |= in[i + 2];
        *o++ = BASE64URL[v >> 18];
        *o++ = BASE64URL[(v >> 12) & 63];
        if (left > 1)
            *o++ = BASE64URL[(v >> 6) & 63];
        if (left > 2)
            *o++ = BASE64URL[v & 63];
    }
    *o = '\0';
    return out;
}

static int base64url_value(char c)
{
    const char *at = c ? strchr(BASE64URL, c) : NULL;
    return at ? (int)(at - BASE64URL) : -1;
}

const unsigned char *imu_base64url_decode(apr_pool_t *p, const char *text, apr_size_t text_len,
                                          apr_size_t *len)
{
    unsigned char *out = apr_palloc(p, text_len / 4 * 3 + 4);
    apr_size_t n = 0;
    unsigned bits = 0;
    int have = 0;

    if (text_len % 4 == 1)
        return NULL;
    for (apr_size_t i = 0; i < text_len; i++) {
        int v = base64url_value(text[i]);
        if (v < 0)
            return NULL;
        bits = bits << 6 | (unsigned)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[n++] = (unsigned char)(bits >> have);
            bits &= (1u << have) - 1;
        }
    }
    /* Set bits after the last byte would give one value several spellings. */
    if (bits != 0)
        return NULL;
    out[n] = '\0';
    *len = n;
    return out;
}

const char *imu_random_token(apr_pool_t *p, apr_size_t bytes)
{
    unsigned char *b = apr_palloc(p, bytes);

    imu_random_bytes(b, bytes);
    return imu_base64url(p, b, bytes);
}

const char *imu_sha256_hex(apr_pool_t *p, const void *data, apr_size_t len)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    SHA256(data, len, digest);
    return hex(p, digest, sizeof digest);
}

const char *imu_time_text(apr_pool_t *p, apr_time_t t)
{
    apr_time_exp_t x;

    apr_time_exp_gmt(&x, t);
    return apr_psprintf(p, "%04d-%02d-%02d %02d:%02d:%02d.%03d", x.tm_year + 1900, x.tm_mon + 1,
                        x.tm_mday, x.tm_hour, x.tm_min, x.tm_sec, x.tm_usec / 1000);
}

const char *imu_now(apr_pool_t *p)
{
    return imu_time_text(p, imu_clock_now());
}

apr_time_t imu_time_parse(const char *text)
{
    apr_time_exp_t x = {0};
    apr_time_t t;
    int ms = 0, used = 0;

    if (!text)
        return 0;
    if (sscanf(text, "%4d-%2d-%2d %2d:%2d:%2d.%3d%n", &x.tm_year, &x.tm_mon, &x.tm_mday, &x.tm_hour,
               &x.tm_min, &x.tm_sec, &ms, &used) != 7 ||
        text[used] != '\0')
        return 0;
    x.tm_year -= 1900;
    x.tm_mon -= 1;
    x.tm_usec = ms * 1000;
    return apr_time_exp_gmt_get(&t, &x) == APR_SUCCESS ? t : 0;
}

/* Length of the UTF-8 sequence at s, 0 when it is not well-formed (RFC 3629). */
static int utf8_sequence(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return (s[1] & 0xc0) == 0x80 ? 2 : 0;
    if (s[0] >= 0xe0 && s[0] <= 0xef) {
        if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80)
            return 0;
        if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
            return 0;
        return 3;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[3] & 0xc0) != 0x80)
            return 0;
        if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
            return 0;
        return 4;
    }
    return 0;
}

int imu_utf8_next(const char *text, unsigned *code)
{
    const unsigned char *s = (const unsigned char *)text;
    int n = utf8_sequence(s);

    *code = n < 2 ? s[0] : s[0] & (0x7fu >> n);
    for (int i = 1; i < n; i++)
        *code = *code << 6 | (s[i] & 0x3fu);
    return n;
}

int imu_is_clean_text(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    while (*s) {
        int n = utf8_sequence(s);
        if (n == 0 ||
            (n == 1 && (*s < 0x20 || *s == 0x7f) && *s != '\t' && *s != '\n' && *s != '\r'))
            return 0;
        s += n;
    }
    return 1;
}

/* Characters that change how a line reads: C1 controls (80 to 9f), marks of direction (61c, 200e,
 * 200f, 202a to 202e, 2066 to 2069), ends of lines (2028, 2029). */
static int changes_line(unsigned code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x61c || code == 0x200e ||
           code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

const char *imu_visible_text(apr_pool_t *p, const char *text)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *s = (const unsigned char *)text;
    char *out = apr_palloc(p, 4 * strlen(text) + 1), *o = out;

    while (*s) {
        unsigned code;
        int n = imu_utf8_next((const char *)s, &code), hide = n == 0 || changes_line(code);

        for (int i = 0; i < (n ? n : 1); i++, s++) {
            if (!hide) {
                *o++ = (char)*s;
                continue;
            }
            *o++ = '\\';
            *o++ = 'x';
            *o++ = digits[*s >> 4];
            *o++ = digits[*s & 15];
        }
    }
    *o = '\0';
    return out;
}
