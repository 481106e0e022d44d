/* Pictures on disk and in the database: storing, refusing, deleting, boards, and the sweep after a
 * power cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/remove_folder.h"
#include "mod_invokemu/store/boards.h"
#include "mod_invokemu/store/images.h"
#include "mod_invokemu/store/migrate.h"
#include "mod_invokemu/store/ownership.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/store/previews.h"
#include "mod_invokemu/store/style_presets.h"
#include "mod_invokemu/store/workflows.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "mod_invokemu/util/ids.h"

static const char png[] = "\x89PNG\r\n\x1a\nrest of a picture";
static const char webp[] = "RIFF\x10\0\0\0WEBPrest";

typedef struct fixture {
    apr_pool_t *p;
    imu_db *db;
    const char *root;
    int png_fd, webp_fd;
} fixture;

static int memory_file(const void *data, size_t len)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    return fd >= 0 && write(fd, data, len) == (ssize_t)len ? fd : -1;
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    char folder[] = "/tmp/imu-pictures-XXXXXX";
    const char *path;

    if (!f || apr_initialize() || apr_pool_create(&f->p, NULL) || !mkdtemp(folder))
        return -1;
    f->root = apr_pstrdup(f->p, folder);
    path = apr_pstrcat(f->p, folder, "/test.db", NULL);
    if (imu_migrate(f->p, path, NULL, NULL) || imu_db_open(f->p, path, NULL, &f->db) ||
        imu_picture_folders(f->p, f->root, (uid_t)-1, (gid_t)-1))
        return -1;
    f->png_fd = memory_file(png, sizeof png);
    f->webp_fd = memory_file(webp, sizeof webp);
    *state = f;
    return f->png_fd < 0 || f->webp_fd < 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    close(f->png_fd);
    close(f->webp_fd);
    imu_db_close(f->db);
    if (remove_folder(f->root) != 0)
        return -1;
    apr_pool_destroy(f->p);
    free(f);
    return 0;
}

static imu_picture picture(fixture *f)
{
    imu_picture p = {.image_name = imu_picture_name_new(f->p),
                     .user_id = "system",
                     .origin = "internal",
                     .category = "general",
                     .width = 64,
                     .height = 32};
    return p;
}

static imu_err *store(fixture *f, const imu_picture *p)
{
    return imu_picture_store(f->db, f->p, f->root, p, f->png_fd, f->webp_fd);
}

static int there(const char *path)
{
    return access(path, F_OK) == 0;
}

static apr_int64_t rows(fixture *f)
{
    imu_image_filter all = {.intermediate = -1};
    imu_image_list list;

    assert_null(imu_images_list(f->db, f->p, &all, 0, 0, &list));
    return list.total;
}

static void make_old(const char *path)
{
    struct utimbuf old = {1, 1};

    assert_int_equal(utime(path, &old), 0);
}

static void put_file(const char *path)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
}

static void stores(void **state)
{
    fixture *f = *state;
    imu_picture p = picture(f);
    const char *workflow, *graph, *metadata;
    imu_image *image;
    struct stat st;
    imu_err *err;

    p.metadata = "{ \"a\" : 1 }";
    p.workflow = "{\"w\":1}";
    assert_null(store(f, &p));
    assert_int_equal(stat(imu_picture_path(f->p, f->root, p.image_name), &st), 0);
    assert_int_equal(st.st_size, sizeof png);
    assert_int_equal(stat(imu_thumbnail_path(f->p, f->root, p.image_name), &st), 0);
    assert_int_equal(st.st_size, sizeof webp);
    assert_null(imu_image_get(f->db, f->p, "system", p.image_name, &image));
    assert_int_equal(image->width, 64);
    assert_int_equal(image->has_workflow, 1);
    assert_null(image->board_id);
    assert_null(imu_image_metadata(f->db, f->p, p.image_name, &metadata));
    assert_string_equal(metadata, "{\"a\":1}");
    assert_null(imu_image_documents(f->db, f->p, p.image_name, &workflow, &graph));
    assert_string_equal(workflow, "{\"w\":1}");
    assert_null(graph);
    /* The same again is a repetition, and must not touch what is there. */
    err = store(f, &p);
    assert_true(imu_error_is(err, "picture_exists"));
    assert_true(there(imu_picture_path(f->p, f->root, p.image_name)));
}

