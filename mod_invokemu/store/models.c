#include "mod_invokemu/store/models.h"

imu_err *imu_models_scan(imu_db *db, const char *dir)
{
    (void)db;
    (void)dir;
    return NULL;
}
