/*
 * config_report.h: what the configuration comes to, directive by directive, so that a start can
 * tell what has changed since the last one.
 */
#ifndef IMU_CONFIG_REPORT_H
#define IMU_CONFIG_REPORT_H

#include <jansson.h>

#include "mod_invokemu/config.h"

/**
 * The value in force of every directive, by its name; those of a virtual host by name and host. No
 * secrets: of a password's hash, whether there is one. After imu_config_finish.
 * @return an object; the caller owns it
 */
json_t *imu_config_report(apr_pool_t *p, const server_rec *main_server);

#endif
