/* Small things out of requests: addresses of people, times, identifiers, base64url. */
#include "tests/unit/pool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mod_invokemu/auth/core_email.h"
#include "mod_invokemu/util/ids.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void email(apr_pool_t *p, const char *text)
{
    const char *normal = imu_email_normal(p, text), *again;

    if (normal && (!(again = imu_email_normal(p, normal)) || strcmp(again, normal) != 0))
        abort();
}

static void moment(apr_pool_t *p, const char *text)
{
    apr_time_t t = imu_time_parse(text);

    if (t > 0 && imu_time_parse(imu_time_text(p, t)) != t)
        abort();
}

static void base64url(apr_pool_t *p, const char *text, size_t size)
{
    apr_size_t len;
    const unsigned char *bytes = imu_base64url_decode(p, text, size, &len);

    if (bytes && strcmp(imu_base64url(p, bytes, len), text) != 0)
        abort(); /* two spellings of one value */
}

/* Nothing is hidden twice, and what is shown is clean. */
static void visible(apr_pool_t *p, const char *text)
{
    const char *shown = imu_visible_text(p, text);

    if (!imu_is_clean_text(shown) || strpbrk(shown, "\t\r\n") ||
        strcmp(imu_visible_text(p, shown), shown) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = pool_text(data, size);
    email(pool, text);
    moment(pool, text);
    base64url(pool, text, strlen(text));
    imu_is_uuid(text);
    visible(pool, text);
    apr_pool_clear(pool);
    return 0;
}
