/*
 * config_admin.h: what the configuration says of the root administrator.
 */
#ifndef IMU_CONFIG_ADMIN_H
#define IMU_CONFIG_ADMIN_H

#include "mod_invokemu/config.h"

#define IMU_ADMIN_NONE "none"

/** Checks address and hash, brings both into the form that the database has, and puts NULL where
 * there is none. @return NULL or the sentence for the administrator */
const char *imu_config_admin(apr_pool_t *p, imu_instance *i);

#endif
