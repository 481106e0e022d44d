/* hub_strangers.c: how many sessions of one address wait to say who they are. They cost a
 * connection each and prove nothing, so one address gets only so many of them. */
#include "mod_invokemu/dispatch/hub_internal.h"

#include <stdlib.h>
#include <string.h>

static void tell(imu_hub *hub, const char *address)
{
    int64_t now = imu_loop_now(hub->config.loop);

    if (hub->told_of_strangers && now - hub->told_of_strangers < HUB_TELL_TIME)
        return;
    hub->told_of_strangers = now;
    imu_dlog(IMU_LOG_INFO, "IMU0333: %d event sockets of %s wait to sign in: no more of them",
             HUB_MAX_STRANGERS, address);
}

static hub_address *find(const imu_hub *hub, const char *text)
{
    hub_address *a = hub->strangers[hub_bucket(text)];

    while (a && strcmp(a->text, text) != 0)
        a = a->next;
    return a;
}

static hub_address *find_or_add(imu_hub *hub, const char *text)
{
    hub_address **bucket = &hub->strangers[hub_bucket(text)], *a = find(hub, text);
    size_t len = strlen(text) + 1;

    if (a || !(a = calloc(1, sizeof *a + len)))
        return a;
    memcpy(a->text, text, len);
    a->next = *bucket;
    return *bucket = a;
}

int hub_stranger_room(imu_hub *hub, const char *address)
{
    const hub_address *a = find(hub, address);

    if (!a || a->count < HUB_MAX_STRANGERS)
        return 1;
    tell(hub, address);
    return 0;
}

int hub_stranger_enter(hub_session *s, const char *address)
{
    s->stranger = find_or_add(s->hub, address);
    if (!s->stranger)
        return -1;
    s->stranger->count++;
    return 0;
}

void hub_stranger_leave(hub_session *s)
{
    hub_address *a = s->stranger, **link;

    s->stranger = NULL;
    if (!a || --a->count > 0)
        return;
    for (link = &s->hub->strangers[hub_bucket(a->text)]; *link != a; link = &(*link)->next)
        ;
    *link = a->next;
    free(a);
}
