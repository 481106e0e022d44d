/*
 * style_presets.h: what the handlers of style presets share.
 */
#ifndef IMU_API_STYLE_PRESETS_H
#define IMU_API_STYLE_PRESETS_H

#include "mod_invokemu/request.h"
#include "mod_invokemu/store/style_presets.h"
#include "mod_invokemu/validate.h"

/** Bounds of a preset's texts, in bytes. */
#define IMU_PRESET_NAME_MAX 1000
#define IMU_PRESET_TEXT_MAX 20000

/** Whether a new preset is public when nobody says: where everybody is the same person, nothing is
 * private. */
int imu_preset_public_default(const imu_req *req);
/** What is wrong with a preset, as the 400 that upstream's clients know. @return NULL when nothing
 * is
 */
imu_err *imu_preset_check_end(imu_req *req, imu_check *c);

#endif
