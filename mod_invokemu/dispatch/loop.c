#include "mod_invokemu/dispatch/loop.h"

#include "mod_invokemu/dispatch/heap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define MAX_EVENTS 64

struct imu_watch {
    imu_loop *loop;
    int fd;
    unsigned events;
    imu_watch_fn *fn;
    void *baton;
    int removed;
    imu_watch *prev, *next; /* all watches, or the ones to free */
};

struct imu_timer {
    imu_loop *loop;
    int64_t due;
    imu_heap_node node; /* in the heap while armed */
    imu_timer_fn *fn;
    void *baton;
    imu_timer *prev, *next;
};

struct imu_loop {
    int epoll_fd;
    int stopped;
    int64_t now;
    imu_watch *watches;
    imu_watch
        *dead; /* freed at the end of the turn: a later event of the same batch may name them */
    imu_timer *timers;
    size_t n_timers;
    imu_heap armed; /* timers, soonest first; has room for all of them, so arming can't fail */
};

static void (*log_sink)(int, const char *);

static int64_t clock_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static imu_timer *timer_of(const imu_heap_node *node)
{
    return IMU_HEAP_ITEM(node, imu_timer, node);
}

static int is_sooner(const imu_heap_node *one, const imu_heap_node *other)
{
    return timer_of(one)->due < timer_of(other)->due;
}

static imu_timer *soonest(const imu_loop *loop)
{
    return loop->armed.len ? timer_of(imu_heap_first(&loop->armed)) : NULL;
}

imu_loop *imu_loop_new(void)
{
    imu_loop *loop = calloc(1, sizeof *loop);

    if (!loop)
        return NULL;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        free(loop);
        return NULL;
    }
    loop->armed.before = is_sooner;
    loop->now = clock_ms();
    return loop;
}

static void free_dead(imu_loop *loop)
{
    while (loop->dead) {
        imu_watch *watch = loop->dead;

        loop->dead = watch->next;
        free(watch);
    }
}

void imu_loop_free(imu_loop *loop)
{
    if (!loop)
        return;
    for (imu_watch *watch = loop->watches, *after; watch; watch = after) {
        after = watch->next;
        imu_watch_remove(watch);
    }
    for (imu_timer *timer = loop->timers, *after; timer; timer = after) {
        after = timer->next;
        imu_timer_remove(timer);
    }
    free_dead(loop);
    imu_heap_clear(&loop->armed);
    close(loop->epoll_fd);
    free(loop);
}

void imu_loop_stop(imu_loop *loop)
{
    loop->stopped = 1;
}

int64_t imu_loop_now(const imu_loop *loop)
{
    return loop->now;
}

static uint32_t epoll_bits(unsigned events)
{
    return (events & IMU_LOOP_READ ? (uint32_t)EPOLLIN : 0) |
           (events & IMU_LOOP_WRITE ? (uint32_t)EPOLLOUT : 0);
}

imu_watch *imu_watch_add(imu_loop *loop, int fd, unsigned events, imu_watch_fn *fn, void *baton)
{
    imu_watch *watch = calloc(1, sizeof *watch);
    struct epoll_event ev = {.events = epoll_bits(events)};

    if (!watch)
        return NULL;
    *watch = (imu_watch){.loop = loop, .fd = fd, .events = events, .fn = fn, .baton = baton};
    ev.data.ptr = watch;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
        int saved = errno;

        free(watch);
        errno = saved;
        return NULL;
    }
    watch->next = loop->watches;
    if (loop->watches)
        loop->watches->prev = watch;
    loop->watches = watch;
    return watch;
}

void imu_watch_set(imu_watch *watch, unsigned events)
{
    struct epoll_event ev = {.events = epoll_bits(events), .data = {.ptr = watch}};

    if (watch->removed || watch->events == events)
        return;
    if (epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &ev) < 0) {
        imu_dlog(IMU_LOG_ERR, "event loop: can't change a watch: errno %d", errno);
        return;
    }
    watch->events = events;
}

