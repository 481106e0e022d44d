/* hub_strangers.c: how many sessions wait to say who they are. They prove nothing and, where they
 * poll, cost not even a connection: so one address gets only so many of them, and all addresses
 * together. Where these are too many, newcomers get in and the oldest one ends of the network that
 * has most: whoever signs in has some time for it, however many others only come. */
#include "mod_invokemu/dispatch/hub_internal.h"

int hub_stranger_room(imu_hub *hub, const char *address)
{
    const hub_owner *a = hub_owner_find(hub->addresses, address);

    if (!a || a->count < HUB_MAX_STRANGERS || hub_owner_end_lingering(a) == 0)
        return 1;
    if (hub_may_tell(hub, &hub->told_of_address))
        imu_dlog(IMU_LOG_INFO, "IMU0333: %d event sockets of %s wait to sign in: no more of them",
                 HUB_MAX_STRANGERS, address);
    return 0;
}

/* ---- all of them ---- */

static void count(imu_hub *hub, hub_owner *network, int change)
{
    hub->n_strangers += change;
    network->count += change;
    imu_heap_put(&hub->crowded, &network->node);
}

static hub_owner *most_crowded(const imu_hub *hub)
{
    return IMU_HEAP_ITEM(imu_heap_first(&hub->crowded), hub_owner, node);
}

static hub_session *next_to_leave(const imu_hub *hub)
{
    const hub_owner *network = most_crowded(hub);

    return network->count > HUB_FEW_STRANGERS ? APR_RING_FIRST(&network->strangers)
                                              : APR_RING_FIRST(&hub->strangers);
}

int hub_network_before(const imu_heap_node *one, const imu_heap_node *other)
{
    return IMU_HEAP_ITEM(one, hub_owner, node)->count >
           IMU_HEAP_ITEM(other, hub_owner, node)->count;
}

static void make_room(imu_hub *hub)
{
    hub_session *s;

    if (hub->n_strangers < HUB_ALL_STRANGERS)
        return;
    s = next_to_leave(hub);
    if (hub_may_tell(hub, &hub->told_of_all))
        imu_dlog(IMU_LOG_INFO,
                 "IMU0334: %d event sockets that wait to sign in are as many as there is room for: "
                 "the oldest one of network %s, which has %d, ends",
                 hub->n_strangers, s->network->name, s->network->count);
    hub_session_free(s);
}

int hub_stranger_enter(hub_session *s, const char *address, const char *network)
{
    imu_hub *hub = s->hub;
    hub_owner *owner;

    make_room(hub);
    if (!(owner = hub_owner_add(hub->addresses, NULL, address)))
        return -1;
    hub_owner_give(owner, s);
    if (!(owner = hub_owner_add(hub->networks, &hub->crowded, network)))
        return -1;
    s->network = owner;
    APR_RING_INSERT_TAIL(&owner->strangers, s, hub_session, of_network);
    count(hub, owner, 1);
    APR_RING_INSERT_TAIL(&hub->strangers, s, hub_session, of_strangers);
    return 0;
}

void hub_stranger_leave(hub_session *s)
{
    hub_owner *network = s->network;

    if (!network)
        return;
    s->network = NULL;
    APR_RING_REMOVE(s, of_strangers);
    APR_RING_REMOVE(s, of_network);
    count(s->hub, network, -1);
    if (network->count == 0)
        hub_owner_drop(network);
}
