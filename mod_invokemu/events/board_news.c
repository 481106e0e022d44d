#include "mod_invokemu/events/board_news.h"

#include <string.h>

#include "mod_invokemu/events/publish.h"
#include "mod_invokemu/store/board_shares.h"
#include "mod_invokemu/store/boards.h"
#include "mod_invokemu/util/jsons.h"

#define EVENT "boards_changed"
/* Who asks makes no difference: only ids are read. */
#define NOBODY ""

static imu_board_audience *audience_new(apr_pool_t *p)
{
    imu_board_audience *a = apr_pcalloc(p, sizeof *a);

    a->named = imu_json_own(p, json_array());
    return a;
}

imu_err *imu_board_audience_read(imu_db *db, apr_pool_t *p, const char *board_id,
                                 imu_board_audience **audience)
{
    imu_board_audience *a = audience_new(p);
    imu_board_facts *facts;
    json_t *shares, *one;
    imu_err *err;
    size_t i;

    if ((err = imu_board_facts_get(db, p, NOBODY, board_id, &facts)) ||
        (err = imu_board_shares(db, p, board_id, NOBODY, 0, &shares)))
        return err;
    a->board_id = board_id;
    a->owner_id = facts ? facts->owner_id : NULL;
    a->everyone = facts && facts->visibility != IMU_PRIVATE;
    json_array_foreach (shares, i, one)
        json_array_append(a->named, json_object_get(one, "user_id"));
    *audience = a;
    return NULL;
}

imu_err *imu_board_audience_of(imu_db *db, apr_pool_t *p, const char *user_id, const char *heir,
                               imu_board_audience **audience)
{
    imu_board_audience *a = audience_new(p);
    imu_rows *rows;
    imu_err *err =
        imu_db_select(db, p, &rows, "boards_audience_of", "sss", user_id, user_id, user_id);

    if (err)
        return err;
    a->owner_id = user_id;
    for (int i = 0; i < rows->count; i++) {
        const char *one = imu_text(rows, i, "user_id");

        a->everyone |= imu_bool(rows, i, "everyone");
        if (strcmp(one, user_id) != 0 && !(heir && strcmp(one, heir) == 0))
            json_array_append_new(a->named, json_string(one));
    }
    if (heir)
        json_array_append_new(a->named, json_string(heir));
    *audience = a;
    return NULL;
}

static void tell(const imu_board_audience *a, const char *person, int everyone)
{
    json_t *data =
        json_pack("{s:I, s:s?, s:b}", "timestamp", (json_int_t)apr_time_sec(apr_time_now()),
                  "board_id", a->board_id, "seen_by_everyone", everyone);

    imu_publish(EVENT, person, data);
    json_decref(data);
}

void imu_board_tell(const imu_board_audience *a)
{
    json_t *one;
    size_t i;

    if (!a->owner_id)
        return;
    json_array_foreach (a->named, i, one)
        tell(a, json_string_value(one), 0);
    tell(a, a->owner_id, a->everyone);
}

void imu_board_tell_now(imu_db *db, apr_pool_t *p, const char *board_id, int everyone)
{
    imu_board_audience *audience;

    if (imu_board_audience_read(db, p, board_id, &audience))
        return;
    audience->everyone |= everyone;
    imu_board_tell(audience);
}
