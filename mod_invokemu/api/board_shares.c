/*
 * board_shares.c: /api/v1/boards/{board_id}/share: naming the people who may see, fill or govern a
 * board.
 */
#include <string.h>

#include "mod_invokemu/api/accounts.h"
#include "mod_invokemu/api/audit.h"
#include "mod_invokemu/events/board_news.h"
#include "mod_invokemu/api/gallery.h"
#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/auth/throttle.h"
#include "mod_invokemu/store/board_shares.h"
#include "mod_invokemu/store/users.h"
#include "mod_invokemu/util/jsons.h"
#include "mod_invokemu/validate.h"

#define MAX_PEOPLE 1000

imu_err *imu_api_board_shares(imu_req *req)
{
    const char *board_id = imu_param(req, "board_id");
    json_t *shares;
    imu_err *err;

    if ((err = imu_gallery_board_may(req, board_id, imu_policy_board_share)) ||
        (err = imu_board_shares(req->db, req->p, board_id, req->who.user_id,
                                imu_policy_sees_all(&req->who), &shares)))
        return err;
    return imu_reply_json(req, 200, json_pack("{s:O}", "shares", shares));
}

/** GET /boards/{board_id}/people?search: whom it could be shared with, as far as the reader knows
 * them. */
imu_err *imu_api_board_people(imu_req *req)
{
    static const char *const texts[] = {"user_id", "display_name", "email", NULL};
    const char *board_id = imu_param(req, "board_id"), *search;
    json_t *people;
    imu_rows *rows;
    imu_err *err;

    if ((err = imu_query_text(req, "search", IMU_NAME_BYTES, "", &search)) ||
        (err = imu_gallery_board_may(req, board_id, imu_policy_board_share)) ||
        (err = imu_board_people(req->db, req->p, board_id, req->who.user_id,
                                imu_policy_sees_all(&req->who), search, &rows)))
        return err;
    people = json_array();
    for (int i = 0; i < rows->count; i++) {
        json_t *one = json_object();

        imu_json_set_texts(one, rows, i, texts);
        json_array_append_new(people, one);
    }
    return imu_reply_json(req, 200, json_pack("{s:o}", "people", people));
}

/* Each person once, as the store wants it. */
static json_t *distinct_people(imu_req *req, const json_t *people)
{
    json_t *seen = imu_json_own(req->p, json_object()), *once = imu_json_own(req->p, json_array());
    json_t *one;
    size_t i;

    json_array_foreach (people, i, one) {
        if (json_object_get(seen, json_string_value(one)))
            continue;
        json_object_set_new(seen, json_string_value(one), json_true());
        json_array_append(once, one);
    }
    return once;
}

/* Accounts that stand for nobody are answered as unknown addresses are: who asks learns of neither.
 */
static int can_sign_in(imu_req *req, const imu_rows *user)
{
    return user->count > 0 && strcmp(imu_text(user, 0, "user_id"), IMU_SYSTEM_USER) != 0 &&
           !imu_user_check_somebodys(req->p, user);
}

/* The one account with exactly this address. Whoever shares with somebody they don't know here yet
 * has to know the address. */
static imu_err *person_by_email(imu_req *req, const char *email, json_t **people)
{
    imu_rows *rows;
    imu_err *err = imu_throttle_search(req);

    if (err || (err = imu_user_secret_by_email(req->db, req->p, email, &rows)))
        return err;
    if (!can_sign_in(req, rows))
        return imu_error(req->p, 404, "user_not_found", "Nobody here signs in with that address.");
    imu_throttle_search_back(req);
    *people = imu_json_own(req->p, json_pack("[s]", imu_text(rows, 0, "user_id")));
    return NULL;
}

/* Nobody is named for a board that is theirs, and nobody names themselves. */
static imu_err *check_named(imu_req *req, const imu_board *board, const json_t *people)
{
    json_t *one;
    size_t i;

    json_array_foreach (people, i, one) {
        const char *id = json_string_value(one);

        if (strcmp(id, board->owner_id) == 0)
            return imu_invalid(req->p, "body", "user_ids", "value_error",
                               strcmp(id, req->who.user_id) == 0
                                   ? "This board is yours: there is nothing to share with yourself"
                                   : "The board belongs to that person already");
        if (strcmp(id, req->who.user_id) == 0)
            return imu_invalid(req->p, "body", "user_ids", "value_error",
                               "You can't share a board with yourself");
    }
    return NULL;
}

imu_err *imu_api_board_share(imu_req *req)
{
    static const char *const permissions[] = {"read", "write", "admin", NULL};
    const char *board_id = imu_param(req, "board_id"), *permission, *email = NULL;
    imu_check *c = imu_check_new(req->p, "body");
    json_t *body, *people = NULL, *shared_with, *one;
    imu_board *board;
    imu_err *err;
    size_t i;

    if ((err = imu_gallery_board(req, board_id, imu_policy_board_share, &board)) ||
        (err = imu_body_object(req, &body)))
        return err;
    if (json_object_get(body, "email"))
        email = imu_check_email(c, req->p, body, "email");
    else
        people = imu_check_texts(c, body, "user_ids", IMU_REQUIRED, MAX_PEOPLE, 255);
    permission = imu_check_choice(c, body, "permission", IMU_REQUIRED, permissions);
    if (people && json_array_size(people) == 0)
        imu_check_fault(c, "user_ids", "too_short", "List should have at least 1 item", NULL);
    if ((err = imu_check_end(c)) || (email && (err = person_by_email(req, email, &people))))
        return err;
    people = distinct_people(req, people);
    if ((err = check_named(req, board, people)) ||
        (err = imu_board_share(req->db, req->p, board_id, people, permission,
                               email ? req->who.user_id : NULL)))
        return err;
    imu_board_tell_now(req->db, req->p, board_id, 0);
    imu_audit_board(req, IMU_AUDIT_BOARD_SHARED, board_id, people,
                    json_pack("{s:s, s:O}", "permission", permission, "user_ids", people));
    shared_with = json_array();
    json_array_foreach (people, i, one)
        json_array_append_new(shared_with,
                              json_pack("{s:O, s:s}", "user_id", one, "permission", permission));
    return imu_reply_json(req, 200,
                          json_pack("{s:b, s:o}", "success", 1, "shared_with", shared_with));
}

imu_err *imu_api_board_unshare(imu_req *req)
{
    const char *board_id = imu_param(req, "board_id"), *person = imu_param(req, "user_id");
    imu_board_audience *before;
    imu_err *err;
    int ended;

    if ((err = imu_gallery_board_may(req, board_id, imu_policy_board_share)) ||
        (err = imu_board_audience_read(req->db, req->p, board_id, &before)) ||
        (err = imu_board_unshare(req->db, req->p, board_id, person, &ended)))
        return err;
    if (ended) {
        imu_board_tell(before);
        imu_audit_board(req, IMU_AUDIT_BOARD_UNSHARED, board_id,
                        imu_json_own(req->p, json_pack("[s]", person)),
                        json_pack("{s:s}", "user_id", person));
    }
    return imu_reply_json(req, 200, json_pack("{s:b}", "success", 1));
}