static void refuses(void **state)
{
    static const char *const names[] = {"", "x.png", "../../../../tmp/aaaaaaaaaaaaaaaaaaaaa.png",
                                        "00000000-0000-4000-8000-000000000000.jpg",
                                        "00000000-0000-4000-8000-00000000000/.png"};
    fixture *f = *state;
    imu_picture p = picture(f);
    apr_int64_t before = rows(f);

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        imu_picture bad = p;

        bad.image_name = names[i];
        assert_int_equal(store(f, &bad)->status, 422);
    }
    p.category = "nonsense";
    assert_int_equal(store(f, &p)->status, 422);
    p.category = "user";
    p.width = 0;
    assert_int_equal(store(f, &p)->status, 422);
    p.width = 1;
    assert_int_equal(imu_picture_store(f->db, f->p, f->root, &p, f->webp_fd, f->webp_fd)->status,
                     422);
    assert_false(there(imu_picture_path(f->p, f->root, p.image_name)));
    assert_false(there(imu_thumbnail_path(f->p, f->root, p.image_name)));
    /* An owner who is gone: no row, so no files either. */
    p.user_id = "nobody";
    assert_non_null(store(f, &p));
    assert_false(there(imu_picture_path(f->p, f->root, p.image_name)));
    assert_false(there(imu_thumbnail_path(f->p, f->root, p.image_name)));
    assert_int_equal(rows(f), before);
}

static void boards(void **state)
{
    fixture *f = *state;
    imu_picture on = picture(f), lost = picture(f);
    json_t *deleted, *kept;
    imu_image *image;
    const char *id;

    assert_null(imu_board_create(f->db, f->p, "system", "b", &id));
    on.board_id = id;
    lost.board_id = "gone meanwhile";
    assert_null(store(f, &on));
    assert_null(store(f, &lost));
    assert_null(imu_image_get(f->db, f->p, "system", on.image_name, &image));
    assert_string_equal(image->board_id, id);
    assert_string_equal(image->facts.board->owner_id, "system");
    assert_null(imu_image_get(f->db, f->p, "system", lost.image_name, &image));
    assert_null(image->board_id);
    assert_null(imu_board_delete(f->db, f->p, id, "somebody else", 0, &deleted, &kept));
    assert_int_equal(json_array_size(deleted), 0);
    assert_int_equal(json_array_size(kept), 1);
    assert_null(imu_image_get(f->db, f->p, "system", on.image_name, &image));
    assert_null(image->board_id);
}

static void deletes(void **state)
{
    fixture *f = *state;
    imu_picture p = picture(f);
    json_t *names = imu_json_own(f->p, json_pack("[s]", p.image_name));
    int left;

    assert_null(store(f, &p));
    assert_null(imu_images_delete(f->db, f->p, names));
    assert_true(there(imu_picture_path(f->p, f->root, p.image_name)));
    assert_null(imu_pictures_purge(f->db, f->p, f->root, &left));
    assert_int_equal(left, 0);
    assert_false(there(imu_picture_path(f->p, f->root, p.image_name)));
    assert_false(there(imu_thumbnail_path(f->p, f->root, p.image_name)));
    assert_null(imu_pictures_purge(f->db, f->p, f->root, &left));
}

