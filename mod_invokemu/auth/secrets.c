#include "mod_invokemu/auth/secrets.h"

#include "mod_invokemu/util/ids.h"

#define SECRET_BYTES 32

imu_err *imu_secrets_ensure(imu_db *db)
{
    return imu_db_exec(db, db->pool, NULL, "setting_put_if_absent", "sss", IMU_JWT_SECRET_SETTING,
                       imu_random_token(db->pool, SECRET_BYTES), imu_now(db->pool));
}
