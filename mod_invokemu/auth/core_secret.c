#include "mod_invokemu/auth/core_secret.h"

#include <pthread.h>
#include <string.h>
#include <apr_strings.h>

#include "mod_invokemu/auth/core_token.h"
#include "mod_invokemu/util/ids.h"

#define SECRET_BYTES 32
#define SECRET_MAX   255

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char kept[SECRET_MAX + 1];

static imu_err *load(imu_db *db, apr_pool_t *p)
{
    imu_rows *rows;
    const char *value;
    imu_err *err = imu_db_select(db, p, &rows, "setting_get", "s", IMU_SECRET_SETTING);

    if (err)
        return err;
    value = rows->count ? imu_text(rows, 0, "value") : NULL;
    if (!value || strlen(value) < IMU_TOKEN_KEY_MIN || strlen(value) > SECRET_MAX)
        return imu_error_internal(p, "the database holds no usable " IMU_SECRET_SETTING);
    pthread_mutex_lock(&lock);
    apr_cpystrn(kept, value, sizeof kept);
    pthread_mutex_unlock(&lock);
    return NULL;
}

imu_err *imu_secrets_ensure(imu_db *db)
{
    imu_err *err =
        imu_db_exec(db, db->pool, NULL, "setting_put_if_absent", "sss", IMU_SECRET_SETTING,
                    imu_random_token(db->pool, SECRET_BYTES), imu_now(db->pool));

    return err ? err : load(db, db->pool);
}

imu_err *imu_secret(imu_db *db, apr_pool_t *p, const char **key)
{
    imu_err *err;
    int have;

    pthread_mutex_lock(&lock);
    have = kept[0] != '\0';
    if (have)
        *key = apr_pstrdup(p, kept);
    pthread_mutex_unlock(&lock);
    if (have)
        return NULL;
    if ((err = load(db, p)))
        return err;
    return imu_secret(db, p, key);
}
