/*
 * pool-blocks.c: every block of an APR pool as a block of its own, for builds with a sanitizer.
 *
 * A pool cuts what it hands out from large pieces, so that an overrun hits a neighbour, a pointer
 * into a cleared pool still reads something, and no checker sees either. Linked into a program, or
 * preloaded into httpd, this puts itself before libapr's functions: blocks come from malloc and are
 * freed after the last cleanup of their pool.
 */
#include <apr_pools.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#define BUCKETS 4096

typedef struct block {
    struct block *next;
    max_align_t data[];
} block;

typedef struct owner {
    struct owner *next;
    apr_pool_t *pool;
    block *blocks;
} owner;

static owner *owners[BUCKETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static owner **find(const apr_pool_t *pool)
{
    owner **at = &owners[((size_t)pool >> 4) % BUCKETS];

    while (*at && (*at)->pool != pool)
        at = &(*at)->next;
    return at;
}

static void *original(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (!found)
        abort();
    return found;
}

static apr_status_t let_go(void *pool)
{
    owner **at, *gone;

    pthread_mutex_lock(&lock);
    at = find(pool);
    if ((gone = *at))
        *at = gone->next;
    pthread_mutex_unlock(&lock);
    for (block *b = gone ? gone->blocks : NULL, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(gone);
    return APR_SUCCESS;
}

/* Called while the pool has no cleanup yet: the first one registered is the last one run. */
static void take_over(apr_pool_t *pool)
{
    owner *new = calloc(1, sizeof *new);

    if (!new)
        abort();
    apr_pool_cleanup_register(pool, pool, let_go, apr_pool_cleanup_null);
    new->pool = pool;
    pthread_mutex_lock(&lock);
    owner **at = find(pool);
    new->next = *at;
    *at = new;
    pthread_mutex_unlock(&lock);
}

#undef apr_palloc
#undef apr_pcalloc
#undef apr_pool_create_ex
#undef apr_pool_clear

void *apr_palloc(apr_pool_t *pool, apr_size_t size)
{
    static void *(*plain)(apr_pool_t *, apr_size_t);
    block *b = NULL;
    owner *of;

    pthread_mutex_lock(&lock);
    if (!plain)
        *(void **)&plain = original("apr_palloc");
    if ((of = *find(pool)) && (b = malloc(sizeof *b + size))) {
        b->next = of->blocks;
        of->blocks = b;
    }
    pthread_mutex_unlock(&lock);
    return b ? b->data : plain(pool, size);
}

apr_status_t apr_pool_create_ex(apr_pool_t **pool, apr_pool_t *parent, apr_abortfunc_t abort_fn,
                                apr_allocator_t *allocator)
{
    apr_status_t (*plain)(apr_pool_t **, apr_pool_t *, apr_abortfunc_t, apr_allocator_t *);
    apr_status_t rv;

    *(void **)&plain = original("apr_pool_create_ex");
    rv = plain(pool, parent, abort_fn, allocator);
    if (rv == APR_SUCCESS)
        take_over(*pool);
    return rv;
}

void apr_pool_clear(apr_pool_t *pool)
{
    void (*plain)(apr_pool_t *);

    *(void **)&plain = original("apr_pool_clear");
    plain(pool);
    take_over(pool);
}
