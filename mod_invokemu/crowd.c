#include "mod_invokemu/crowd.h"

#include <ap_mpm.h>
#include <http_log.h>
#include <apr_thread_mutex.h>

APLOG_USE_MODULE(invokemu);

#define MAX_WAITING 64
/* Where nothing can be counted, everybody may wait. */
#define UNCOUNTED MAX_WAITING

typedef struct crowd {
    const char *waiting[MAX_WAITING];
    int all, each; /* how many may wait, and how many of one */
} crowd;

static crowd strangers, people;
static apr_thread_mutex_t *lock;

static void init(crowd *of, int all, int each)
{
    of->all = all < 1 ? 1 : all > MAX_WAITING ? MAX_WAITING : all;
    of->each = each < 1 ? 1 : each;
}

void imu_crowd_child_init(apr_pool_t *pchild, server_rec *s)
{
    int threads = 1;
    apr_status_t rv = apr_thread_mutex_create(&lock, APR_THREAD_MUTEX_DEFAULT, pchild);

    if (rv != APR_SUCCESS) {
        lock = NULL;
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s,
                     "IMU0008: slow requests can't be limited in this child");
    }
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    init(&strangers, threads / 4, (threads / 4 + 1) / 2);
    init(&people, threads * 2 / 3, threads / 3);
}

static int take(crowd *of, const char *who)
{
    int same = 0, place = IMU_NO_PLACE;

    apr_thread_mutex_lock(lock);
    for (int i = 0; i < of->all; i++)
        if (!of->waiting[i])
            place = i;
        else
            same += strcmp(of->waiting[i], who) == 0;
    if (same >= of->each)
        place = IMU_NO_PLACE;
    if (place != IMU_NO_PLACE)
        of->waiting[place] = who;
    apr_thread_mutex_unlock(lock);
    return place;
}

int imu_crowd_enter(imu_wait *wait)
{
    if (wait->place != IMU_NO_PLACE)
        return 0;
    wait->place = lock ? take(wait->known ? &people : &strangers, wait->who) : UNCOUNTED;
    if (wait->place != IMU_NO_PLACE)
        return 0;
    wait->refused = 1;
    return -1;
}

void imu_crowd_leave(imu_wait *wait)
{
    crowd *of = wait->known ? &people : &strangers;

    if (wait->place != IMU_NO_PLACE && wait->place != UNCOUNTED) {
        apr_thread_mutex_lock(lock);
        of->waiting[wait->place] = NULL;
        apr_thread_mutex_unlock(lock);
    }
    wait->place = IMU_NO_PLACE;
}
