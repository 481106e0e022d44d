#include "mod_invokemu/auth/authenticate.h"

#include "mod_invokemu/routes.h"

imu_err *imu_authenticate(imu_req *req)
{
    imu_access access = req->route->access;

    if (req->inst->multiuser || access == IMU_ACCESS_ACCOUNT || access == IMU_ACCESS_ACCOUNT_ADMIN) {
        if (access == IMU_ACCESS_PUBLIC)
            return NULL;
        return imu_error(req->p, 401, "not_signed_in", "Sign in first.");
    }
    imu_identity_system(&req->who);
    return NULL;
}

imu_err *imu_authenticate_after(imu_req *req)
{
    (void)req;
    return NULL;
}

void imu_identity_system(imu_identity *who)
{
    *who = (imu_identity){.via = IMU_VIA_SYSTEM, .user_id = IMU_SYSTEM_USER, .email = "system@system.invokeai", .display_name = "System", .is_admin = 1};
}
