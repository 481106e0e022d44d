/*
 * store/server_settings.h: what a server's configuration says, for the command line beside it,
 * which reads none of Apache's files. The server writes it into the database at each start.
 */
#ifndef IMU_SERVER_SETTINGS_H
#define IMU_SERVER_SETTINGS_H

#include "mod_invokemu/store/db.h"

/** Texts are NULL where nothing is known. */
typedef struct imu_server_settings {
    int strict_passwords, password_length; /**< as in core_password.h */
    int audit_sign_ins, audit_changes;     /**< which kinds of entries the audit log gets */
    int mail;                              /**< whether there is a mail server */
    const char *public_url;                /**< where people reach the server, without last slash */
    const char *dispatcher;                /**< socket of the dispatcher */
    const char *media;                     /**< socket of the media process */
    const char *models;                    /**< folder of models */
    const json_t *directives; /**< value in force by name of directive, for the next start to
                                 compare with; not read back */
} imu_server_settings;

/**
 * Writes them down.
 * @param database  file of db, which they are for
 * @param changed  the directives that say something else than at the start before, {name: {from,
 * to}}, owned by p; empty at the first start
 */
imu_err *imu_server_settings_write(imu_db *db, apr_pool_t *p, const char *database,
                                   const imu_server_settings *settings, json_t **changed);
/** Reads them; the defaults where no server has started yet, and for a copy of another's database.
 */
imu_err *imu_server_settings_read(imu_db *db, apr_pool_t *p, const char *database,
                                  imu_server_settings *settings);

#endif
