/* hub_owners.c: whose sessions are counted together, and how many a person may have. */
#include "mod_invokemu/dispatch/hub_internal.h"

#include <stdlib.h>
#include <string.h>

hub_owner *hub_owner_find(hub_owner *const *table, const char *name)
{
    hub_owner *owner = table[hub_bucket(name)];

    while (owner && strcmp(owner->name, name) != 0)
        owner = owner->next;
    return owner;
}

hub_owner *hub_owner_add(hub_owner **table, const char *name)
{
    hub_owner **bucket = &table[hub_bucket(name)], *owner = hub_owner_find(table, name);
    size_t len = strlen(name) + 1;

    if (owner || !(owner = calloc(1, sizeof *owner + len)))
        return owner;
    memcpy(owner->name, name, len);
    APR_RING_INIT(&owner->sessions, hub_session, of_owner);
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
    free(owner);
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
}

void hub_owner_take(hub_session *s)
{
    hub_owner *owner = s->owner;

    if (!owner)
        return;
    s->owner = NULL;
    APR_RING_REMOVE(s, of_owner);
    owner->queued -= s->queued;
    if (--owner->count == 0)
        hub_owner_drop(owner);
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

int hub_person_enter(hub_session *s)
{
    hub_owner *person = has_room(s) ? hub_owner_add(s->hub->people, s->user_id) : NULL;

    if (!person)
        return -1;
    s->signed_in = 1;
    hub_stranger_leave(s);
    hub_owner_give(person, s);
    return 0;
}
