/* Who may do what: every rule against every kind of caller and board, from a table that reads like
 * the contract. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mod_invokemu/policy.h"

#include <string.h>

enum caller { ANONYMOUS, OWNER, OTHER, READER, WRITER, DEPUTY, ADMIN, SYSTEM, CALLERS };

static const char *const caller_names[] = {"anonymous", "owner",  "other",         "reader",
                                           "writer",    "deputy", "administrator", "system"};

static imu_identity identity(enum caller c)
{
    imu_identity who = {.via = IMU_VIA_BEARER, .user_id = "other"};

    if (c == ANONYMOUS)
        return (imu_identity){.via = IMU_VIA_NONE};
    if (c == OWNER)
        who.user_id = "owner";
    if (c == ADMIN || c == SYSTEM)
        who.is_admin = 1;
    if (c == SYSTEM) {
        who.via = IMU_VIA_SYSTEM;
        who.user_id = IMU_SYSTEM_USER;
    }
    return who;
}

static imu_board_facts board(enum caller c, imu_visibility v)
{
    imu_board_facts b = {"owner", v, IMU_PERMIT_NONE};

    if (c == READER)
        b.permission = IMU_PERMIT_READ;
    if (c == WRITER)
        b.permission = IMU_PERMIT_WRITE;
    if (c == DEPUTY)
        b.permission = IMU_PERMIT_ADMIN;
    return b;
}

typedef int board_rule(const imu_identity *, const imu_board_facts *);

/* One letter a caller, in the order of enum caller: y may, n may not. */
static const struct {
    const char *name;
    board_rule *rule;
    const char *may[3]; /* private, shared, public */
} board_rules[] = {
    {"read", imu_policy_board_read, {"nynyyyyy", "nyyyyyyy", "nyyyyyyy"}},
    {"write", imu_policy_board_write, {"nynnyyyy", "nynnyyyy", "nyyyyyyy"}},
    {"edit", imu_policy_board_edit, {"nynnnyyy", "nynnnyyy", "nynnnyyy"}},
    {"share", imu_policy_board_share, {"nynnnyyy", "nynnnyyy", "nynnnyyy"}},
    {"delete", imu_policy_board_delete, {"nynnnnyy", "nynnnnyy", "nynnnnyy"}},
};

static void boards(void **state)
{
    (void)state;
    for (size_t r = 0; r < sizeof board_rules / sizeof board_rules[0]; r++)
        for (int v = IMU_PRIVATE; v <= IMU_PUBLIC; v++)
            for (int c = 0; c < CALLERS; c++) {
                imu_identity who = identity(c);
                imu_board_facts b = board(c, v);
                int may = board_rules[r].rule(&who, &b);

                if (may != (board_rules[r].may[v][c] == 'y'))
                    fail_msg("%s may %s%s a board of visibility %d", caller_names[c],
                             may ? "" : "not ", board_rules[r].name, v);
            }
}

/* Somebody else's picture on a board of "owner"; the picture belongs to "painter". */
static const struct {
    const char *name;
    int (*rule)(const imu_identity *, const imu_picture_facts *);
    const char *may[3];
} picture_rules[] = {
    {"read", imu_policy_picture_read, {"nynyyyyy", "nyyyyyyy", "nyyyyyyy"}},
    {"change", imu_policy_picture_change, {"nynnyyyy", "nynnyyyy", "nyyyyyyy"}},
    {"move", imu_policy_picture_move, {"nnnnnnyy", "nnnnnnyy", "nnnnnnyy"}},
};

static void pictures_on_boards(void **state)
{
    (void)state;
    for (size_t r = 0; r < sizeof picture_rules / sizeof picture_rules[0]; r++)
        for (int v = IMU_PRIVATE; v <= IMU_PUBLIC; v++)
            for (int c = 0; c < CALLERS; c++) {
                imu_identity who = identity(c);
                imu_board_facts b = board(c, v);
                imu_picture_facts p = {"painter", &b};
                int may = picture_rules[r].rule(&who, &p);

                if (may != (picture_rules[r].may[v][c] == 'y'))
                    fail_msg("%s may %s%s a picture on a board of visibility %d", caller_names[c],
                             may ? "" : "not ", picture_rules[r].name, v);
            }
}

static void own_pictures(void **state)
{
    imu_identity painter = {.via = IMU_VIA_COOKIE, .user_id = "painter"};
    imu_board_facts closed = {"owner", IMU_PRIVATE, IMU_PERMIT_NONE};
    imu_picture_facts loose = {"painter", NULL}, on_closed = {"painter", &closed};

    (void)state;
    for (size_t r = 0; r < sizeof picture_rules / sizeof picture_rules[0]; r++) {
        assert_true(picture_rules[r].rule(&painter, &loose));
        assert_true(picture_rules[r].rule(
            &painter, &on_closed)); /* even where the board has been closed to its owner */
        for (int c = 0; c < CALLERS; c++) {
            imu_identity who = identity(c);

            assert_int_equal(picture_rules[r].rule(&who, &loose), c == ADMIN || c == SYSTEM);
        }
    }
}