static void sweeps(void **state)
{
    fixture *f = *state;
    imu_picture kept = picture(f), deleted = picture(f), missing = picture(f);
    const char *orphan = imu_picture_name_new(f->p), *fresh = imu_picture_name_new(f->p);
    const char *part = apr_pstrcat(f->p, f->root, "/outputs/images/.part-1", NULL);
    const char *new_part = apr_pstrcat(f->p, f->root, "/outputs/images/.part-2", NULL);
    const char *note = apr_pstrcat(f->p, f->root, "/outputs/images/README", NULL);
    apr_int64_t before = rows(f);
    imu_sweep found;

    assert_null(store(f, &kept));
    assert_null(store(f, &deleted));
    assert_null(store(f, &missing));
    assert_null(
        imu_images_delete(f->db, f->p, imu_json_own(f->p, json_pack("[s]", deleted.image_name))));
    assert_int_equal(unlink(imu_picture_path(f->p, f->root, missing.image_name)), 0);
    put_file(imu_picture_path(f->p, f->root, orphan));
    make_old(imu_picture_path(f->p, f->root, orphan));
    put_file(imu_picture_path(f->p, f->root, fresh));
    put_file(part);
    make_old(part);
    put_file(new_part);
    put_file(note);
    make_old(note);
    make_old(imu_picture_path(f->p, f->root, kept.image_name));

    assert_null(imu_pictures_sweep(f->db, f->p, f->root, &found));
    assert_int_equal(found.temporary, 1);
    assert_int_equal(found.deleted, 1);
    assert_int_equal(found.orphans, 1);
    assert_int_equal(found.missing, 1);
    assert_string_equal(found.first_missing, missing.image_name);
    assert_true(there(imu_picture_path(f->p, f->root, kept.image_name)));
    assert_true(there(imu_picture_path(f->p, f->root, fresh)));
    assert_true(there(new_part));
    assert_true(there(note));
    assert_false(there(part));
    assert_false(there(imu_picture_path(f->p, f->root, deleted.image_name)));
    assert_false(there(imu_picture_path(f->p, f->root, orphan)));
    assert_true(there(apr_pstrcat(f->p, f->root, "/outputs/orphans/", orphan, NULL)));
    assert_int_equal(rows(f), before + 2); /* the row of the missing file stays */
}

static const char *preview(fixture *f, const char *folder, const char *name, int is_old)
{
    const char *path = imu_preview_path(f->p, f->root, folder, name);

    assert_non_null(path);
    assert_null(imu_preview_store(f->p, f->root, folder, name, f->webp_fd));
    if (is_old)
        make_old(path);
    return path;
}

static const char *preview_name(fixture *f)
{
    return apr_pstrcat(f->p, imu_uuid4(f->p), ".webp", NULL);
}

static void sweeps_previews(void **state)
{
    fixture *f = *state;
    imu_preset preset = {.id = imu_uuid4(f->p),
                         .name = "kept",
                         .positive = "a",
                         .negative = "b",
                         .image = preview_name(f),
                         .facts = {.owner_id = "system"}};
    imu_workflow workflow = {.id = imu_uuid4(f->p),
                             .name = "kept",
                             .description = "",
                             .category = "user",
                             .tags = "",
                             .document = "{}",
                             .facts = {.owner_id = "system"}};
    const char *workflow_file = apr_pstrcat(f->p, workflow.id, ".webp", NULL);
    const char *of_preset = preview(f, IMU_PRESET_PREVIEWS_DIR, preset.image, 1);
    const char *of_workflow = preview(f, IMU_WORKFLOW_PREVIEWS_DIR, workflow_file, 1);
    /* Named like the other folder's: a row there says nothing about this one. */
    const char *lost_preset = preview(f, IMU_PRESET_PREVIEWS_DIR, workflow_file, 1);
    const char *lost_workflow = preview(f, IMU_WORKFLOW_PREVIEWS_DIR, preset.image, 1);
    const char *fresh = preview(f, IMU_PRESET_PREVIEWS_DIR, preview_name(f), 0);
    imu_sweep found;

    assert_null(imu_preset_insert(f->db, f->p, &preset));
    assert_null(imu_workflow_insert(f->db, f->p, &workflow));
    assert_null(imu_workflow_thumbnail(f->db, f->p, workflow.id, workflow_file));
    assert_null(imu_pictures_sweep(f->db, f->p, f->root, &found));
    assert_int_equal(found.previews, 2);
    assert_true(there(of_preset));
    assert_true(there(of_workflow));
    assert_true(there(fresh));
    assert_false(there(lost_preset));
    assert_false(there(lost_workflow));

    assert_null(imu_preset_delete(f->db, f->p, preset.id));
    assert_null(imu_workflow_delete(f->db, f->p, workflow.id));
    assert_null(imu_pictures_sweep(f->db, f->p, f->root, &found));
    assert_int_equal(found.previews, 2);
    assert_false(there(of_preset));
    assert_false(there(of_workflow));
    assert_null(imu_preview_path(f->p, f->root, IMU_PRESET_PREVIEWS_DIR, "../../databases/x.webp"));
    assert_null(imu_preview_path(f->p, f->root, IMU_PRESET_PREVIEWS_DIR, NULL));
}

