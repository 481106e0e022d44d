/*
 * loop.h: the dispatcher's event loop: descriptors and timers on one thread, by epoll.
 *
 * Free of httpd, so that unit tests run it. Nothing here may be called from another thread or from
 * a signal handler (write to a watched pipe instead). Callbacks may add, change and remove any
 * watch or timer, their own included; what has been removed is never called again, and its memory
 * goes at the end of the turn.
 */
#ifndef IMU_LOOP_H
#define IMU_LOOP_H

#include <stdarg.h>
#include <stdint.h>

#define IMU_LOOP_READ  1u /**< wanted and told: something to read, or the end */
#define IMU_LOOP_WRITE 2u /**< wanted and told: room to write */
#define IMU_LOOP_HUP                                                                               \
    4u /**< told only: the peer is gone or the descriptor is broken; reading says which */

typedef struct imu_loop imu_loop;
typedef struct imu_watch imu_watch;
typedef struct imu_timer imu_timer;

typedef void imu_watch_fn(void *baton, unsigned events);
typedef void imu_timer_fn(void *baton);

/** @return NULL with errno set */
imu_loop *imu_loop_new(void);
/** Frees the loop with the watches and timers left in it; descriptors stay open. */
void imu_loop_free(imu_loop *loop);
/** Runs until imu_loop_stop. @return 0, or -1 with errno when waiting itself failed */
int imu_loop_run(imu_loop *loop);
/** One turn: waits at most max_wait_ms (-1: until something happens) and calls what is due. @return
 * 0 or -1 errno */
int imu_loop_turn(imu_loop *loop, int max_wait_ms);
/** Makes imu_loop_run return after this turn. */
void imu_loop_stop(imu_loop *loop);

/** Milliseconds of the monotonic clock, as read at the start of this turn. */
int64_t imu_loop_now(const imu_loop *loop);

/** Watches fd (it stays the caller's) for IMU_LOOP_READ and/or IMU_LOOP_WRITE. @return NULL with
 * errno set */
imu_watch *imu_watch_add(imu_loop *loop, int fd, unsigned events, imu_watch_fn *fn, void *baton);
/** Changes what is waited for; cheap when nothing changes. */
void imu_watch_set(imu_watch *watch, unsigned events);
/** Ends the watch. Call before closing the descriptor. NULL is ignored. */
void imu_watch_remove(imu_watch *watch);

/** A timer that runs once after delay_ms; -1 makes it unarmed. @return NULL without memory */
imu_timer *imu_timer_add(imu_loop *loop, int64_t delay_ms, imu_timer_fn *fn, void *baton);
/** Arms it anew, counted from now; -1 disarms. May be called from its own callback to repeat. Costs
 * O(log n). */
void imu_timer_set(imu_timer *timer, int64_t delay_ms);
/** Ends the timer. NULL is ignored. */
void imu_timer_remove(imu_timer *timer);

/* Levels as syslog numbers them, which are httpd's too. */
#define IMU_LOG_ERR     3
#define IMU_LOG_WARNING 4
#define IMU_LOG_INFO    6
#define IMU_LOG_DEBUG   7

/** Writes one line to the server's error log (standard error in tests). Never logs secrets, prompts
 * or pictures. */
void imu_dlog(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Sends those lines elsewhere; NULL for standard error. */
void imu_dlog_sink(void (*sink)(int level, const char *line));

#endif
