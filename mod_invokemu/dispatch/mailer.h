/*
 * mailer.h: the thread of the dispatcher that sends what waits in the queue of mails.
 */
#ifndef IMU_MAILER_H
#define IMU_MAILER_H

#include "mod_invokemu/dispatch/dispatch.h"

typedef struct imu_mailer imu_mailer;

/** Starts it, with a connection to the database of its own. @return NULL when mail is off or there
 * is no thread */
imu_mailer *imu_mailer_start(const imu_dispatch_conf *conf, int stop_fd);
/** Ends it, within about a second also in the middle of a mail. NULL is fine. */
void imu_mailer_stop(imu_mailer *m);

#endif
