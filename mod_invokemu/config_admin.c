#include "mod_invokemu/config_admin.h"

#include <string.h>
#include <strings.h>

#include <apr_strings.h>

#include "mod_invokemu/auth/core_email.h"
#include "mod_invokemu/auth/core_password.h"
#include "mod_invokemu/auth/identity.h"

const char *imu_config_admin(apr_pool_t *p, imu_instance *i)
{
    const char *email = i->admin_email, *hash = i->admin_password_hash;

    i->admin_email = i->admin_password_hash = NULL;
    if (strcasecmp(email, IMU_ADMIN_NONE) == 0 && strcasecmp(hash, IMU_ADMIN_NONE) == 0)
        return NULL;
    if (strcasecmp(email, IMU_ADMIN_NONE) == 0 || strcasecmp(hash, IMU_ADMIN_NONE) == 0)
        return "InvokeMUAdminEmail and InvokeMUAdminPasswordHash go together";
    if (!(i->admin_email = imu_email_normal(p, email)))
        return apr_psprintf(p, "InvokeMUAdminEmail: \"%s\" is no e-mail address", email);
    if (strcmp(i->admin_email, IMU_SYSTEM_EMAIL) == 0)
        return "InvokeMUAdminEmail: " IMU_SYSTEM_EMAIL " is the address of the internal account; "
               "name one of your own";
    if (imu_email_is_nobodys(i->admin_email))
        return "InvokeMUAdminEmail: addresses at deleted.invalid are kept for deleted accounts of "
               "an import, which nobody signs in to; name one of your own";
    if (!(i->admin_password_hash = imu_password_hash_normal(p, hash)))
        return "InvokeMUAdminPasswordHash takes a bcrypt hash of cost 10 to 16, 60 characters that "
               "begin with $2b$ or $2y$: what follows the colon in the output of htpasswd -nBC 12 "
               "admin";
    return NULL;
}
