#include "mod_invokemu/crowd_threads.h"

#include <ap_mpm.h>
#include <http_log.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

#include "mod_invokemu/util/clock.h"

APLOG_USE_MODULE(invokemu);

#define MAX_WAITING 64
/* Who takes nothing for so long reads slowly indeed. */
#define STALLED apr_time_from_sec(3)
/* Where nothing can be counted, everybody may wait. */
#define UNCOUNTED MAX_WAITING
/* So long a place is waited for that becomes free by itself, before somebody else loses theirs. */
#define POLITE apr_time_from_msec(500)

typedef struct crowd {
    imu_wait *waiting[MAX_WAITING];
    int used;
    int all, each; /* how many may wait, and how many of one */
    int kept;      /* so many are left to them by the others */
} crowd;

static crowd strangers, people, hashing, packing;
static crowd *const crowds[] = {&strangers, &people, &hashing, &packing};
#define CROWDS (sizeof crowds / sizeof crowds[0])

static int places;     /* for all of them together */
static int line;       /* how many people stand in line */
static int longest[2]; /* how many may, and how many with streams of HTTP/2 */
static apr_thread_mutex_t *lock;
static apr_thread_cond_t *freed;

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
    packing.all = left_to(&packing, threads / 8);
    strangers.each = (strangers.all + 1) / 2;
    people.each = (people.all + 1) / 2;
    packing.each = (packing.all + 1) / 2;
    longest[0] = threads / 8;
    longest[1] = threads / 3;
}

void imu_crowd_child_init(apr_pool_t *pchild, server_rec *s)
{
    int threads = 1;
    apr_status_t rv = apr_thread_mutex_create(&lock, APR_THREAD_MUTEX_DEFAULT, pchild);

    if (rv == APR_SUCCESS)
        rv = apr_thread_cond_create(&freed, pchild);
    if (rv != APR_SUCCESS) {
        lock = NULL;
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s,
                     "IMU0008: slow requests can't be limited in this child");
    }
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    share(threads);
}

/* How many more it may have now. */
static int room(const crowd *of)
{
    int taken = 0, left;

    for (size_t i = 0; i < CROWDS; i++) {
        const crowd *c = crowds[i];

        taken += c == of || c->used > c->kept ? c->used : c->kept;
    }
    left = places - taken;
    return left < of->all - of->used ? left : of->all - of->used;
}

static int held_by(const crowd *of, const char *who)
{
    int held = 0;

    for (int i = 0; i < of->all; i++)
        held += of->waiting[i] && strcmp(of->waiting[i]->who, who) == 0;
    return held;
}

/* The place that somebody else has to give up, or IMU_NO_PLACE: of those who hold most, what has
 * not moved for longest. `own`: only to its own account. */
static int taken_from(const crowd *of, const imu_wait *wait, int same, int own)
{
    apr_time_t stalled = imu_clock_steady() - STALLED;
    int place = IMU_NO_PLACE, most = 0;

    for (int i = 0; i < of->all; i++) {
        const imu_wait *other = of->waiting[i];
        int held = other ? held_by(of, other->who) : 0;

        if (!other || held < most || (own && strcmp(other->who, wait->who) != 0))
            continue;
        if ((held > same + 1 || (held >= same && other->moved < stalled)) &&
            (held > most || other->moved < of->waiting[place]->moved)) {
            place = i;
            most = held;
        }
    }
    return place;
}

static int free_place(const crowd *of)
{
    for (int i = 0; i < of->all; i++)
        if (!of->waiting[i])
            return i;
    return IMU_NO_PLACE;
}

/* Whether it holds all that it may: what nobody else wants, people may have. */
static int has_its_share(const crowd *of, const imu_wait *wait, int same)
{
    int alone = wait->known && (wait->leaving || of->used == same);

    return same >= (alone ? of->all : of->each);
}

static int free_for(const crowd *of, const imu_wait *wait)
{
    int own = has_its_share(of, wait, held_by(of, wait->who));

    return own || room(of) <= 0 ? IMU_NO_PLACE : free_place(of);
}

static crowd *crowd_of(const imu_wait *wait)
{
    return wait->known ? &people : &strangers;
}

/* Waits a moment for a place to become free, with the lock given up. @return -1 when that is not
 * for this one, or the line is long */
