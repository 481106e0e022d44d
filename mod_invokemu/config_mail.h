/*
 * config_mail.h: what the directives about mail come to, checked at the start.
 */
#ifndef IMU_CONFIG_MAIL_H
#define IMU_CONFIG_MAIL_H

#include "mod_invokemu/config.h"

#define IMU_MAIL_NONE "none" /**< a directive that is not set */

/** Fills i->mail, and makes NULL of what is "none". @return NULL or the sentence for the
 * administrator */
const char *imu_config_mail(apr_pool_t *p, imu_instance *i);
/** The first line of the password's file. @return NULL or a sentence */
const char *imu_mail_password_read(apr_pool_t *p, const char *path, const char **password);

#endif
