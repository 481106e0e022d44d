#include "mod_invokemu/auth/core_cookie.h"

#include <string.h>

#include <apr_strings.h>

const char *imu_cookie_find(apr_pool_t *p, const char *header, const char *name)
{
    const char *at = header, *found = NULL;
    apr_size_t name_len = strlen(name);

    while (at && *at) {
        apr_size_t len;

        at += strspn(at, " ;");
        len = strcspn(at, ";");
        if (len > name_len && at[name_len] == '=' && memcmp(at, name, name_len) == 0) {
            if (found)
                return NULL;
            found = apr_pstrmemdup(p, at + name_len + 1, len - name_len - 1);
        }
        at += len;
    }
    return found && *found ? found : NULL;
}
