#include "mod_invokemu/api/board_news.h"

#include "mod_invokemu/events/publish.h"
#include "mod_invokemu/store/board_shares.h"
#include "mod_invokemu/store/boards.h"
#include "mod_invokemu/util/jsons.h"

#define EVENT "boards_changed"

imu_err *imu_board_audience_read(imu_req *req, const char *board_id, imu_board_audience **audience)
{
    imu_board_audience *a = apr_pcalloc(req->p, sizeof *a);
    imu_board_facts *facts;
    json_t *shares, *one;
    imu_err *err;
    size_t i;

    if ((err = imu_board_facts_get(req->db, req->p, req->who.user_id, board_id, &facts)) ||
        (err = imu_board_shares(req->db, req->p, board_id, req->who.user_id, 0, &shares)))
        return err;
    a->board_id = board_id;
    a->owner_id = facts ? facts->owner_id : NULL;
    a->everyone = facts && facts->visibility != IMU_PRIVATE;
    a->named = imu_json_own(req->p, json_array());
    json_array_foreach (shares, i, one)
        json_array_append(a->named, json_object_get(one, "user_id"));
    *audience = a;
    return NULL;
}

static void tell(imu_req *req, const imu_board_audience *a, const char *person, int everyone)
{
    json_int_t now = (json_int_t)apr_time_sec(apr_time_now());

    imu_publish(EVENT, person,
                imu_json_own(req->p, json_pack("{s:I, s:s, s:b}", "timestamp", now, "board_id",
                                               a->board_id, "seen_by_everyone", everyone)));
}

void imu_board_tell(imu_req *req, const imu_board_audience *a)
{
    json_t *one;
    size_t i;

    if (!a->owner_id)
        return;
    json_array_foreach (a->named, i, one)
        tell(req, a, json_string_value(one), 0);
    tell(req, a, a->owner_id, a->everyone);
}

void imu_board_tell_now(imu_req *req, const char *board_id, int everyone)
{
    imu_board_audience *audience;

    if (imu_board_audience_read(req, board_id, &audience))
        return;
    audience->everyone |= everyone;
    imu_board_tell(req, audience);
}
