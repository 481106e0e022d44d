#include "tests/unit/core/tempdb.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_file_io.h>

#include "mod_invokemu/store/disk.h"
#include "mod_invokemu/store/migrate.h"
#include "mod_invokemu/util/ids.h"

static imu_err *put(tempdb *t, imu_db *db, const char *key, const char *value)
{
    return imu_db_exec(db, t->pool, NULL, "setting_put", "sss", key, value, imu_now(t->pool));
}

static const char *get(tempdb *t, imu_db *db, const char *key)
{
    imu_rows *rows;

    assert_no_error(imu_db_select(db, t->pool, &rows, "setting_get", "s", key));
    return rows->count ? imu_text(rows, 0, "value") : NULL;
}

static void test_values_come_back(void **state)
{
    tempdb *t = *state;

    assert_null(get(t, t->db, "k"));
    assert_no_error(put(t, t->db, "k", "O'Hara; DROP TABLE users -- \xc3\xa4"));
    assert_string_equal(get(t, t->db, "k"), "O'Hara; DROP TABLE users -- \xc3\xa4");
}

static void test_rollback_leaves_nothing(void **state)
{
    tempdb *t = *state;
    imu_err *why = imu_error(t->pool, 409, "changed_my_mind", "no");

    assert_no_error(imu_db_begin(t->db));
    assert_no_error(put(t, t->db, "k", "v"));
    assert_ptr_equal(imu_db_end(t->db, why), why);
    assert_null(get(t, t->db, "k"));
    assert_no_error(imu_db_begin(t->db));
    assert_no_error(put(t, t->db, "k", "w"));
    assert_no_error(imu_db_end(t->db, NULL));
    assert_string_equal(get(t, t->db, "k"), "w");
}

static void test_inner_transaction_belongs_to_the_outer(void **state)
{
    tempdb *t = *state;

    assert_no_error(imu_db_begin(t->db));
    assert_no_error(imu_db_begin(t->db));
    assert_no_error(put(t, t->db, "k", "v"));
    assert_no_error(imu_db_end(t->db, NULL));
    assert_non_null(imu_db_end(t->db, imu_error(t->pool, 500, "late", "late")));
    assert_null(get(t, t->db, "k"));
}

static void test_constraints_have_codes(void **state)
{
    tempdb *t = *state;
    const char *now = imu_now(t->pool);
    imu_err *err;

    err = imu_db_exec(t->db, t->pool, NULL, "queue_set_paused", "sbs", NULL, 1, now);
    assert_true(imu_error_is(err, "db_constraint"));
    assert_int_equal(err->status, 409);
    assert_null(strstr(err->detail, "queue_state"));
}

static void test_a_full_disk_is_told_as_such(void **state)
{
    tempdb *t = *state;
    char *large = apr_pcalloc(t->pool, 1000001);
    apr_dbd_results_t *res = NULL;
    imu_err *err;

    memset(large, 'x', 1000000);
    /* As small as it is: no page more. */
    assert_int_equal(
        apr_dbd_select(t->db->driver, t->pool, t->db->handle, &res, "PRAGMA max_page_count=1", 0),
        0);
    err = put(t, t->db, "k", large);
    assert_true(imu_error_is(err, "disk_full"));
    assert_int_equal(err->status, 507);
    assert_no_error(imu_db_begin(t->db));
    err = imu_db_end(t->db, put(t, t->db, "k", large));
    assert_true(imu_error_is(err, "disk_full"));
    assert_no_error(put(t, t->db, "k", "small"));
    assert_string_equal(get(t, t->db, "k"), "small");
}

