/* socket_seat.c: whose an event socket is: a network's, until somebody has signed in on it. */
#include <string.h>

#include "mod_invokemu/events/blocked.h"
#include "mod_invokemu/events/socket_internal.h"

const char *imu_socket_owner(imu_socket *s, int *known)
{
    const char *who;

    pthread_mutex_lock(&s->lock);
    *known = s->account != NULL;
    who = s->account ? s->account : s->network;
    pthread_mutex_unlock(&s->lock);
    return who;
}

void imu_socket_take_seat(imu_socket *s, imu_seat *seat)
{
    pthread_mutex_lock(&s->lock);
    s->seat = seat;
    if (s->c)
        imu_seat_park(seat, s->known ? NULL : s->network);
    pthread_mutex_unlock(&s->lock);
}

void imu_sockets_known(uint64_t id, const char *account)
{
    imu_socket *s = imu_socket_find(id);

    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    if (!s->ending && s->state != IMU_SOCKET_OVER) {
        s->known = 1;
        if (!s->account)
            s->account = strdup(account);
        if (s->c && s->seat)
            imu_seat_park(s->seat, NULL);
    }
    pthread_mutex_unlock(&s->lock);
    imu_blocked_known(s);
    imu_socket_release(s);
}

void imu_socket_part(imu_socket *s)
{
    s->known = 0;
    if (s->c && s->seat)
        imu_seat_park(s->seat, s->network);
}