static void lists(void **state)
{
    fixture *f = *state;
    imu_picture a = picture(f), b = picture(f), c = picture(f);
    imu_image_filter filter = {.intermediate = 0,
                               .starred_first = 1,
                               .descending = 1,
                               .owner_id = "system",
                               .categories = ",mask,control,"};
    imu_image_list list;
    apr_int64_t starred;
    json_t *names;

    a.category = b.category = "mask";
    c.category = "control";
    a.metadata = "{\"p\":\"100% \\\"w_ld\\\" \\u00e9\"}";
    b.metadata = "{\"p\":\"100x wild\"}";
    assert_null(store(f, &a));
    assert_null(store(f, &b));
    assert_null(store(f, &c));
    assert_null(
        imu_images_star(f->db, f->p, imu_json_own(f->p, json_pack("[s]", a.image_name)), 1));
    assert_null(imu_images_names(f->db, f->p, &filter, &names, &starred));
    assert_int_equal(json_array_size(names), 3);
    assert_int_equal(starred, 1);
    assert_string_equal(json_string_value(json_array_get(names, 0)), a.image_name);
    assert_null(imu_images_list(f->db, f->p, &filter, 2, 1, &list));
    assert_int_equal(list.count, 2);
    assert_int_equal(list.total, 3);
    assert_string_equal(list.items[0].image_name, json_string_value(json_array_get(names, 1)));
    filter.search = "100% \"W_LD\" é";
    assert_null(imu_images_list(f->db, f->p, &filter, 10, 0, &list));
    assert_int_equal(list.total, 1);
    assert_string_equal(list.items[0].image_name, a.image_name);
    filter.search = "100_ w";
    assert_null(imu_images_list(f->db, f->p, &filter, 10, 0, &list));
    assert_int_equal(list.total, 0);
    filter.search = NULL;
    filter.origin = "external";
    assert_null(imu_images_list(f->db, f->p, &filter, 10, 0, &list));
    assert_int_equal(list.total, 0);
}

static mode_t mode_of(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 ? info.st_mode & 0777 : 0;
}

/* As the server's user could lay them before root looks again. */
static void links_are_not_given_away(void **state)
{
    fixture *f = *state;
    const char *folder = apr_pstrcat(f->p, f->root, "/own", NULL),
               *file = apr_pstrcat(f->p, f->root, "/file", NULL),
               *name = apr_pstrcat(f->p, f->root, "/link", NULL);
    int fd;

    assert_null(imu_own_folders(f->p, f->root, "own/below", getuid(), getgid()));
    assert_int_equal(mode_of(apr_pstrcat(f->p, folder, "/below", NULL)), 0750);
    assert_int_equal(symlink(folder, name), 0);
    assert_null(imu_own_folders(f->p, f->root, "link/below", getuid(), getgid()));
    assert_non_null(imu_own_folders(f->p, f->root, "link/other", getuid(), getgid()));
    assert_int_equal(mode_of(apr_pstrcat(f->p, folder, "/other", NULL)), 0);
    assert_int_equal(unlink(name), 0);

    fd = creat(file, 0640);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(chmod(file, 0644), 0);
    assert_int_equal(symlink(file, name), 0);
    assert_int_equal(imu_own_file(name, getuid(), getgid()), -1);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(link(file, name), 0);
    assert_int_equal(imu_own_file(name, getuid(), getgid()), -1);
    assert_int_equal(mode_of(file), 0644);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(imu_own_file(name, getuid(), getgid()), 0);
    assert_int_equal(imu_own_file(file, getuid(), getgid()), 0);
    assert_int_equal(mode_of(file), 0600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stores),          cmocka_unit_test(refuses),
        cmocka_unit_test(boards),          cmocka_unit_test(deletes),
        cmocka_unit_test(lists),           cmocka_unit_test(sweeps),
        cmocka_unit_test(sweeps_previews), cmocka_unit_test(links_are_not_given_away),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