static void test_a_reserve_is_kept_and_given_up_once(void **state)
{
    tempdb *t = *state;
    const char *path = apr_pstrcat(t->pool, t->path, "-reserve", NULL);
    struct stat st;

    imu_disk_reserve(t->pool, t->path);
    imu_disk_reserve(t->pool, t->path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, IMU_DISK_RESERVE);
    assert_true(st.st_blocks * 512 >= IMU_DISK_RESERVE);
    assert_false(imu_disk_release(t->pool, t->path, 0));
    assert_int_equal(stat(path, &st), 0);
    assert_true(imu_disk_release(t->pool, t->path, INT64_MAX));
    assert_int_equal(stat(path, &st), -1);
    assert_false(imu_disk_release(t->pool, t->path, INT64_MAX));
}

static void test_foreign_keys_hold(void **state)
{
    tempdb *t = *state;
    const char *now = imu_now(t->pool);
    imu_err *err = imu_db_exec(t->db, t->pool, NULL, "board_insert", "ssssss", "b", "Board",
                               "nobody", "nobody", now, now);

    assert_true(imu_error_is(err, "db_constraint"));
}

static void test_unknown_statement_is_an_error(void **state)
{
    tempdb *t = *state;
    imu_rows *rows;

    assert_int_equal(imu_db_select(t->db, t->pool, &rows, "no_such_statement", "")->status, 500);
}

static void remembered_until(tempdb *t, imu_db *reader, imu_db *writer)
{
    apr_size_t len = 0;

    assert_null(imu_db_recall(reader, t->pool, "list", &len));
    imu_db_remember(reader, "list", "[1]", 3);
    assert_string_equal(imu_db_recall(reader, t->pool, "list", &len), "[1]");
    assert_int_equal(len, 3);
    assert_null(imu_db_recall(reader, t->pool, "another list", &len));
    assert_no_error(put(t, writer, "x", imu_uuid4(t->pool)));
    assert_null(imu_db_recall(reader, t->pool, "list", &len));
}

/* They are prepared when they are needed, which is too late to find a word that is wrong. */
static void test_every_statement_fits_the_schema(void **state)
{
    tempdb *t = *state;
    apr_dbd_prepared_t *statement;

    for (int i = 0; i < imu_queries_count; i++)
        assert_no_error(imu_db_prepare(t->db, imu_queries[i].name, &statement));
}

static int setup_and_write(void **state)
{
    tempdb *t;

    if (tempdb_setup(state) != 0)
        return -1;
    t = *state;
    return put(t, t->db, "written", "once") ? -1 : 0;
}

static void test_answers_are_remembered_until_somebody_writes(void **state)
{
    tempdb *t = *state;
    imu_db *other = tempdb_another(t);

    remembered_until(t, t->db, other);
    remembered_until(t, t->db, t->db);
}

/* With a WAL that holds nothing yet, nothing tells this time from another one of the kind. */
static void test_nothing_is_remembered_before_the_first_write(void **state)
{
    tempdb *t = *state;
    apr_size_t len;

    imu_db_remember(t->db, "list", "[1]", 3);
    assert_null(imu_db_recall(t->db, t->pool, "list", &len));
}

static int is_remembered(tempdb *t, int i)
{
    apr_size_t len;

    return imu_db_recall(t->db, t->pool, apr_itoa(t->pool, i), &len) != NULL;
}

static void test_the_oldest_answers_make_room(void **state)
{
    const apr_size_t large = 64 * 1024;
    tempdb *t = *state;
    char *data = apr_pcalloc(t->pool, large + 1);

    for (int i = 0; i < 300; i++) {
        assert_false(is_remembered(t, i));
        imu_db_remember(t->db, apr_itoa(t->pool, i), data, 1);
    }
    assert_true(is_remembered(t, 299) && is_remembered(t, 50) && !is_remembered(t, 0));
    for (int i = 300; i < 340; i++) {
        assert_false(is_remembered(t, i));
        imu_db_remember(t->db, apr_itoa(t->pool, i), data, large);
    }
    assert_true(is_remembered(t, 339) && is_remembered(t, 325) && !is_remembered(t, 320));
    assert_false(is_remembered(t, 400));
    imu_db_remember(t->db, apr_itoa(t->pool, 400), data, large + 1);
    assert_false(is_remembered(t, 400));
}

