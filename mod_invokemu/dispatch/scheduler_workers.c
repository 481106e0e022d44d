/* scheduler_workers.c: tells everybody whether anybody renders: pages say so, instead of leaving
 * jobs waiting without a word. */
#include "mod_invokemu/dispatch/scheduler_internal.h"

#include <apr_strings.h>

#include "mod_invokemu/dispatch/hub.h"
#include "mod_invokemu/store/queue.h"

void imu_scheduler_count_workers(imu_scheduler *s)
{
    apr_pool_t *p = imu_scratch(s->d);
    json_t *news;
    imu_err *err;
    int ready = 0;

    for (int i = 0; i < s->n_workers; i++)
        ready += imu_worker_is_ready(s->workers[i]);
    if (ready != s->told_of_workers) {
        if ((err = imu_queue_set_workers(s->d->db, p, ready))) {
            imu_dlog(IMU_LOG_ERR, "IMU0436: the number of workers can't be noted: %s",
                     err->log ? err->log : err->detail);
        } else {
            s->told_of_workers = ready;
            news = json_pack("{s:I}", "timestamp", (json_int_t)apr_time_sec(apr_time_now()));
            imu_hub_emit(s->d->hub, "workers_changed", NULL, news);
            json_decref(news);
        }
    }
    imu_scratch_end(s->d, p);
}
