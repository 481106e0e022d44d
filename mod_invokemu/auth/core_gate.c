#include "mod_invokemu/auth/core_gate.h"

apr_status_t imu_gate_create(apr_pool_t *p, int max_inside, int max_waiting, imu_gate **out)
{
    imu_gate *gate = apr_pcalloc(p, sizeof *gate);
    apr_status_t rv = apr_thread_mutex_create(&gate->lock, APR_THREAD_MUTEX_DEFAULT, p);

    if (rv == APR_SUCCESS)
        rv = apr_thread_cond_create(&gate->freed, p);
    gate->max_inside = max_inside;
    gate->max_waiting = max_waiting;
    *out = gate;
    return rv;
}

int imu_gate_enter(imu_gate *gate, apr_interval_time_t patience)
{
    apr_time_t until = apr_time_now() + patience;
    apr_status_t rv = APR_SUCCESS;
    int in = 0;

    apr_thread_mutex_lock(gate->lock);
    if (gate->inside < gate->max_inside || gate->waiting < gate->max_waiting) {
        gate->waiting++;
        while (gate->inside >= gate->max_inside && rv == APR_SUCCESS) {
            apr_interval_time_t left = until - apr_time_now();

            rv = left > 0 ? apr_thread_cond_timedwait(gate->freed, gate->lock, left) : APR_TIMEUP;
        }
        gate->waiting--;
        in = gate->inside < gate->max_inside;
        gate->inside += in;
    }
    apr_thread_mutex_unlock(gate->lock);
    return in;
}

void imu_gate_leave(imu_gate *gate)
{
    apr_thread_mutex_lock(gate->lock);
    gate->inside--;
    apr_thread_cond_signal(gate->freed);
    apr_thread_mutex_unlock(gate->lock);
}
