/*
 * policy.h: who may do what with a board, a picture, a workflow, a style preset, a model or a
 * queue item. The only place that decides it.
 *
 * Pure functions over facts: nothing here reads a database or a request. The one exception in kind
 * is lists, whose rows are chosen in SQL; there the statements say "visible" in the words of
 * imu_policy_board_read, and a test holds the two against each other. Anonymous callers are refused
 * everything. Each function returns 1 for allowed, 0 for refused.
 */
#ifndef IMU_POLICY_H
#define IMU_POLICY_H

#include "mod_invokemu/auth/identity.h"

typedef enum imu_visibility { IMU_PRIVATE = 0, IMU_SHARED = 1, IMU_PUBLIC = 2 } imu_visibility;

/** What a board's owner has granted one named person. */
typedef enum imu_permission {
    IMU_PERMIT_NONE = 0,
    IMU_PERMIT_READ,
    IMU_PERMIT_WRITE,
    IMU_PERMIT_ADMIN
} imu_permission;

typedef struct imu_board_facts {
    const char *owner_id;
    imu_visibility visibility;
    imu_permission permission; /**< of the one who asks */
} imu_board_facts;

typedef struct imu_picture_facts {
    const char *owner_id;
    const imu_board_facts *board; /**< the board it is on, or NULL */
} imu_picture_facts;

/** Word of the database to value; an unknown word is the narrowest. */
imu_visibility imu_visibility_of(const char *word);
imu_permission imu_permission_of(const char *word);
/** The word for a permission, NULL for none. */
const char *imu_permission_word(imu_permission permission);

/** Lists without a board hold everybody's things instead of one's own. */
int imu_policy_sees_all(const imu_identity *who);

/** See the board, its pictures and their files. */
int imu_policy_board_read(const imu_identity *who, const imu_board_facts *board);
/** Put own pictures on it, take any picture off it. */
int imu_policy_board_write(const imu_identity *who, const imu_board_facts *board);
/** Rename, archive, change visibility and cover. */
int imu_policy_board_edit(const imu_identity *who, const imu_board_facts *board);
/** See and change with whom it is shared. */
int imu_policy_board_share(const imu_identity *who, const imu_board_facts *board);
/** Delete it. */
int imu_policy_board_delete(const imu_identity *who, const imu_board_facts *board);

/** See the picture, its files, metadata and workflow. */
int imu_policy_picture_read(const imu_identity *who, const imu_picture_facts *picture);
/** Change, star or delete it. */
int imu_policy_picture_change(const imu_identity *who, const imu_picture_facts *picture);
/** Put it on another board, or delete it together with a board: being able to see or even delete a
 * picture is not enough. */
int imu_policy_picture_move(const imu_identity *who, const imu_picture_facts *picture);
/** Delete everybody's intermediate pictures. */
int imu_policy_intermediates_delete(const imu_identity *who);

/** What decides about a workflow. */
typedef struct imu_workflow_facts {
    const char *owner_id;
    int is_public;
    int is_default; /**< came with the program: everybody's to read, nobody's to change */
} imu_workflow_facts;

/** Load it from the library. */
int imu_policy_workflow_read(const imu_identity *who, const imu_workflow_facts *workflow);
/** Change, share, mark as opened or delete it. */
int imu_policy_workflow_edit(const imu_identity *who, const imu_workflow_facts *workflow);

/** What decides about a style preset. */
typedef struct imu_preset_facts {
    const char *owner_id;
    int is_public;
    int is_default; /**< the house's own: everybody's to read, administrators' to change */
} imu_preset_facts;

/** Use it, and see its picture. */
int imu_policy_preset_read(const imu_identity *who, const imu_preset_facts *preset);
/** Change, publish or delete it. */
int imu_policy_preset_change(const imu_identity *who, const imu_preset_facts *preset);
/** Make a default preset, or turn one into a default one. */
int imu_policy_preset_default(const imu_identity *who);

/** Fetch an archive of pictures that was made for owner_id. */
int imu_policy_archive_fetch(const imu_identity *who, const char *owner_id);

/** Be told which file of a model is missing or broken. */
int imu_policy_model_problems(const imu_identity *who);

/** See a queue item whole, and cancel, delete or retry it; the rest see a redacted copy. */
int imu_policy_queue_item(const imu_identity *who, const char *owner_id);

#endif
