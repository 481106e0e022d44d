/* hub_idle.c: sessions that hold no connection where nobody signs in. They cost whoever opens them
 * nothing, and there is no account that could have only so many. A browser is without a connection
 * for a moment between two polls: so where these are too many, those end that have been without one
 * for longest, and a page is in no danger however many others come. */
#include "mod_invokemu/dispatch/hub_internal.h"

void hub_idle_enter(hub_session *s)
{
    imu_hub *hub = s->hub;

    if (hub->config.multiuser || !s->signed_in || s->idle || s->poll || s->probe || s->ws)
        return;
    s->idle = 1;
    hub->n_idle++;
    APR_RING_INSERT_TAIL(&hub->idle, s, hub_session, of_idle);
}

void hub_idle_leave(hub_session *s)
{
    if (!s->idle)
        return;
    s->idle = 0;
    s->hub->n_idle--;
    APR_RING_REMOVE(s, of_idle);
}

void hub_idle_make_room(imu_hub *hub)
{
    if (hub->n_idle < HUB_ALL_IDLE)
        return;
    if (hub_may_tell(hub, &hub->told_of_idle))
        imu_dlog(IMU_LOG_INFO,
                 "IMU0335: %d pages that ask for events without a connection that stays are as "
                 "many as there is room for: the ones end that have asked for nothing for longest",
                 hub->n_idle);
    while (hub->n_idle >= HUB_ALL_IDLE)
        hub_session_free(APR_RING_FIRST(&hub->idle));
}
