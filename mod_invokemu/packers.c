#include "mod_invokemu/packers.h"

#include <string.h>
#include <apr_strings.h>

#include "mod_invokemu/crowd_threads.h"
#include "mod_invokemu/util/clock.h"

#define MAX_IN 128
/* So long somebody packs while others wait. */
#define TURN apr_time_from_sec(1)
/* Who does nothing for so long stands still. */
#define STILL apr_time_from_sec(3)
/* So long somebody may have a place that others ask for. */
#define LONGEST apr_time_from_sec(300)
/* So long somebody who was refused has time to ask again. */
#define NOTED apr_time_from_sec(30)

/* Somebody who was refused. */
typedef struct note {
    char who[64];
    apr_time_t until;
} note;

static imu_packer *in[MAX_IN]; /* in the order in which they came */
static int count;
static note notes[MAX_IN]; /* in the order in which they first asked */
static int noted;

/* ---- who is in ---- */

static int is_of(const imu_packer *one, const char *who)
{
    return strcmp(one->who, who) == 0;
}

/* Of an account, those that are in; or only those whose turn it is. */
static int held_by(const char *who, int turns)
{
    int held = 0;

    for (int i = 0; i < count; i++)
        held += (in[i]->packs || !turns) && is_of(in[i], who);
    return held;
}

static void let_in(imu_packer *me)
{
    me->in = 1;
    me->packs = 0;
    me->came = me->since = me->moved = imu_clock_steady();
    in[count++] = me;
    imu_crowd_line(1);
}

static void put_out(imu_packer *one)
{
    int i = 0;

    while (in[i] != one)
        i++;
    memmove(&in[i], &in[i + 1], (size_t)(--count - i) * sizeof in[0]);
    if (one->packs)
        imu_crowd_pack(-1);
    else
        imu_crowd_line(-1);
    one->in = one->packs = 0;
    apr_thread_cond_broadcast(imu_crowd_freed());
}

/* ---- whose turn it is ---- */

static void set_turn(imu_packer *one, int packs)
{
    one->packs = packs;
    one->since = imu_clock_steady();
    imu_crowd_pack(packs ? 1 : -1);
    imu_crowd_line(packs ? -1 : 1);
}

/* Of those who wait: of the account with the fewest turns, who has waited for longest. */
static imu_packer *next_to_pack(void)
{
    imu_packer *next = NULL;
    int fewest = 0;

    for (int i = 0; i < count; i++) {
        imu_packer *one = in[i];
        int turns = one->packs ? 0 : held_by(one->who, 1);

        if (one->packs ||
            (next && (turns > fewest || (turns == fewest && one->since >= next->since))))
            continue;
        next = one;
        fewest = turns;
    }
    return next;
}

/* Whose turn has lasted for longest, if it is over. */
static imu_packer *next_to_wait(void)
{
    apr_time_t over = imu_clock_steady() - TURN;
    imu_packer *next = NULL;

    for (int i = 0; i < count; i++)
        if (in[i]->packs && in[i]->since <= over && (!next || in[i]->since < next->since))
            next = in[i];
    return next;
}

static void hand_round(void)
{
    imu_packer *next, *other = NULL;

    while ((next = next_to_pack()) && (imu_crowd_packing_room() > 0 || (other = next_to_wait()))) {
        if (imu_crowd_packing_room() == 0)
            set_turn(other, 0);
        set_turn(next, 1);
        apr_thread_cond_broadcast(imu_crowd_freed());
    }
}

/* With the lock given up. @return whether it is its turn now */
static int wait_for_turn(imu_packer *me)
{
    apr_time_t end = imu_clock_steady() + IMU_CROWD_LINE;
    apr_status_t rv = APR_SUCCESS;

    hand_round();
    while (me->in && !me->packs && (rv == APR_SUCCESS || APR_STATUS_IS_TIMEUP(rv)) &&
           imu_clock_steady() < end) {
        rv = apr_thread_cond_timedwait(imu_crowd_freed(), imu_crowd_lock(), IMU_CROWD_LOOK);
        me->moved = imu_clock_steady();
        hand_round();
    }
    return me->packs;
}

/* ---- who comes in ---- */

/* Where somebody is noted; `noted` when nowhere. Forgets those who have not come again in time. */
static int place_of(const char *who)
{
    apr_time_t now = imu_clock_steady();
    int kept = 0, i = 0;

    for (int j = 0; j < noted; j++)
        if (notes[j].until > now)
            notes[kept++] = notes[j];
    noted = kept;
    while (i < noted && strcmp(notes[i].who, who) != 0)
        i++;
    return i;
}

static void take_note(const char *who)
{
    int i = place_of(who);

    if (i == MAX_IN)
        return;
    if (i == noted)
        apr_cpystrn(notes[noted++].who, who, sizeof notes[0].who);
    notes[i].until = imu_clock_steady() + NOTED;
}

static void forget(const char *who)
{
    int i = place_of(who);

    if (i < noted)
        memmove(&notes[i], &notes[i + 1], (size_t)(--noted - i) * sizeof notes[0]);
}

/* Who has to give up their place, or NULL: of those with most, the one who came last has done
 * least.
 */
static imu_packer *taken_from(const imu_packer *me)
{
    apr_time_t now = imu_clock_steady();
    int same = held_by(me->who, 0), most = 0;
    imu_packer *found = NULL;

    for (int i = 0; i < count; i++) {
        int held = held_by(in[i]->who, 0);
        int late = in[i]->moved < now - STILL || in[i]->came < now - LONGEST;

        if (held >= most && (held > same + 1 || (late && held > same))) {
            found = in[i];
            most = held;
        }
    }
    return found;
}

/* @return whether there is a place for this one now: a free one that is not kept for those who were
 * refused before, or somebody else's. Where nobody is in, none is kept. */
static int has_place(const imu_packer *me)
{
    int room = imu_crowd_packing_room() + imu_crowd_line_room(me->stream);
    imu_packer *other;

    if (room > 0 && count < MAX_IN)
        return count == 0 || room > place_of(me->who);
    if (!(other = taken_from(me)))
        return 0;
    put_out(other);
    return 1;
}

static int come_in(imu_packer *me)
{
    if (held_by(me->who, 0) >= imu_crowd_packing_each())
        return 0;
    if (!has_place(me)) {
        take_note(me->who);
        return 0;
    }
    forget(me->who);
    let_in(me);
    return 1;
}

int imu_packer_enter(imu_packer *me)
{
    apr_thread_mutex_t *lock = imu_crowd_lock();
    int packs;

    if (!lock)
        return 0;
    apr_thread_mutex_lock(lock);
    packs = come_in(me) && wait_for_turn(me);
    if (!packs && me->in) {
        put_out(me);
        take_note(me->who);
    }
    apr_thread_mutex_unlock(lock);
    return packs ? 0 : -1;
}

int imu_packer_goes_on(void *data)
{
    apr_thread_mutex_t *lock = imu_crowd_lock();
    imu_packer *me = data;
    int packs;

    if (!lock)
        return 1;
    apr_thread_mutex_lock(lock);
    me->moved = imu_clock_steady();
    packs = me->packs || wait_for_turn(me);
    apr_thread_mutex_unlock(lock);
    return packs;
}

void imu_packer_leave(imu_packer *me)
{
    apr_thread_mutex_t *lock = imu_crowd_lock();

    if (!lock)
        return;
    apr_thread_mutex_lock(lock);
    if (me->in)
        put_out(me);
    hand_round();
    apr_thread_mutex_unlock(lock);
}
