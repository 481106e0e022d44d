/* The body of enqueue_batch: what passes the check is put into a real queue, and taken out again.
 */
#include "tests/unit/core/tempdb.h"

#include <stdlib.h>

#include "mod_invokemu/store/queue_batch.h"
#include "mod_invokemu/util/err.h"

#define MAX_ITEMS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tempdb *base;

static void remove_base(void)
{
    void *state = base;

    tempdb_teardown(&state);
}

static void enqueue(apr_pool_t *p, const imu_batch *b)
{
    const imu_identity system = {.user_id = "system", .is_admin = 1};
    const imu_queue_scope scope = {base->db, p, &system, "default"};
    imu_queue_change change;
    json_t *result;
    int n;

    if (imu_batch_enqueue(&scope, b, &result) ||
        json_array_size(json_object_get(result, "item_ids")) != (size_t)b->requested ||
        imu_queue_sweep_items(&scope, IMU_SWEEP_ALL, NULL, &n, &change) || n != b->requested)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *state;
    apr_pool_t *pool;
    imu_batch b;
    json_t *body;

    if (!base) {
        if (tempdb_setup(&state) != 0)
            abort();
        base = state;
        atexit(remove_base);
    }
    if (apr_pool_create(&pool, NULL) != APR_SUCCESS)
        abort();
    body = imu_json_own(pool, json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL));
    if (body && json_is_object(body) && !imu_batch_parse(pool, body, &b) &&
        b.requested <= MAX_ITEMS)
        enqueue(pool, &b);
    apr_pool_destroy(pool);
    return 0;
}
