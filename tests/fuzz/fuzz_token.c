/* The reader of tokens, with any bytes, and with any claims under a good signature. */
#include "tests/unit/pool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "mod_invokemu/auth/core_token.h"
#include "mod_invokemu/util/ids.h"

#define KEY    "0123456789abcdef0123456789abcdef"
#define HEADER "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
#define NOW    apr_time_from_sec(1700000000)

static void read_bytes(const uint8_t *data, size_t size)
{
    const char *text = pool_text(data, size);
    imu_token token;

    imu_token_read(pool, KEY, text, NOW, &token);
}

static void read_claims(const uint8_t *data, size_t size)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    imu_token token;
    const char *head = apr_pstrcat(pool, HEADER, imu_base64url(pool, data, size), NULL), *text;

    HMAC(EVP_sha256(), KEY, (int)strlen(KEY), (const unsigned char *)head, strlen(head), mac, &n);
    text = apr_pstrcat(pool, head, ".", imu_base64url(pool, mac, n), NULL);
    if (imu_token_read(pool, KEY, text, NOW, &token) == NULL &&
        (!token.sid || !token.user_id || token.expires_at <= NOW))
        abort(); /* what is accepted must be whole */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_bytes(data, size);
    read_claims(data, size);
    apr_pool_clear(pool);
    return 0;
}
