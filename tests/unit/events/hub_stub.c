#include "tests/unit/events/hub_stub.h"

#include <string.h>

#include "mod_invokemu/auth/identity.h"

stub_user stub_users[4];
int stub_trims;

void stub_trim(void)
{
    stub_trims++;
}

void stub_reset(void)
{
    static const stub_user users[4] = {
        {"alice", 0, 1, 0, 0}, {"bob", 0, 1, 0, 0}, {"carol", 0, 1, 0, 0}, {"root", 1, 1, 0, 0}};

    memcpy(stub_users, users, sizeof users);
}

stub_user *stub_find(const char *user_id)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(stub_users[i].user_id, user_id) == 0)
            return &stub_users[i];
    return NULL;
}

void imu_identity_system(imu_identity *who)
{
    *who = (imu_identity){.via = IMU_VIA_SYSTEM, .user_id = IMU_SYSTEM_USER, .is_admin = 1};
}

imu_err *imu_identity_from_token(imu_db *db, apr_pool_t *p, const char *token, imu_identity *who)
{
    size_t len = strcspn(token, ":");

    (void)db;
    for (int i = 0; i < 4; i++) {
        const stub_user *u = &stub_users[i];

        if (u->active && strlen(u->user_id) == len && strncmp(u->user_id, token, len) == 0) {
            *who = (imu_identity){.via = IMU_VIA_BEARER,
                                  .user_id = u->user_id,
                                  .is_admin = u->is_admin,
                                  .must_change_password = u->must_change_password,
                                  .expires_at = u->expires};
            return NULL;
        }
    }
    return imu_error(p, 401, "session_ended", "Your session has ended.");
}
