#include "mod_invokemu/api/gallery.h"

#include <string.h>

#include <http_log.h>
#include <apr_strings.h>

#include "mod_invokemu/body.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/validate.h"

APLOG_USE_MODULE(invokemu);

#define MAX_NAME_LENGTH   255
#define MAX_SEARCH_LENGTH 1000
#define MAX_CATEGORIES    20

const char *const imu_categories[] = {"general", "mask", "control", "user", "other", NULL};

/* ---- looking up, with permission ---- */

static imu_err *no_board(imu_req *req)
{
    return imu_error(req->p, 404, "board_not_found", "This board does not exist (any more).");
}

static imu_err *board_refused(imu_req *req)
{
    return imu_error(
        req->p, 403, "board_forbidden",
        "You have no permission for this on that board. Ask its owner to share it with you.");
}

imu_err *imu_gallery_board_may(imu_req *req, const char *board_id, imu_board_rule *rule)
{
    imu_board_facts *facts;
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (!err)
        err = imu_board_facts_get(db, req->p, req->who.user_id, board_id, &facts);
    if (err)
        return err;
    if (!facts)
        return no_board(req);
    return rule(&req->who, facts) ? NULL : board_refused(req);
}

imu_err *imu_gallery_board(imu_req *req, const char *board_id, imu_board_rule *rule,
                           imu_board **board)
{
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (!err)
        err = imu_board_get(db, req->p, req->who.user_id, board_id, board);
    if (err)
        return err;
    if (!*board)
        return no_board(req);
    return rule(&req->who, &(*board)->facts) ? NULL : board_refused(req);
}

static imu_err *picture_refused(imu_req *req, int exists)
{
    if (!exists && imu_policy_sees_all(&req->who))
        return imu_error(req->p, 404, "image_not_found", "This picture does not exist (any more).");
    return imu_error(req->p, 403, "image_forbidden",
                     "This picture does not exist, or it is not yours to do this with.");
}

imu_err *imu_gallery_picture_named(imu_req *req, const char *name, imu_picture_rule *rule,
                                   imu_image **image)
{
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (!err)
        err = imu_image_get(db, req->p, req->who.user_id, name, image);
    if (err)
        return err;
    if (!*image || !rule(&req->who, &(*image)->facts))
        return picture_refused(req, *image != NULL);
    return NULL;
}

imu_err *imu_gallery_picture(imu_req *req, imu_picture_rule *rule, imu_image **image)
{
    return imu_gallery_picture_named(req, imu_param(req, "image_name"), rule, image);
}

static int distinct(imu_req *req, const json_t *names)
{
    json_t *seen = imu_json_own(req->p, json_object());
    const json_t *name;
    size_t i;

    json_array_foreach (names, i, name)
        json_object_set_new(seen, json_string_value(name), json_true());
    return (int)json_object_size(seen);
}

imu_err *imu_gallery_pictures(imu_req *req, const json_t *names, imu_picture_rule *rule,
                              imu_image_list *list)
{
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (!err)
        err = imu_images_by_names(db, req->p, req->who.user_id, names, list);
    if (err)
        return err;
    for (int i = 0; i < list->count; i++)
        if (!rule(&req->who, &list->items[i].facts))
            return picture_refused(req, 1);
    if (!imu_policy_sees_all(&req->who) && list->count < distinct(req, names))
        return picture_refused(req, 0);
    return NULL;
}

/* ---- reading requests ---- */

imu_err *imu_gallery_names(imu_req *req, json_t **names)
{
    imu_check *c = imu_check_new(req->p, "body");
    json_t *body;
    imu_err *err = imu_body_object(req, &body);

    if (err)
        return err;
    *names = imu_check_texts(c, body, "image_names", IMU_REQUIRED, IMU_MAX_NAMES, MAX_NAME_LENGTH);
    return imu_check_end(c);
}

