#include "mod_invokemu/auth/core_password.h"

#include <crypt.h>
#include <string.h>
#include <apr_strings.h>
#include <zxcvbn.h>

#include "mod_invokemu/auth/core_equal.h"
#include "mod_invokemu/util/ids.h"

#define BCRYPT_PREFIX "$2b$"
#define FOREIGN       "$2y$"
#define BCRYPT_COST   12
/* Guesses a stranger needs, as a power of two, below which a password counts as well known. */
#define LEAST_BITS 20.0
/* Compared with when there is no account, so that the answer takes as long. Its password is not
 * kept anywhere. */
#define NOBODYS_HASH "$2b$12$vO7FIqJY4WDhVYbD/14souQg9Lc51Cqr1kMi9vv/f2dc5u3TUxBM."

static int least = IMU_PASSWORD_MIN;

void imu_password_length_set(int characters)
{
    least = characters;
}

static imu_err *weak(apr_pool_t *p, const char *why)
{
    return imu_error(p, 400, "password_weak", "%s", why);
}

/** Characters, not bytes: continuation bytes of UTF-8 don't count. */
static size_t characters(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

static int has(const char *text, char low, char high)
{
    for (; *text; text++) {
        if (*text >= low && *text <= high)
            return 1;
    }
    return 0;
}

/** Whether lists and patterns find it at once; the account's own names count as well-known words.
 */
static int well_known(apr_pool_t *p, const char *password, const char *email, const char *name)
{
    const char *words[4];
    int n = 0;

    if (email) {
        const char *at = strchr(email, '@');

        words[n++] = email;
        if (at && at > email)
            words[n++] = apr_pstrmemdup(p, email, (apr_size_t)(at - email));
    }
    if (name && *name)
        words[n++] = name;
    words[n] = NULL;
    return ZxcvbnMatch(password, words, NULL) < LEAST_BITS;
}

imu_err *imu_password_check(apr_pool_t *p, const char *password, int strict, const char *email,
                            const char *name)
{
    const unsigned char *c;

    if (!*password)
        return weak(p, "The password must not be empty.");
    if (strlen(password) > IMU_PASSWORD_MAX)
        return weak(p, "The password must not be longer than 72 bytes.");
    for (c = (const unsigned char *)password; *c; c++) {
        if (*c < 0x20 || *c == 0x7F)
            return weak(p, "The password must not contain control characters.");
    }
    /* Pages send UTF-8 alone: nobody could sign in with anything else. */
    if (!imu_is_clean_text(password))
        return weak(p, "The password is no UTF-8 text.");
    if (!strict)
        return NULL;
    if (characters(password) < (size_t)least)
        return weak(p, apr_psprintf(p, "The password must have at least %d characters.", least));
    if (!has(password, 'A', 'Z'))
        return weak(p, "The password must contain a capital letter.");
    if (!has(password, 'a', 'z'))
        return weak(p, "The password must contain a small letter.");
    if (!has(password, '0', '9'))
        return weak(p, "The password must contain a digit.");
    if (well_known(p, password, email, name))
        return weak(
            p,
            "This password is one of the first that others would try. Choose a less common one.");
    return NULL;
}

imu_err *imu_password_hash(apr_pool_t *p, const char *password, const char **hash)
{
    struct crypt_data data;
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    char random[16];
    const char *out;

    imu_random_bytes(random, sizeof random);
    if (!crypt_gensalt_rn(BCRYPT_PREFIX, BCRYPT_COST, random, sizeof random, salt, sizeof salt))
        return imu_error_internal(p, "libcrypt makes no bcrypt salt");
    memset(&data, 0, sizeof data);
    out = crypt_r(password, salt, &data);
    if (!out || strncmp(out, BCRYPT_PREFIX, strlen(BCRYPT_PREFIX)) != 0)
        return imu_error_internal(p, "libcrypt makes no bcrypt hash");
    *hash = apr_pstrdup(p, out);
    explicit_bzero(&data, sizeof data);
    return NULL;
}

const char *imu_password_hash_normal(apr_pool_t *p, const char *hash)
{
    static const char alphabet[] =
        "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    static const char form[] = "$2b$dd$";
    size_t head = sizeof form - 1;

    if (strlen(hash) != 60 || strspn(hash + head, alphabet) != 60 - head)
        return NULL;
    /* The same function by two names: y is that of the first correct one, b that of the second. */
    if (strncmp(hash, BCRYPT_PREFIX, 4) != 0 && strncmp(hash, FOREIGN, 4) != 0)
        return NULL;
    if (hash[4] != '1' || hash[5] < '0' || hash[5] > '6' || hash[6] != '$')
        return NULL;
    return apr_pstrcat(p, BCRYPT_PREFIX, hash + 4, NULL);
}

const char *imu_password_hash_foreign(apr_pool_t *p, const char *hash)
{
    const char *ours = imu_password_hash_normal(p, hash);

    return ours ? apr_pstrcat(p, FOREIGN, ours + 4, NULL) : NULL;
}

/* What bcrypt is to see of a password. */
static void cut(char *to, const char *password)
{
    size_t len = strnlen(password, IMU_PASSWORD_MAX + 1);

    if (len > IMU_PASSWORD_MAX)
        for (len = IMU_PASSWORD_MAX; len > 0 && ((unsigned char)password[len] & 0xC0) == 0x80;)
            len--;
    memcpy(to, password, len);
    to[len] = '\0';
}

int imu_password_verify(const char *password, const char *hash)
{
    int foreign = hash && strncmp(hash, FOREIGN, 4) == 0;
    int usable = foreign || (hash && strncmp(hash, BCRYPT_PREFIX, 4) == 0 &&
                             strnlen(password, IMU_PASSWORD_MAX + 1) <= IMU_PASSWORD_MAX);
    const char *out, *with = usable ? hash : NOBODYS_HASH;
    char seen[IMU_PASSWORD_MAX + 1];
    struct crypt_data data;
    int same;

    cut(seen, password);
    memset(&data, 0, sizeof data);
    out = crypt_r(seen, with, &data);
    same = out && strlen(out) == strlen(with) && imu_equal(out, with, strlen(with));
    explicit_bzero(&data, sizeof data);
    explicit_bzero(seen, sizeof seen);
    return usable && same;
}

/** A character of the set, each as likely as the others. */
static char one_of(const char *set)
{
    unsigned int n = (unsigned int)strlen(set), limit = 256 - 256 % n;
    unsigned char byte;

    do {
        imu_random_bytes(&byte, 1);
    } while (byte >= limit);
    return set[byte % n];
}

const char *imu_password_generate(apr_pool_t *p)
{
    /* Without characters that are easily mistaken for each other. */
    static const char *const sets[] = {"ABCDEFGHJKLMNPQRSTUVWXYZ", "abcdefghijkmnopqrstuvwxyz",
                                       "23456789", "-_.!+="};
    static const char *const all =
        "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789-_.!+=";
    static const char *const places = "0123456789ABCDEF";
    char *out = apr_pcalloc(p, IMU_PASSWORD_GENERATED + 1);
    int i;

    for (i = 0; i < IMU_PASSWORD_GENERATED; i++)
        out[i] = one_of(i < 4 ? sets[i] : all);
    for (i = IMU_PASSWORD_GENERATED - 1; i > 0; i--) {
        char set[IMU_PASSWORD_GENERATED + 1];
        int j;
        char swap = out[i];

        apr_cpystrn(set, places, (apr_size_t)i + 2);
        j = (int)(strchr(places, one_of(set)) - places);
        out[i] = out[j];
        out[j] = swap;
    }
    return out;
}
