/* hub_owners.c: whose sessions are counted together, and how many a person may have. */
#include "mod_invokemu/dispatch/hub_internal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

hub_owner *hub_owner_find(hub_owner *const *table, const char *name)
{
    hub_owner *owner = table[hub_bucket(name)];

    while (owner && strcmp(owner->name, name) != 0)
        owner = owner->next;
    return owner;
}

/* What lingers first, then that for which most waits; last those for which nothing does. */
static size_t weight(const imu_heap_node *node)
{
    const hub_session *s = IMU_HEAP_ITEM(node, hub_session, waits);

    return s->closing && s->queued ? SIZE_MAX : s->queued;
}

static int gives_way_before(const imu_heap_node *one, const imu_heap_node *other)
{
    return weight(one) > weight(other);
}

hub_owner *hub_owner_add(hub_owner **table, imu_heap *among, const char *name)
{
    hub_owner **bucket = &table[hub_bucket(name)], *owner = hub_owner_find(table, name);
    size_t len = strlen(name) + 1;

    if (owner || (among && imu_heap_reserve(among, among->len + 1) != 0) ||
        !(owner = calloc(1, sizeof *owner + len)))
        return owner;
    memcpy(owner->name, name, len);
    APR_RING_INIT(&owner->sessions, hub_session, of_owner);
    APR_RING_INIT(&owner->strangers, hub_session, of_network);
    owner->waiting.before = gives_way_before;
    owner->among = among;
    if (among)
        imu_heap_put(among, &owner->node);
    owner->table = table;
    owner->next = *bucket;
    return *bucket = owner;
}

void hub_owner_drop(hub_owner *owner)
{
    hub_owner **link = &owner->table[hub_bucket(owner->name)];

    while (*link != owner)
        link = &(*link)->next;
    *link = owner->next;
    if (owner->among)
        imu_heap_take(owner->among, &owner->node);
    imu_heap_clear(&owner->waiting);
    free(owner);
}

/* Only people's sessions have a place: there is always room for it. */
static void reorder(hub_session *s)
{
    if (s->owner && s->signed_in)
        imu_heap_put(&s->owner->waiting, &s->waits);
}

void hub_owner_give(hub_owner *owner, hub_session *s)
{
    /* Taking the only one would free its owner. */
    if (s->owner == owner)
        return;
    hub_owner_take(s);
    s->owner = owner;
    owner->count++;
    owner->queued += s->queued;
    APR_RING_INSERT_TAIL(&owner->sessions, s, hub_session, of_owner);
    reorder(s);
}

void hub_owner_take(hub_session *s)
{
    hub_owner *owner = s->owner;

    if (!owner)
        return;
    s->owner = NULL;
    APR_RING_REMOVE(s, of_owner);
    imu_heap_take(&owner->waiting, &s->waits);
    owner->queued -= s->queued;
    if (--owner->count == 0)
        hub_owner_drop(owner);
}

void hub_owner_waits(hub_session *s, ptrdiff_t change)
{
    s->queued += (size_t)change;
    if (s->owner)
        s->owner->queued += (size_t)change;
    reorder(s);
}

hub_session *hub_owner_gives_way(const hub_owner *person)
{
    return IMU_HEAP_ITEM(imu_heap_first(&person->waiting), hub_session, waits);
}

int hub_owner_end_lingering(const hub_owner *owner)
{
    hub_session *s;

    APR_RING_FOREACH(s, &owner->sessions, hub_session, of_owner)
    if (s->closing) {
        hub_session_free(s);
        return 0;
    }
    return -1;
}

/* The others would be deaf if somebody opened them all. What has ended and waits to be read counts,
 * or somebody could have very much wait; it makes room. */
static int has_room(const hub_session *s)
{
    const hub_owner *person = hub_owner_find(s->hub->people, s->user_id);
    int most = s->hub->config.multiuser ? s->hub->config.max_of_person : 0;

    return !most || !person || person->count < most || hub_owner_end_lingering(person) == 0;
}

/* @return whose session one more can be, or NULL */
static hub_owner *person_with_room(const hub_session *s)
{
    hub_owner *person = has_room(s) ? hub_owner_add(s->hub->people, NULL, s->user_id) : NULL;

    if (!person || imu_heap_reserve(&person->waiting, (size_t)person->count + 1) == 0)
        return person;
    if (person->count == 0)
        hub_owner_drop(person);
    return NULL;
}

int hub_person_enter(hub_session *s)
{
    hub_owner *person;

    hub_idle_make_room(s->hub);
    person = person_with_room(s);
    if (!person)
        return -1;
    hub_stranger_leave(s);
    hub_owner_take(s);
    s->signed_in = 1;
    hub_owner_give(person, s);
    hub_idle_enter(s);
    return 0;
}
