#include "mod_invokemu/store/audit.h"

#include <apr_strings.h>

#include "mod_invokemu/util/ids.h"

/* Greater than every character of a time text: "2026-11-21~" comes after all of that day. */
#define AFTER_ALL "~"

imu_err *imu_audit_add(imu_db *db, apr_pool_t *p, const imu_audit_entry *e)
{
    return imu_db_exec(db, p, NULL, "audit_add", "ssssssssss", imu_now(p), e->action,
                       e->refused ? "refused" : "ok", e->user_id, e->user_email, e->address,
                       e->target_type, e->target_id, e->target_name, e->detail);
}

imu_err *imu_audit_page(imu_db *db, apr_pool_t *p, const imu_audit_filter *f, imu_rows **rows)
{
    const char *like = f->search ? imu_like_anywhere(p, f->search) : NULL;

    return imu_db_select(db, p, rows, "audit_page", "issssssssssssi", f->before, f->action,
                         f->action, f->result, f->result, f->user_id, f->user_id,
                         f->since ? f->since : "",
                         apr_pstrcat(p, f->until ? f->until : "", AFTER_ALL, NULL), like, like,
                         like, like, f->limit);
}

imu_err *imu_audit_purge(imu_db *db, apr_pool_t *p, int days, int *removed)
{
    static const struct {
        const char *result;
        apr_int64_t most;
    } kinds[] = {{"ok", IMU_AUDIT_MAX}, {"refused", IMU_AUDIT_MAX_REFUSED}};
    apr_time_t oldest = apr_time_now() - apr_time_from_sec((apr_int64_t)days * 24 * 3600);
    imu_err *err = NULL;

    *removed = 0;
    for (size_t i = 0; !err && i < sizeof kinds / sizeof kinds[0]; i++) {
        int some = 0;

        err = imu_db_exec(db, p, &some, "audit_purge", "sssi", imu_time_text(p, oldest),
                          kinds[i].result, kinds[i].result, kinds[i].most);
        *removed += some;
    }
    return err;
}
