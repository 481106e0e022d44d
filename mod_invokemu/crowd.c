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
    int used;
    int all, each; /* how many may wait, and how many of one */
    int kept;      /* so many are left to them by the others */
} crowd;

static crowd strangers, people, hashing;
static crowd *const crowds[] = {&strangers, &people, &hashing};
#define CROWDS (sizeof crowds / sizeof crowds[0])

static int places; /* for all of them together */
static apr_thread_mutex_t *lock;

/* How many others leave to a crowd, at most `most` and at least one. */
static int left_to(const crowd *of, int most)
{
    int left = places;

    for (size_t i = 0; i < CROWDS; i++)
        left -= crowds[i] == of ? 0 : crowds[i]->kept;
    most = most < left ? most : left;
    return most < 1 ? 1 : most < MAX_WAITING ? most : MAX_WAITING;
}

static void share(int threads)
{
    places = threads > 1 ? threads - (threads < 8 ? 1 : threads / 4) : 1;
    people.kept = hashing.kept = threads / 4;
    strangers.kept = threads / 8;
    strangers.all = left_to(&strangers, threads / 4);
    people.all = left_to(&people, threads * 2 / 3);
    hashing.all = left_to(&hashing, threads / 2);
    strangers.each = (strangers.all + 1) / 2;
    people.each = (people.all + 1) / 2;
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
    share(threads);
}

static int has_room(const crowd *of)
{
    int taken = 0;

    for (size_t i = 0; i < CROWDS; i++) {
        const crowd *c = crowds[i];

        taken += c == of || c->used > c->kept ? c->used : c->kept;
    }
    return of->used < of->all && taken < places;
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
    if (same >= of->each || !has_room(of))
        place = IMU_NO_PLACE;
    if (place != IMU_NO_PLACE) {
        of->waiting[place] = who;
        of->used++;
    }
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
        of->used--;
        apr_thread_mutex_unlock(lock);
    }
    wait->place = IMU_NO_PLACE;
}

int imu_crowd_enter_hashing(void)
{
    int room = 1;

    if (lock) {
        apr_thread_mutex_lock(lock);
        room = has_room(&hashing);
        hashing.used += room;
        apr_thread_mutex_unlock(lock);
    }
    return room ? 0 : -1;
}

void imu_crowd_leave_hashing(void)
{
    if (!lock)
        return;
    apr_thread_mutex_lock(lock);
    hashing.used--;
    apr_thread_mutex_unlock(lock);
}