/* categories as the store wants them, or NULL when none is named. */
static imu_err *read_categories(imu_req *req, const char **categories)
{
    json_t *list;
    imu_err *err = imu_query_list(req, "categories", &list);

    *categories = NULL;
    if (err || json_array_size(list) == 0)
        return err;
    *categories = ",";
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *word = json_string_value(json_array_get(list, i));
        int k = 0;

        while (imu_categories[k] && strcmp(imu_categories[k], word) != 0)
            k++;
        if (!imu_categories[k] || i >= MAX_CATEGORIES)
            return imu_invalid(req->p, "query", "categories", "enum",
                               "Input should be 'general', 'mask', 'control', 'user' or 'other'");
        *categories = apr_pstrcat(req->p, *categories, word, ",", NULL);
    }
    return NULL;
}

static imu_err *read_day(imu_req *req, const char **day)
{
    imu_err *err = imu_query_text(req, "created_date", 10, NULL, day);

    if (err || !*day || !**day) {
        *day = NULL;
        return err;
    }
    for (int i = 0; i < 10; i++) {
        char c = (*day)[i];

        if (i == 4 || i == 7 ? c != '-' : c < '0' || c > '9')
            return imu_invalid(req->p, "query", "created_date", "date_parsing",
                               "Input should be a date such as 2026-01-31");
    }
    return NULL;
}

/* Turns board_id into the scope of the list: a board (after asking whether it may be read), no
 * board, or everything: of one's own, and of everybody for those who see all and don't ask for
 * mine. Who asks for theirs on no board gets those too that lie where they can't look (any more):
 * on no page would they find them otherwise. */
static imu_err *read_scope(imu_req *req, imu_image_filter *filter)
{
    const char *board_id;
    int mine;
    imu_err *err = imu_query_text(req, "board_id", MAX_NAME_LENGTH, NULL, &board_id);

    if (err || (err = imu_query_bool(req, "mine", 0, &mine)))
        return err;
    if (mine || !imu_policy_sees_all(&req->who))
        filter->owner_id = req->who.user_id;
    filter->unseen = mine && !imu_policy_sees_all(&req->who);
    if (!board_id || !*board_id)
        return NULL;
    if (strcmp(board_id, IMU_NO_BOARD) == 0) {
        filter->uncategorized = 1;
        return NULL;
    }
    filter->board_id = board_id;
    return imu_gallery_board_may(req, board_id, imu_policy_board_read);
}

imu_err *imu_gallery_filter(imu_req *req, const char *origin, imu_image_filter *filter)
{
    static const char *const origins[] = {"internal", "external", NULL};
    static const char *const directions[] = {"ASC", "DESC", NULL};
    const char *direction;
    imu_err *err;

    memset(filter, 0, sizeof *filter);
    if ((err = imu_query_choice(req, origin, origins, NULL, &filter->origin)) ||
        (err = read_categories(req, &filter->categories)) ||
        (err = imu_query_bool(req, "is_intermediate", -1, &filter->intermediate)) ||
        (err = imu_query_choice(req, "order_dir", directions, "DESC", &direction)) ||
        (err = imu_query_bool(req, "starred_first", 1, &filter->starred_first)) ||
        (err = imu_query_text(req, "search_term", MAX_SEARCH_LENGTH, NULL, &filter->search)) ||
        (err = read_day(req, &filter->day)))
        return err;
    filter->descending = strcmp(direction, "DESC") == 0;
    return read_scope(req, filter);
}

/* ---- writing answers ---- */

void imu_gallery_note(imu_req *req, imu_audit_action action, const imu_image_list *list)
{
    json_t *owners = imu_json_own(req->p, json_object()), *others;
    const imu_image *one = NULL;
    json_int_t n = 0;

    for (int i = 0; i < list->count; i++)
        if (strcmp(list->items[i].owner_id, req->who.user_id) != 0) {
            one = &list->items[i];
            json_object_set_new(owners, one->owner_id, json_null());
            n++;
        }
    if (n == 0)
        return;
    others = imu_audit_others_of(req, owners);
    imu_audit_others(req,
                     (imu_audit_fact){.action = action,
                                      .target_id = n == 1 ? one->image_name : NULL,
                                      .target_name = n == 1 ? one->image_name : NULL,
                                      .detail = json_pack("{s:I}", "images", n)},
                     others);
}