void imu_watch_remove(imu_watch *watch)
{
    imu_loop *loop;

    if (!watch || watch->removed)
        return;
    loop = watch->loop;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->removed = 1;
    if (watch->prev)
        watch->prev->next = watch->next;
    else
        loop->watches = watch->next;
    if (watch->next)
        watch->next->prev = watch->prev;
    watch->next = loop->dead;
    loop->dead = watch;
}

imu_timer *imu_timer_add(imu_loop *loop, int64_t delay_ms, imu_timer_fn *fn, void *baton)
{
    imu_timer *timer;

    if (imu_heap_reserve(&loop->armed, loop->n_timers + 1) != 0)
        return NULL;
    timer = calloc(1, sizeof *timer);
    if (!timer)
        return NULL;
    *timer = (imu_timer){.loop = loop, .fn = fn, .baton = baton};
    timer->next = loop->timers;
    if (loop->timers)
        loop->timers->prev = timer;
    loop->timers = timer;
    loop->n_timers++;
    imu_timer_set(timer, delay_ms);
    return timer;
}

void imu_timer_set(imu_timer *timer, int64_t delay_ms)
{
    imu_loop *loop = timer->loop;

    if (delay_ms < 0) {
        imu_heap_take(&loop->armed, &timer->node);
        return;
    }
    timer->due = clock_ms() + delay_ms;
    imu_heap_put(&loop->armed, &timer->node);
}

void imu_timer_remove(imu_timer *timer)
{
    if (!timer)
        return;
    imu_heap_take(&timer->loop->armed, &timer->node);
    if (timer->prev)
        timer->prev->next = timer->next;
    else
        timer->loop->timers = timer->next;
    if (timer->next)
        timer->next->prev = timer->prev;
    timer->loop->n_timers--;
    free(timer);
}

/* Timers that a callback arms for at once run in the next turn, so descriptors are never starved.
 */
static void run_timers(imu_loop *loop)
{
    int64_t now = loop->now;
    imu_timer *timer;

    for (size_t left = loop->armed.len; left > 0; left--) {
        timer = soonest(loop);
        if (!timer || timer->due > now)
            break;
        imu_heap_take(&loop->armed, &timer->node);
        timer->fn(timer->baton);
    }
}

static int wait_ms(const imu_loop *loop, int max_wait_ms)
{
    const imu_timer *next = soonest(loop);
    int64_t left;

    if (!next)
        return max_wait_ms;
    left = next->due - clock_ms();
    if (left < 0)
        left = 0;
    if (max_wait_ms >= 0 && left > max_wait_ms)
        return max_wait_ms;
    return left > 3600000 ? 3600000 : (int)left;
}

int imu_loop_turn(imu_loop *loop, int max_wait_ms)
{
    struct epoll_event events[MAX_EVENTS];
    int n = epoll_wait(loop->epoll_fd, events, MAX_EVENTS, wait_ms(loop, max_wait_ms));

    if (n < 0 && errno != EINTR)
        return -1;
    loop->now = clock_ms();
    for (int i = 0; i < n; i++) {
        imu_watch *watch = events[i].data.ptr;
        unsigned told = (events[i].events & EPOLLIN ? IMU_LOOP_READ : 0) |
                        (events[i].events & EPOLLOUT ? IMU_LOOP_WRITE : 0) |
                        (events[i].events & (EPOLLHUP | EPOLLERR) ? IMU_LOOP_HUP : 0);

        if (!watch->removed)
            watch->fn(watch->baton, told);
    }
    run_timers(loop);
    free_dead(loop);
    return 0;
}

int imu_loop_run(imu_loop *loop)
{
    loop->stopped = 0;
    while (!loop->stopped) {
        if (imu_loop_turn(loop, -1) < 0)
            return -1;
    }
    return 0;
}

void imu_dlog_sink(void (*sink)(int level, const char *line))
{
    log_sink = sink;
}

void imu_dlog(int level, const char *fmt, ...)
{
    char line[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (log_sink)
        log_sink(level, line);
    else
        fprintf(stderr, "%s\n", line);
}
