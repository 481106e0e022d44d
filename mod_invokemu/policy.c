#include "mod_invokemu/policy.h"

#include <string.h>

static int is_known(const imu_identity *who)
{
    return who && who->via != IMU_VIA_NONE && who->user_id;
}

static int is_admin(const imu_identity *who)
{
    return is_known(who) && who->is_admin;
}

static int owns(const imu_identity *who, const char *owner_id)
{
    return is_known(who) && owner_id && strcmp(who->user_id, owner_id) == 0;
}

/* Administrators stand above ownership everywhere but for live previews, which are not decided
 * here. */
static int rules(const imu_identity *who, const char *owner_id)
{
    return is_admin(who) || owns(who, owner_id);
}

imu_visibility imu_visibility_of(const char *word)
{
    if (word && strcmp(word, "public") == 0)
        return IMU_PUBLIC;
    return word && strcmp(word, "shared") == 0 ? IMU_SHARED : IMU_PRIVATE;
}

imu_permission imu_permission_of(const char *word)
{
    if (!word)
        return IMU_PERMIT_NONE;
    if (strcmp(word, "admin") == 0)
        return IMU_PERMIT_ADMIN;
    if (strcmp(word, "write") == 0)
        return IMU_PERMIT_WRITE;
    return strcmp(word, "read") == 0 ? IMU_PERMIT_READ : IMU_PERMIT_NONE;
}

const char *imu_permission_word(imu_permission permission)
{
    static const char *const words[] = {NULL, "read", "write", "admin"};

    return words[permission];
}

int imu_policy_sees_all(const imu_identity *who)
{
    return is_admin(who);
}

int imu_policy_board_read(const imu_identity *who, const imu_board_facts *board)
{
    if (!is_known(who))
        return 0;
    return rules(who, board->owner_id) || board->visibility != IMU_PRIVATE ||
           board->permission >= IMU_PERMIT_READ;
}

int imu_policy_board_write(const imu_identity *who, const imu_board_facts *board)
{
    if (!is_known(who))
        return 0;
    return rules(who, board->owner_id) || board->visibility == IMU_PUBLIC ||
           board->permission >= IMU_PERMIT_WRITE;
}

int imu_policy_board_edit(const imu_identity *who, const imu_board_facts *board)
{
    if (!is_known(who))
        return 0;
    return rules(who, board->owner_id) || board->permission >= IMU_PERMIT_ADMIN;
}

int imu_policy_board_share(const imu_identity *who, const imu_board_facts *board)
{
    return imu_policy_board_edit(who, board);
}

int imu_policy_board_delete(const imu_identity *who, const imu_board_facts *board)
{
    return rules(who, board->owner_id);
}

int imu_policy_picture_read(const imu_identity *who, const imu_picture_facts *picture)
{
    return rules(who, picture->owner_id) ||
           (picture->board && imu_policy_board_read(who, picture->board));
}

int imu_policy_picture_change(const imu_identity *who, const imu_picture_facts *picture)
{
    return rules(who, picture->owner_id) ||
           (picture->board && imu_policy_board_write(who, picture->board));
}

int imu_policy_picture_move(const imu_identity *who, const imu_picture_facts *picture)
{
    return rules(who, picture->owner_id);
}

int imu_policy_intermediates_delete(const imu_identity *who)
{
    return is_admin(who);
}

int imu_policy_workflow_read(const imu_identity *who, const imu_workflow_facts *workflow)
{
    return is_known(who) &&
           (workflow->is_default || workflow->is_public || rules(who, workflow->owner_id));
}

int imu_policy_workflow_edit(const imu_identity *who, const imu_workflow_facts *workflow)
{
    return !workflow->is_default && rules(who, workflow->owner_id);
}

int imu_policy_preset_read(const imu_identity *who, const imu_preset_facts *preset)
{
    return is_known(who) &&
           (preset->is_default || preset->is_public || rules(who, preset->owner_id));
}

int imu_policy_preset_change(const imu_identity *who, const imu_preset_facts *preset)
{
    return preset->is_default ? is_admin(who) : rules(who, preset->owner_id);
}

int imu_policy_preset_default(const imu_identity *who)
{
    return is_admin(who);
}

int imu_policy_model_problems(const imu_identity *who)
{
    return is_admin(who);
}

int imu_policy_queue_item(const imu_identity *who, const char *owner_id)
{
    return rules(who, owner_id);
}

int imu_policy_archive_fetch(const imu_identity *who, const char *owner_id)
{
    return rules(who, owner_id);
}