static void queue_items(void **state)
{
    static const char may[] = "nynnnnyy";

    (void)state;
    for (int c = 0; c < CALLERS; c++) {
        imu_identity who = identity(c);

        assert_int_equal(imu_policy_queue_item(&who, "owner"), may[c] == 'y');
        assert_int_equal(imu_policy_queue_item(&who, NULL), c == ADMIN || c == SYSTEM);
        assert_int_equal(imu_policy_sees_all(&who), c == ADMIN || c == SYSTEM);
        assert_int_equal(imu_policy_intermediates_delete(&who), c == ADMIN || c == SYSTEM);
    }
}

static void workflows(void **state)
{
    static const struct {
        imu_workflow_facts facts;
        const char *read, *edit;
    } rows[] = {
        {{"owner", 0, 0}, "nynnnnyy", "nynnnnyy"},
        {{"owner", 1, 0}, "nyyyyyyy", "nynnnnyy"},
        {{"owner", 0, 1}, "nyyyyyyy", "nnnnnnnn"},
    };

    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
        for (int c = 0; c < CALLERS; c++) {
            imu_identity who = identity(c);

            assert_int_equal(imu_policy_workflow_read(&who, &rows[r].facts),
                             rows[r].read[c] == 'y');
            assert_int_equal(imu_policy_workflow_edit(&who, &rows[r].facts),
                             rows[r].edit[c] == 'y');
        }
}

static void style_presets(void **state)
{
    static const struct {
        imu_preset_facts facts;
        const char *read, *change;
    } rows[] = {
        {{"owner", 0, 0}, "nynnnnyy", "nynnnnyy"},
        {{"owner", 1, 0}, "nyyyyyyy", "nynnnnyy"},
        {{"owner", 0, 1}, "nyyyyyyy", "nnnnnnyy"},
        {{"owner", 1, 1}, "nyyyyyyy", "nnnnnnyy"},
    };

    (void)state;
    for (int c = 0; c < CALLERS; c++) {
        imu_identity who = identity(c);

        for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
            assert_int_equal(imu_policy_preset_read(&who, &rows[r].facts), rows[r].read[c] == 'y');
            assert_int_equal(imu_policy_preset_change(&who, &rows[r].facts),
                             rows[r].change[c] == 'y');
        }
        assert_int_equal(imu_policy_preset_default(&who), c == ADMIN || c == SYSTEM);
        assert_int_equal(imu_policy_model_problems(&who), c == ADMIN || c == SYSTEM);
    }
}

/* An identity that is nobody's gains nothing from flags that should not be there. */
static void nobody(void **state)
{
    imu_identity odd = {.via = IMU_VIA_NONE, .user_id = "owner", .is_admin = 1},
                 nameless = {.via = IMU_VIA_BEARER, .is_admin = 1};
    imu_board_facts open = {"owner", IMU_PUBLIC, IMU_PERMIT_ADMIN};

    (void)state;
    for (size_t r = 0; r < sizeof board_rules / sizeof board_rules[0]; r++) {
        assert_false(board_rules[r].rule(&odd, &open));
        assert_false(board_rules[r].rule(&nameless, &open));
        assert_false(board_rules[r].rule(NULL, &open));
    }
}

static void words(void **state)
{
    (void)state;
    assert_int_equal(imu_visibility_of("public"), IMU_PUBLIC);
    assert_int_equal(imu_visibility_of("shared"), IMU_SHARED);
    assert_int_equal(imu_visibility_of("private"), IMU_PRIVATE);
    assert_int_equal(imu_visibility_of("Public"), IMU_PRIVATE);
    assert_int_equal(imu_visibility_of(NULL), IMU_PRIVATE);
    assert_int_equal(imu_permission_of("read"), IMU_PERMIT_READ);
    assert_int_equal(imu_permission_of("write"), IMU_PERMIT_WRITE);
    assert_int_equal(imu_permission_of("admin"), IMU_PERMIT_ADMIN);
    assert_int_equal(imu_permission_of("owner"), IMU_PERMIT_NONE);
    assert_int_equal(imu_permission_of(NULL), IMU_PERMIT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boards),       cmocka_unit_test(pictures_on_boards),
        cmocka_unit_test(own_pictures), cmocka_unit_test(queue_items),
        cmocka_unit_test(workflows),    cmocka_unit_test(style_presets),
        cmocka_unit_test(nobody),       cmocka_unit_test(words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
