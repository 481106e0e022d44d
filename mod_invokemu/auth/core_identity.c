#include "mod_invokemu/auth/identity.h"

#include <string.h>

#include "mod_invokemu/auth/core_session.h"

void imu_identity_system(imu_identity *who)
{
    memset(who, 0, sizeof *who);
    who->via = IMU_VIA_SYSTEM;
    who->user_id = IMU_SYSTEM_USER;
    who->email = IMU_SYSTEM_EMAIL;
    who->display_name = "System";
    who->is_admin = 1;
}

imu_err *imu_identity_from_token(imu_db *db, apr_pool_t *p, const char *token, imu_identity *who)
{
    return imu_session_check(db, p, token, who, NULL);
}
