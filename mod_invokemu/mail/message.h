/*
 * message.h: the text of a mail (RFC 5322, MIME of RFC 2045 and 2047). Names and subjects may hold
 * anything, and can't add a line to the header. Free of httpd.
 */
#ifndef IMU_MAIL_MESSAGE_H
#define IMU_MAIL_MESSAGE_H

#include <apr_time.h>

#include "mod_invokemu/util/err.h"

#define IMU_MAIL_BODY_MAX (64 * 1024) /**< bytes of a body */

typedef struct imu_mail_parts {
    const char *from_address, *to_address;
    const char *from_name, *to_name; /**< UTF-8, or NULL */
    const char *subject;             /**< UTF-8 */
    const char *body;                /**< UTF-8, lines ended by LF or CRLF */
    apr_time_t date;
    const char *id; /**< of the message, without its @ and host: letters, digits and dashes */
} imu_mail_parts;

/**
 * Makes the whole message, with CRLF line ends and no line above 998 bytes.
 * @return 500 for an address that could end its place in the header, or a body that is too long
 */
imu_err *imu_mail_message(apr_pool_t *p, const imu_mail_parts *m, const char **text);
/** True for an address that is safe in a header and an SMTP command: local@host, no space, control
 * character or bracket. */
int imu_mail_address_ok(const char *address);
/** Takes "Name <address>" or "address" apart. @return 0 when it is neither */
int imu_mail_mailbox(apr_pool_t *p, const char *text, const char **name, const char **address);

#endif
