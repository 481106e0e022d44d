#include "mod_invokemu/events/allowance.h"

#include <pthread.h>
#include <string.h>

#include <apr_strings.h>

#define ALLOWANCE_TIME  apr_time_from_sec(10)
#define ALLOWANCE_BYTES ((size_t)2 * 1024 * 1024)
#define MAX_WHO         64
#define SLOTS           128 /* of those who have sent most lately */

typedef struct slot {
    char who[MAX_WHO];
    apr_time_t start;
    size_t bytes;
} slot;

static struct {
    pthread_mutex_t lock;
    slot slots[SLOTS];
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Their slot, or the one that is missed least: over, or with the fewest bytes. */
static slot *slot_of(const char *who, apr_time_t now)
{
    slot *least = &table.slots[0];

    for (int i = 0; i < SLOTS; i++) {
        slot *s = &table.slots[i];

        if (strncmp(s->who, who, MAX_WHO - 1) == 0)
            return s;
        if (now - s->start >= ALLOWANCE_TIME)
            s->bytes = 0;
        if (s->bytes < least->bytes)
            least = s;
    }
    apr_cpystrn(least->who, who, MAX_WHO);
    least->start = now;
    least->bytes = 0;
    return least;
}

int imu_allowance_take(const char *who, size_t bytes, apr_time_t now)
{
    slot *s;
    int there;

    pthread_mutex_lock(&table.lock);
    s = slot_of(who, now);
    if (now - s->start >= ALLOWANCE_TIME) {
        s->start = now;
        s->bytes = 0;
    }
    s->bytes += bytes;
    there = s->bytes <= ALLOWANCE_BYTES;
    pthread_mutex_unlock(&table.lock);
    return there;
}