static int stand_in_line(const crowd *of, const imu_wait *wait)
{
    apr_time_t end = imu_clock_steady() + POLITE;
    apr_status_t rv = APR_SUCCESS;

    if (!wait->known || wait->leaving || line >= longest[wait->stream])
        return -1;
    line++;
    for (apr_time_t now = imu_clock_steady();
         rv == APR_SUCCESS && now < end && free_for(of, wait) == IMU_NO_PLACE;
         now = imu_clock_steady())
        rv = apr_thread_cond_timedwait(freed, lock, end - now);
    line--;
    return rv == APR_SUCCESS || APR_STATUS_IS_TIMEUP(rv) ? 0 : -1;
}

static int displace(const crowd *of, const imu_wait *wait)
{
    int same = held_by(of, wait->who), own = has_its_share(of, wait, same);

    return wait->leaving || !own ? taken_from(of, wait, same, own) : IMU_NO_PLACE;
}

/* Under the lock. */
static int take(crowd *of, imu_wait *wait)
{
    apr_time_t end = imu_clock_steady() + IMU_CROWD_LINE;
    int place = free_for(of, wait), stood = 0;

    while (place == IMU_NO_PLACE && stood == 0) {
        stood = imu_clock_steady() < end ? stand_in_line(of, wait) : -1;
        if ((place = free_for(of, wait)) == IMU_NO_PLACE)
            place = displace(of, wait);
    }
    if (place == IMU_NO_PLACE)
        return place;
    if (of->waiting[place]) {
        of->waiting[place]->place = IMU_NO_PLACE;
        of->waiting[place]->lost = 1;
    } else {
        of->used++;
    }
    of->waiting[place] = wait;
    return place;
}

int imu_crowd_enter(imu_wait *wait)
{
    int place;

    if (!lock) {
        wait->place = UNCOUNTED;
        return 0;
    }
    apr_thread_mutex_lock(lock);
    if (wait->place == IMU_NO_PLACE && !wait->lost) {
        wait->moved = imu_clock_steady();
        wait->place = take(crowd_of(wait), wait);
    }
    place = wait->place;
    apr_thread_mutex_unlock(lock);
    if (place != IMU_NO_PLACE)
        return 0;
    wait->refused = 1;
    return -1;
}

int imu_crowd_lost(const imu_wait *wait)
{
    int lost;

    if (!lock)
        return 0;
    apr_thread_mutex_lock(lock);
    lost = wait->lost;
    apr_thread_mutex_unlock(lock);
    return lost;
}

void imu_crowd_moved(imu_wait *wait)
{
    if (!lock)
        return;
    apr_thread_mutex_lock(lock);
    wait->moved = imu_clock_steady();
    apr_thread_mutex_unlock(lock);
}

int imu_crowd_works(void *wait)
{
    imu_crowd_moved(wait);
    return !imu_crowd_lost(wait);
}

void imu_crowd_leave(imu_wait *wait)
{
    crowd *of = crowd_of(wait);

    if (!lock) {
        wait->place = IMU_NO_PLACE;
        return;
    }
    apr_thread_mutex_lock(lock);
    if (wait->place != IMU_NO_PLACE) {
        of->waiting[wait->place] = NULL;
        of->used--;
        apr_thread_cond_broadcast(freed);
    }
    wait->place = IMU_NO_PLACE;
    apr_thread_mutex_unlock(lock);
}

int imu_crowd_enter_hashing(void)
{
    int enters = 1;

    if (lock) {
        apr_thread_mutex_lock(lock);
        enters = room(&hashing) > 0;
        hashing.used += enters;
        apr_thread_mutex_unlock(lock);
    }
    return enters ? 0 : -1;
}

void imu_crowd_leave_hashing(void)
{
    if (!lock)
        return;
    apr_thread_mutex_lock(lock);
    hashing.used--;
    apr_thread_mutex_unlock(lock);
}

/* ---- packing ---- */

apr_thread_mutex_t *imu_crowd_lock(void)
{
    return lock;
}

apr_thread_cond_t *imu_crowd_freed(void)
{
    return freed;
}

int imu_crowd_packing_room(void)
{
    int left = room(&packing);

    return left > 0 ? left : 0;
}

int imu_crowd_packing_each(void)
{
    return packing.each;
}

int imu_crowd_line_room(int stream)
{
    int left = (longest[stream] + 1) / 2 - line;

    return left > 0 ? left : 0;
}

void imu_crowd_pack(int more)
{
    packing.used += more;
}

void imu_crowd_line(int more)
{
    line += more;
}
