/*
 * template.h: the texts of mails, in files that an administrator may edit. Free of httpd.
 *
 * A file starts with lines that have a # before them and are left out, then "Subject: ...", an
 * empty line, and the body. Words in braces are replaced.
 */
#ifndef IMU_MAIL_TEMPLATE_H
#define IMU_MAIL_TEMPLATE_H

#include "mod_invokemu/util/err.h"

/** What the words in braces become. Only link may be NULL, for a mail that brings none. */
typedef struct imu_mail_words {
    const char *name, *email, *server, *link, *valid;
    const char *admin; /**< who invited */
} imu_mail_words;

/** The file of a kind of mail: "invitation", "reset", "email_change" or "email_changed". NULL for
 * another kind. */
const char *imu_mail_template_file(const char *kind);
/** How long a link of that kind works, in words. */
const char *imu_mail_validity(const char *kind);
/** Reads the template of that kind. @return 500 with a sentence for the administrator */
imu_err *imu_mail_template_read(apr_pool_t *p, const char *folder, const char *kind,
                                const char **text);
/** Fills it in. Line ends in words become blanks, and long ones are cut. @return 500 as above */
imu_err *imu_mail_template_fill(apr_pool_t *p, const char *text, const imu_mail_words *words,
                                const char **subject, const char **body);

#endif