/* An answer made from data older than a write that came in between must not be served after it. */
static void test_an_answer_overtaken_by_a_write_is_not_served(void **state)
{
    tempdb *t = *state;
    imu_db *other = tempdb_another(t);
    apr_size_t len;

    assert_null(imu_db_recall(t->db, t->pool, "list", &len));
    assert_no_error(put(t, other, "x", "y"));
    imu_db_remember(t->db, "list", "[old]", 5);
    assert_null(imu_db_recall(t->db, t->pool, "list", &len));
}

/* What a transaction has written is no version yet, and may never be one. */
static void test_nothing_is_remembered_within_a_transaction(void **state)
{
    tempdb *t = *state;
    apr_size_t len;

    assert_null(imu_db_recall(t->db, t->pool, "list", &len));
    imu_db_remember(t->db, "list", "[1]", 3);
    assert_no_error(imu_db_begin(t->db));
    assert_no_error(put(t, t->db, "x", "y"));
    assert_null(imu_db_recall(t->db, t->pool, "list", &len));
    imu_db_remember(t->db, "list", "[2]", 3);
    assert_non_null(imu_db_end(t->db, imu_error(t->pool, 409, "no", "No.")));
    assert_string_equal(imu_db_recall(t->db, t->pool, "list", &len), "[1]");
}

static void query(tempdb *t, const char *sql)
{
    apr_dbd_results_t *res = NULL;

    assert_int_equal(apr_dbd_select(t->db->driver, t->pool, t->db->handle, &res, sql, 0), 0);
}

/* Whoever writes after a checkpoint begins the WAL anew: as many frames, other content. */
static void test_a_wal_begun_anew_is_another_version(void **state)
{
    tempdb *t = *state;
    imu_db *other = tempdb_another(t);
    apr_size_t len;

    query(t, "PRAGMA wal_checkpoint(TRUNCATE)");
    for (int i = 0; i < 20; i++) {
        assert_no_error(put(t, other, "x", apr_itoa(t->pool, i)));
        assert_null(imu_db_recall(t->db, t->pool, "list", &len));
        imu_db_remember(t->db, "list", apr_itoa(t->pool, i), 2);
        assert_non_null(imu_db_recall(t->db, t->pool, "list", &len));
        query(t, "PRAGMA wal_checkpoint(RESTART)");
    }
}

