#include "mod_invokemu/auth/core_gate.h"

#include "mod_invokemu/util/clock.h"

apr_status_t imu_gate_create(apr_pool_t *p, int max_inside, imu_gate **out)
{
    imu_gate *gate = apr_pcalloc(p, sizeof *gate);
    apr_status_t rv = apr_thread_mutex_create(&gate->lock, APR_THREAD_MUTEX_DEFAULT, p);

    if (rv == APR_SUCCESS)
        rv = apr_thread_cond_create(&gate->changed, p);
    gate->max_inside = max_inside;
    gate->max_strangers = max_inside > 1 ? max_inside - 1 : 1;
    *out = gate;
    return rv;
}

/* Ends a guest's waiting. */
static void decide(imu_gate *gate, imu_gate_guest *guest, imu_gate_state state)
{
    imu_gate_guest **at = &gate->waiting;

    while (*at && *at != guest)
        at = &(*at)->next;
    if (*at)
        *at = guest->next;
    guest->state = state;
    apr_thread_cond_broadcast(gate->changed);
}

static imu_gate_guest *best_of(const imu_gate *gate, int stranger)
{
    imu_gate_guest *best = NULL;

    for (imu_gate_guest *g = gate->waiting; g; g = g->next)
        if (!g->stranger == !stranger && (!best || g->rank < best->rank))
            best = g;
    return best;
}

static imu_gate_guest *next_one(const imu_gate *gate)
{
    imu_gate_guest *known = best_of(gate, 0);
    imu_gate_guest *stranger = gate->strangers < gate->max_strangers ? best_of(gate, 1) : NULL;
    int last = gate->max_inside > 1 && gate->inside == gate->max_inside - 1;

    if (gate->inside >= gate->max_inside)
        return NULL;
    if (stranger && (!known || (last && gate->strangers == 0)))
        return stranger;
    return stranger && stranger->rank < known->rank ? stranger : known;
}

static void let_in(imu_gate *gate)
{
    imu_gate_guest *guest;

    while ((guest = next_one(gate))) {
        decide(gate, guest, IMU_GATE_IN);
        gate->inside++;
        gate->strangers += guest->stranger;
    }
}

imu_gate_state imu_gate_enter(imu_gate *gate, imu_gate_guest *guest, apr_interval_time_t patience)
{
    apr_time_t until = imu_clock_steady() + patience;
    imu_gate_guest **end = &gate->waiting;
    apr_status_t rv = APR_SUCCESS;

    apr_thread_mutex_lock(gate->lock);
    guest->state = IMU_GATE_WAITING;
    guest->next = NULL;
    while (*end)
        end = &(*end)->next;
    *end = guest;
    let_in(gate);
    while (guest->state == IMU_GATE_WAITING && rv == APR_SUCCESS) {
        apr_interval_time_t left = until - imu_clock_steady();

        rv = left > 0 ? apr_thread_cond_timedwait(gate->changed, gate->lock, left) : APR_TIMEUP;
    }
    if (guest->state == IMU_GATE_WAITING)
        decide(gate, guest, IMU_GATE_LATE);
    apr_thread_mutex_unlock(gate->lock);
    return guest->state;
}

void imu_gate_leave(imu_gate *gate, imu_gate_guest *guest)
{
    apr_thread_mutex_lock(gate->lock);
    gate->inside--;
    gate->strangers -= guest->stranger;
    let_in(gate);
    apr_thread_mutex_unlock(gate->lock);
}

int imu_gate_displace(imu_gate *gate, apr_int64_t rank)
{
    imu_gate_guest *worst = NULL;

    apr_thread_mutex_lock(gate->lock);
    for (imu_gate_guest *g = gate->waiting; g; g = g->next)
        if (g->rank > rank && (!worst || g->rank >= worst->rank))
            worst = g;
    if (worst)
        decide(gate, worst, IMU_GATE_DISPLACED);
    apr_thread_mutex_unlock(gate->lock);
    return worst != NULL;
}
