/*
 * style_presets.h: texts to put around a prompt, kept under a name. Decides nothing about access;
 * the facts for that come along.
 */
#ifndef IMU_STYLE_PRESETS_H
#define IMU_STYLE_PRESETS_H

#include "mod_invokemu/policy.h"
#include "mod_invokemu/store/db.h"

typedef struct imu_preset {
    const char *id;
    const char *name;
    const char *positive; /**< prompt; "{prompt}" in it stands for the person's own words */
    const char *negative; /**< negative prompt */
    const char *image;    /**< name of its picture's file, or NULL */
    const char *updated_at;
    imu_preset_facts facts;
} imu_preset;

typedef struct imu_preset_list {
    int count;
    imu_preset *items;
} imu_preset_list;

/** Writes a new row of everything in preset but updated_at. */
imu_err *imu_preset_insert(imu_db *db, apr_pool_t *p, const imu_preset *preset);
/** *preset is NULL when there is none. */
imu_err *imu_preset_get(imu_db *db, apr_pool_t *p, const char *id, imu_preset **preset);
/** Writes everything but id and owner. */
imu_err *imu_preset_update(imu_db *db, apr_pool_t *p, const imu_preset *preset);
imu_err *imu_preset_delete(imu_db *db, apr_pool_t *p, const char *id);
/** What who may see, by name: own, public and default ones; administrators see all. */
imu_err *imu_presets_list(imu_db *db, apr_pool_t *p, const imu_identity *who,
                          imu_preset_list *list);

#endif
