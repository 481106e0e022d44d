/* hub_queue.c: what waits until a browser polls. */
#include "mod_invokemu/dispatch/hub_internal.h"

#include <stdlib.h>
#include <string.h>

/* Many small ones take as much memory as few large ones. */
static size_t size_of(size_t len)
{
    return sizeof(hub_packet) + len;
}

static int is_any(const hub_packet *packet)
{
    (void)packet;
    return 1;
}

static int is_preview(const hub_packet *packet)
{
    return packet->preview;
}

static int is_event(const hub_packet *packet)
{
    return packet->len > 2 && memcmp(packet->text, "42", 2) == 0;
}

static void subtract(hub_session *s, const hub_packet *packet)
{
    size_t size = size_of(packet->len);

    s->previews -= packet->preview;
    hub_owner_waits(s, -(ptrdiff_t)size);
    hub_released(s->hub, size);
}

static void drop(hub_session *s, int (*which)(const hub_packet *packet))
{
    hub_packet **link = &s->first;

    while (*link) {
        hub_packet *packet = *link;

        if (which(packet)) {
            *link = packet->next;
            subtract(s, packet);
            free(packet);
        } else {
            link = &packet->next;
        }
    }
    s->last = link;
}

void hub_queue_drop_events(hub_session *s)
{
    drop(s, is_event);
}

hub_packet *hub_queue_take(hub_session *s)
{
    hub_packet *packet = s->first;

    s->first = packet->next;
    if (!s->first)
        s->last = &s->first;
    subtract(s, packet);
    return packet;
}

void hub_queue_give_up(hub_session *s)
{
    drop(s, is_any);
    hub_session_drop_token(s);
    s->connected = 0;
    s->closing = 1;
    imu_timer_set(s->timer, 0);
}

/* ---- room ---- */

static int fits(const hub_session *s, size_t size)
{
    return s->queued + size <= (s->signed_in ? HUB_MAX_QUEUED : HUB_MAX_UNKNOWN);
}

/* Answers to many polls of one person at once have to fit between here and a child. */
static int fits_person(const hub_session *s, size_t size)
{
    return !s->signed_in || !s->owner || s->owner->queued + size <= HUB_MAX_PERSON;
}

/* @return 0, or -1 when this session is what has to give way */
static int make_room(hub_session *s, size_t size)
{
    if (!fits(s, size))
        return -1;
    while (!s->closing && !fits_person(s, size))
        hub_queue_give_up(hub_owner_gives_way(s->owner));
    return s->closing ? -1 : 0;
}

void hub_queue_put(hub_session *s, const char *text, size_t len, int preview)
{
    size_t size = size_of(len);
    hub_packet *packet;

    /* Only where there are some: very much may wait. */
    if (s->previews && (preview || !fits(s, size) || !fits_person(s, size)))
        drop(s, is_preview);
    packet = make_room(s, size) == 0 ? malloc(size) : NULL;
    if (!packet) {
        hub_queue_give_up(s);
        return;
    }
    packet->next = NULL;
    packet->len = len;
    packet->preview = preview != 0;
    memcpy(packet->text, text, len);
    *s->last = packet;
    s->last = &packet->next;
    s->previews += packet->preview;
    hub_owner_waits(s, (ptrdiff_t)size);
}
