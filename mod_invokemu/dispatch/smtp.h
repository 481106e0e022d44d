/*
 * smtp.h: hands one mail to the mail server (libcurl).
 */
#ifndef IMU_SMTP_H
#define IMU_SMTP_H

#include <apr_pools.h>

typedef enum imu_mail_tls { IMU_TLS_REQUIRED, IMU_TLS_IF_OFFERED, IMU_TLS_OFF } imu_mail_tls;

/** What the configuration says about mail; on is 0 when there is none. */
typedef struct imu_mail_conf {
    int on;
    const char *server; /**< smtp://host:port or smtps://host:port */
    const char *from_address, *from_name;
    const char *user, *password; /**< or NULL */
    const char *ca_file;         /**< certificates to trust; NULL: the system's */
    int tls;                     /**< imu_mail_tls */
    const char *templates;       /**< folder */
    const char *public_url;      /**< without a slash at its end */
} imu_mail_conf;

typedef enum imu_sent { IMU_MAIL_SENT, IMU_MAIL_LATER, IMU_MAIL_REFUSED } imu_sent;

/** Once in the process, before a second thread. @return 0 when it failed */
int imu_smtp_init(void);
/**
 * Sends a message; waits for it.
 * @param timeout_ms  for all of it
 * @param stopped     asked about every second; non-zero ends it
 * @param why         a short reason without secrets when it was not sent
 * @return IMU_MAIL_REFUSED when the server will never take a mail to that address
 */
imu_sent imu_smtp_send(const imu_mail_conf *conf, apr_pool_t *p, const char *to, const char *text,
                       int timeout_ms, int (*stopped)(void *), void *baton, const char **why);

#endif
