#include "mod_invokemu/store/cache.h"

#include <stdlib.h>
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#define SLOTS      256
#define MAX_ANSWER (64 * 1024)
#define MAX_BYTES  (1024 * 1024)

typedef struct cache_slot {
    unsigned hash; /* of the key: most slots are passed over by it */
    char *key;
    char *version;
    char *data;
    apr_size_t len;
} cache_slot;

struct imu_cache {
    cache_slot slots[SLOTS];
    int next; /* the slot that gives way first */
    apr_size_t bytes;
};

static void slot_clear(imu_cache *c, cache_slot *s)
{
    c->bytes -= s->len;
    free(s->key);
    free(s->version);
    free(s->data);
    memset(s, 0, sizeof *s);
}

static apr_status_t cache_free(void *cache)
{
    imu_cache *c = cache;

    for (int i = 0; i < SLOTS; i++)
        slot_clear(c, &c->slots[i]);
    return APR_SUCCESS;
}

imu_cache *imu_cache_new(apr_pool_t *p)
{
    imu_cache *c = apr_pcalloc(p, sizeof *c);

    apr_pool_cleanup_register(p, c, cache_free, apr_pool_cleanup_null);
    return c;
}

static unsigned hash_of(const char *key)
{
    apr_ssize_t len = APR_HASH_KEY_STRING;

    return apr_hashfunc_default(key, &len);
}

static cache_slot *slot_of(imu_cache *c, const char *key)
{
    const unsigned hash = hash_of(key);

    for (int i = 0; i < SLOTS; i++) {
        cache_slot *s = &c->slots[i];

        if (s->key && s->hash == hash && strcmp(s->key, key) == 0)
            return s;
    }
    return NULL;
}

const char *imu_cache_get(imu_cache *c, apr_pool_t *p, const char *key, const char *version,
                          apr_size_t *len)
{
    cache_slot *s = slot_of(c, key);

    if (!s || strcmp(s->version, version) != 0)
        return NULL;
    *len = s->len;
    return apr_pstrmemdup(p, s->data, s->len);
}

void imu_cache_put(imu_cache *c, const char *key, const char *version, const char *data,
                   apr_size_t len)
{
    cache_slot *s = slot_of(c, key);

    if (len > MAX_ANSWER)
        return;
    if (s)
        slot_clear(c, s);
    while (!s || c->bytes + len > MAX_BYTES) {
        s = &c->slots[c->next];
        c->next = (c->next + 1) % SLOTS;
        slot_clear(c, s);
    }
    s->hash = hash_of(key);
    s->key = strdup(key);
    s->version = strdup(version);
    s->data = malloc(len + 1);
    if (!s->key || !s->version || !s->data) {
        slot_clear(c, s);
        return;
    }
    memcpy(s->data, data, len);
    s->len = len;
    c->bytes += len;
}
