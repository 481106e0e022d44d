/*
 * gallery.h: what the handlers of boards and pictures share: looking a thing up together with the
 * question whether the caller may do that to it, and its form on the wire.
 */
#ifndef IMU_API_GALLERY_H
#define IMU_API_GALLERY_H

#include "mod_invokemu/api/audit.h"
#include "mod_invokemu/request.h"
#include "mod_invokemu/store/boards.h"
#include "mod_invokemu/store/images.h"

typedef int imu_board_rule(const imu_identity *who, const imu_board_facts *board);
typedef int imu_picture_rule(const imu_identity *who, const imu_picture_facts *picture);

/** The words of image_category, NULL-terminated. */
extern const char *const imu_categories[];

/** 404 for no such board, 403 when rule refuses the caller. */
imu_err *imu_gallery_board_may(imu_req *req, const char *board_id, imu_board_rule *rule);
/** The same, with the board. */
imu_err *imu_gallery_board(imu_req *req, const char *board_id, imu_board_rule *rule,
                           imu_board **board);
/**
 * The picture {image_name} of the route. To somebody who is no administrator an unknown picture and
 * one they may not touch look alike (403); administrators get 404.
 */
imu_err *imu_gallery_picture(imu_req *req, imu_picture_rule *rule, imu_image **image);
/** The same for a given name. */
imu_err *imu_gallery_picture_named(imu_req *req, const char *name, imu_picture_rule *rule,
                                   imu_image **image);
/**
 * All pictures of a list of names, or a 403 as soon as the caller may not do that to one of them;
 * unknown names are left out for administrators and refused like foreign ones for everybody else.
 */
imu_err *imu_gallery_pictures(imu_req *req, const json_t *names, imu_picture_rule *rule,
                              imu_image_list *list);

/** The body's image_names, checked. @return 422 */
imu_err *imu_gallery_names(imu_req *req, json_t **names);
/** The names of a list as a JSON array, owned by the request. */
json_t *imu_gallery_name_list(imu_req *req, const imu_image_list *list);

/** An entry in the audit log for what was done to those of the pictures that are not the caller's.
 */
void imu_gallery_note(imu_req *req, imu_audit_action action, const imu_image_list *list);

/** BoardDTO. The owner's name is for administrators. New reference. */
json_t *imu_board_json(const imu_req *req, const imu_board *board);
/** ImageDTO. New reference. */
json_t *imu_image_json(const imu_req *req, const imu_image *image);
/** An array of ImageDTO. New reference. */
json_t *imu_images_json(const imu_req *req, const imu_image_list *list);
/** Address of a picture's file, view being "full" or "thumbnail". */
const char *imu_image_url(const imu_req *req, const char *image_name, const char *view);
/** board_id, or "none". */
const char *imu_board_word(const char *board_id);
/** Removes files of deleted pictures; a failure is only logged, since the deletion itself stands
 * and the rest is done at the next start. */
void imu_gallery_purge(imu_req *req);

/**
 * Reads the query parameters that lists of pictures share into *filter, and checks that the caller
 * may see the board asked for.
 * @param origin  name of the parameter that holds the origin
 */
imu_err *imu_gallery_filter(imu_req *req, const char *origin, imu_image_filter *filter);

#endif