static void test_a_commit_of_another_process_is_seen(void **state)
{
    tempdb *t = *state;
    apr_size_t len;
    pid_t child;
    int status;

    assert_null(imu_db_recall(t->db, t->pool, "list", &len));
    imu_db_remember(t->db, "list", "[1]", 3);
    assert_non_null(imu_db_recall(t->db, t->pool, "list", &len));
    if ((child = fork()) == 0) {
        execlp("sqlite3", "sqlite3", t->path,
               "INSERT INTO app_settings VALUES ('by', '\"hand\"', '2026-01-01')", (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_null(imu_db_recall(t->db, t->pool, "list", &len));
}

static void test_huge_answers_are_not_kept(void **state)
{
    tempdb *t = *state;
    apr_size_t len, huge = 1 << 20;
    char *text = apr_pcalloc(t->pool, huge);

    assert_null(imu_db_recall(t->db, t->pool, "list", &len));
    imu_db_remember(t->db, "list", text, huge);
    assert_null(imu_db_recall(t->db, t->pool, "list", &len));
}

static void test_migrating_again_changes_nothing(void **state)
{
    tempdb *t = *state;
    int from = -1, to = -1;

    assert_no_error(imu_migrate(t->pool, t->path, &from, &to));
    assert_int_equal(from, imu_migrations[imu_migrations_count - 1].version);
    assert_int_equal(to, from);
}

static void raw(tempdb *t, const char *sql)
{
    int rows;

    assert_int_equal(apr_dbd_query(t->db->driver, t->db->handle, &rows, sql), 0);
}

static void test_newer_database_is_refused(void **state)
{
    tempdb *t = *state;
    imu_err *err;

    raw(t, "INSERT INTO schema_migrations (version, name, applied_at) VALUES (9999, 'future', '')");
    err = imu_migrate(t->pool, t->path, NULL, NULL);
    assert_true(imu_error_is(err, "db_newer"));
    assert_non_null(strstr(err->detail, "9999"));
}

static int backups(tempdb *t)
{
    apr_dir_t *dir;
    apr_finfo_t entry;
    int n = 0;

    assert_int_equal(apr_dir_open(&dir, t->dir, t->pool), APR_SUCCESS);
    while (apr_dir_read(&entry, APR_FINFO_NAME, dir) == APR_SUCCESS)
        n += strstr(entry.name, ".backup") != NULL;
    apr_dir_close(dir);
    return n;
}

static void test_a_copy_is_made_before_an_old_database_is_changed(void **state)
{
    tempdb *t = *state;
    struct stat copy, database;

    if (geteuid() == 0)
        assert_int_equal(chown(t->path, 65534, 65534), 0);
    /* A migration that fails (the second one's objects are there already) must leave the version as
     * it was, and the copy beside it. */
    raw(t, "DELETE FROM schema_migrations WHERE version > 1");
    assert_int_equal(backups(t), 0);
    assert_int_equal(chmod(t->path, 0644), 0);
    for (int start = 0; start < 2; start++) {
        assert_non_null(imu_migrate(t->pool, t->path, NULL, NULL));
        assert_int_equal(backups(t), 1);
    }
    assert_int_equal(stat(apr_psprintf(t->pool, "%s-v1.backup", t->path), &copy), 0);
    assert_int_equal(stat(t->path, &database), 0);
    assert_int_equal(copy.st_mode & 0777, 0600);
    assert_int_equal(copy.st_uid, database.st_uid);
    assert_int_equal(copy.st_gid, database.st_gid);
    assert_true(copy.st_size > 4096);
}

static void test_versions_have_no_gap(void **state)
{
    (void)state;
    for (int i = 0; i < imu_migrations_count; i++)
        assert_int_equal(imu_migrations[i].version, i + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values_come_back, tempdb_setup, tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_rollback_leaves_nothing, tempdb_setup,
                                        tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_inner_transaction_belongs_to_the_outer, tempdb_setup,
                                        tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_constraints_have_codes, tempdb_setup, tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_a_full_disk_is_told_as_such, tempdb_setup,
                                        tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_a_reserve_is_kept_and_given_up_once, tempdb_setup,
                                        tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_foreign_keys_hold, tempdb_setup, tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_unknown_statement_is_an_error, tempdb_setup,
                                        tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_every_statement_fits_the_schema, tempdb_setup,
                                        tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_answers_are_remembered_until_somebody_writes,
                                        setup_and_write, tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_remembered_before_the_first_write,
                                        tempdb_setup, tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_the_oldest_answers_make_room, setup_and_write,
                                        tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_an_answer_overtaken_by_a_write_is_not_served,
                                        tempdb_setup, tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_remembered_within_a_transaction,
                                        setup_and_write, tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_a_wal_begun_anew_is_another_version, tempdb_setup,
                                        tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_a_commit_of_another_process_is_seen, setup_and_write,
                                        tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_huge_answers_are_not_kept, tempdb_setup,
                                        tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_migrating_again_changes_nothing, tempdb_setup,
                                        tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_newer_database_is_refused, tempdb_setup,
                                        tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_a_copy_is_made_before_an_old_database_is_changed,
                                        tempdb_setup, tempdb_teardown),
        cmocka_unit_test_setup_teardown(test_versions_have_no_gap, tempdb_setup, tempdb_teardown),
    };

    return cmocka_run_group_tests_name("store/db", tests, NULL, NULL);
}