json_t *imu_gallery_name_list(imu_req *req, const imu_image_list *list)
{
    json_t *names = imu_json_own(req->p, json_array());

    for (int i = 0; i < list->count; i++)
        json_array_append_new(names, json_string(list->items[i].image_name));
    return names;
}

const char *imu_image_url(const imu_req *req, const char *image_name, const char *view)
{
    return apr_pstrcat(req->p, "/api/v1/images/i/", ap_escape_path_segment(req->p, image_name), "/",
                       view, NULL);
}

const char *imu_board_word(const char *board_id)
{
    return board_id ? board_id : IMU_NO_BOARD;
}

/* With how many people it is shared is for those who may read with whom. */
static json_t *share_count(const imu_req *req, const imu_board *board)
{
    return imu_policy_board_share(&req->who, &board->facts)
               ? json_integer((json_int_t)board->share_count)
               : json_null();
}

/* An address is for administrators; by the name that they chose, owners are known to all who see
 * the board. */
json_t *imu_board_json(const imu_req *req, const imu_board *board)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s?, s:s?, s:s, s:s, s:n, s:s?, s:n, s:b, s:s, s:s?, s:o, s:I, s:i, s:I}",
        "board_id", board->board_id, "board_name", board->name, "user_id", board->owner_id,
        "owner_username", imu_policy_sees_all(&req->who) ? board->owner_name : NULL, "owner_name",
        board->owner_display_name, "created_at", board->created_at, "updated_at", board->updated_at,
        "deleted_at", "cover_image_name", board->cover_image_name, "cover_video_name", "archived",
        board->archived, "board_visibility", board->visibility, "permission",
        imu_permission_word(board->facts.permission), "share_count", share_count(req, board),
        "image_count", (json_int_t)board->image_count, "video_count", 0, "asset_count",
        (json_int_t)board->asset_count);
}

json_t *imu_image_json(const imu_req *req, const imu_image *image)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:s, s:n, s:b, s:s?, s:s?, s:b, s:b, s:s, s:s?}",
        "image_name", image->image_name, "image_url", imu_image_url(req, image->image_name, "full"),
        "thumbnail_url", imu_image_url(req, image->image_name, "thumbnail"), "image_origin",
        image->origin, "image_category", image->category, "width", image->width, "height",
        image->height, "created_at", image->created_at, "updated_at", image->updated_at,
        "deleted_at", "is_intermediate", image->is_intermediate, "session_id", image->session_id,
        "node_id", image->node_id, "starred", image->starred, "has_workflow", image->has_workflow,
        "image_subfolder", image->subfolder ? image->subfolder : "", "board_id", image->board_id);

    /* For labels: what the picture was asked to show. */
    if (image->prompt)
        json_object_set_new(json, "prompt", json_string(image->prompt));
    if (image->owner_name && imu_policy_sees_all(&req->who) &&
        strcmp(image->owner_id, req->who.user_id) != 0)
        json_object_set_new(json, "owner_name", json_string(image->owner_name));
    return json;
}

json_t *imu_images_json(const imu_req *req, const imu_image_list *list)
{
    json_t *items = json_array();

    for (int i = 0; i < list->count; i++)
        json_array_append_new(items, imu_image_json(req, &list->items[i]));
    return items;
}

void imu_gallery_purge(imu_req *req)
{
    int left = 1;
    imu_err *err = NULL;

    while (left && !err)
        err = imu_pictures_purge(req->db, req->p, req->inst->root, &left);
    if (err)
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, req->r,
                      "IMU0104: files of deleted pictures remain until the next start: %s",
                      err->log ? err->log : err->detail);
}
