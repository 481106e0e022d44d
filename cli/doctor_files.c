/*
 * doctor_files.c: pictures without rows, rows without pictures, lost thumbnails, half-written
 * files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <apr_strings.h>

#include "cli/doctor.h"
#include "cli/files.h"
#include "cli/media.h"
#include "mod_invokemu/store/files.h"
#include "mod_invokemu/store/images.h"
#include "mod_invokemu/store/orphans.h"
#include "mod_invokemu/store/picture_check.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/util/ids.h"

/* So many rows without pictures, and more than half of all: a disk that is not mounted. */
#define MANY 10
/* One that is younger may be of a program that takes no lock. */
#define LEFT_SECONDS (24 * 3600)

static const char *below(const cli_doctor *d, const char *path)
{
    return apr_pstrcat(d->c->p, d->c->opt.root, "/", path, NULL);
}

/* Whether a file is there that whoever this works for may not read, as root once left some. */
static int is_locked(const char *path)
{
    return eaccess(path, R_OK) != 0 && errno == EACCES;
}

/* Whether something has the name that is no file itself: a link, a folder, a pipe. */
static int is_strange(const char *path)
{
    struct stat st;

    return cli_look(path, &st) == 0 && !S_ISREG(st.st_mode);
}

/* What is wrong with the files of pictures that have rows: arrays of names. */
typedef struct broken_files {
    apr_array_header_t *torn;    /* a part is missing */
    apr_array_header_t *strange; /* no files at all */
    apr_array_header_t *locked;  /* can't be read */
    apr_array_header_t *bare;    /* of the thumbnail only */
} broken_files;

static void look_at_files(const char *png, const char *webp, const char *name, broken_files *b)
{
    if (is_strange(png))
        APR_ARRAY_PUSH(b->strange, const char *) = name;
    else if (is_locked(png) || is_locked(webp))
        APR_ARRAY_PUSH(b->locked, const char *) = name;
    else if (cli_exists(png) && !cli_is_whole(png, imu_png_is_whole) && cli_exists(png))
        APR_ARRAY_PUSH(b->torn, const char *) = name;
    else if (cli_exists(png) && cli_exists(webp) && !cli_is_whole(webp, imu_webp_is_whole))
        APR_ARRAY_PUSH(b->bare, const char *) = name;
}

static imu_err *find_broken(cli_doctor *d, broken_files *b)
{
    const char *root = d->c->opt.root, *after = "";
    apr_pool_t *sub;
    imu_rows *rows;
    imu_err *err = NULL;

    apr_pool_create(&sub, d->c->p);
    do {
        if ((err = imu_db_select(d->c->db, d->c->p, &rows, "images_names_after", "s", after)))
            break;
        for (int i = 0; i < rows->count; i++) {
            apr_pool_clear(sub);
            after = imu_text(rows, i, "image_name");
            look_at_files(imu_picture_path(sub, root, after), imu_thumbnail_path(sub, root, after),
                          after, b);
        }
    } while (rows->count > 0);
    apr_pool_destroy(sub);
    return err;
}

/* What the row said, among the orphans too. */
static imu_err *keep_record(cli_doctor *d, apr_pool_t *p, const char *name, int *there)
{
    const char *part =
        apr_pstrcat(p, below(d, "tmp"), "/" IMU_TEMPORARY_PREFIX, imu_uuid4(p), NULL);
    imu_rows *rows;
    imu_err *err = imu_db_select(d->c->db, p, &rows, "doctor_picture_row", "s", name);

    *there = !err && rows->count > 0;
    if (err || !*there)
        return err;
    if ((err = cli_write_file(p, part, imu_text(rows, 0, "record"))))
        return err;
    err = imu_orphan_keep(p, d->c->opt.root, part, apr_pstrcat(p, name, ".json", NULL));
    if (err)
        (void)cli_unlink(part);
    return err;
}

/* A row whose picture is not there, or not whole: both go aside. */
static imu_err *set_aside(cli_doctor *d, apr_pool_t *p, const char *name)
{
    json_t *names = imu_json_own(p, json_pack("[s]", name));
    int there;
    imu_err *err = keep_record(d, p, name, &there);

    if (!err && there)
        err = imu_orphan_keep(p, d->c->opt.root, imu_picture_path(p, d->c->opt.root, name), name);
    return err || !there ? err : imu_images_delete(d->c->db, p, names);
}

static imu_err *set_all_aside(cli_doctor *d, const apr_array_header_t *names, int *mended)
{
    apr_pool_t *sub;
    imu_err *err = cli_make_folders(d->c->p, below(d, IMU_ORPHANS_DIR), 0750);

    if (!err)
        err = cli_make_folders(d->c->p, below(d, "tmp"), 0750);
    apr_pool_create(&sub, d->c->p);
    for (int i = 0; !err && i < names->nelts; i++) {
        apr_pool_clear(sub);
        if (!(err = set_aside(d, sub, APR_ARRAY_IDX(names, i, const char *))))
            ++*mended;
    }
    if (err)
        err = imu_error_keep(d->c->p, err);
    apr_pool_destroy(sub);
    return err ? err : cli_purge(d->c);
}

/* Leaves those that are still as they were found: people delete pictures meanwhile. */
static imu_err *look_again(cli_doctor *d, apr_array_header_t *names, int without_picture)
{
    int n = 0;
    imu_err *err = NULL;

    for (int i = 0; !err && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);
        const char *path = (without_picture ? imu_picture_path
                                            : imu_thumbnail_path)(d->c->p, d->c->opt.root, name);
        imu_rows *rows;

        err = imu_db_select(d->c->db, d->c->p, &rows, "image_exists", "s", name);
        if (!err && rows->count > 0 && !cli_exists(path))
            APR_ARRAY_IDX(names, n++, const char *) = name;
    }
    names->nelts = n;
    return err;
}

/* A whole picture that was moved aside once, when its row was not there; NULL if there is none. */
static const char *whole_orphan(cli_doctor *d, const char *name)
{
    for (int n = 1; n <= IMU_ORPHANS_MAX; n++) {
        const char *aside = imu_orphan_path(d->c->p, d->c->opt.root, name, n);

        if (cli_is_whole(aside, imu_png_is_whole))
            return aside;
    }
    return NULL;
}

/* What lies in its place, if anything does, is of no use and goes aside itself. */
static imu_err *put_back(cli_doctor *d, const char *aside, const char *name)
{
    const char *png = imu_picture_path(d->c->p, d->c->opt.root, name);
    imu_err *err = imu_orphan_keep(d->c->p, d->c->opt.root, png, name);

    if (!err && imu_rename_new(aside, png) != 0)
        err = imu_error(d->c->p, 500, "files", "can't move %s: %s", aside, strerror(errno));
    return err;
}

/* Takes those out of the list that can come back, and brings them. @param bare  gets those that
 * have no thumbnail now */
static imu_err *bring_back(cli_doctor *d, apr_array_header_t *names, apr_array_header_t *back,
                           apr_array_header_t *bare)
{
    int n = 0;
    imu_err *err = NULL;

    for (int i = 0; !err && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);
        const char *aside = whole_orphan(d, name);

        if (!aside) {
            APR_ARRAY_IDX(names, n++, const char *) = name;
            continue;
        }
        APR_ARRAY_PUSH(back, const char *) = name;
        if (!cli_exists(imu_thumbnail_path(d->c->p, d->c->opt.root, name)))
            APR_ARRAY_PUSH(bare, const char *) = name;
        if (d->c->opt.fix)
            err = put_back(d, aside, name);
    }
    names->nelts = n;
    return err;
}

/* A folder in its place would not give way. */
static imu_err *make_thumbnail(cli_doctor *d, const char *name)
{
    const char *webp = imu_thumbnail_path(d->c->p, d->c->opt.root, name);
    imu_err *err = NULL;

    if (is_strange(webp))
        err = imu_orphan_keep(d->c->p, d->c->opt.root, webp, strrchr(webp, '/') + 1);
    return err ? err
               : cli_thumbnail(d->c, d->c->p, imu_picture_path(d->c->p, d->c->opt.root, name),
                               webp);
}

static imu_err *thumbnails(cli_doctor *d, const apr_array_header_t *bare)
{
    const char *trouble = NULL;
    int mended = 0;

    for (int i = 0; d->c->opt.fix && i < bare->nelts; i++) {
        imu_err *err = make_thumbnail(d, APR_ARRAY_IDX(bare, i, const char *));

        mended += !err;
        if (err && !trouble)
            trouble = err->log ? err->log : err->detail;
        if (imu_error_is(err, "no_media"))
            break;
    }
    if (bare->nelts)
        cli_doctor_found(d, "thumbnails", "pictures without a whole thumbnail, to be made anew",
                         bare->nelts, bare, mended);
    if (trouble)
        cli_complain(d->c, "%s", trouble);
    return NULL;
}

static imu_err *rows_without_pictures(cli_doctor *d, imu_sweep *sweep)
{
    int all = sweep->missing + sweep->pictures, mended = 0, n = sweep->missing_names->nelts;
    imu_err *err = NULL;

    if (n == 0)
        return NULL;
    if (n > MANY && n > all / 2 && !d->c->opt.force) {
        cli_doctor_found(d, "missing",
                         "pictures without a file, more than half of all: perhaps a disk is not "
                         "mounted. If they are gone, --fix --force writes what the rows say into "
                         "outputs/orphans and takes them out",
                         n, sweep->missing_names, 0);
        return NULL;
    }
    if (d->c->opt.fix)
        err = set_all_aside(d, sweep->missing_names, &mended);
    if (!err)
        cli_doctor_found(d, "missing",
                         "rows of pictures without a file, to be written into outputs/orphans and "
                         "taken out",
                         n, sweep->missing_names, mended);
    return err;
}

/* What the server mends by itself at its start, after an hour. */
static void report_sweep(cli_doctor *d, const imu_sweep *found)
{
    int fix = d->c->opt.fix;

    if (found->temporary)
        cli_doctor_found(d, "temporary", "unfinished files, to be removed", found->temporary,
                         found->temporary_names, fix ? found->temporary : 0);
    if (found->deleted)
        cli_doctor_found(d, "deleted", "deleted pictures with files that have still to go",
                         found->deleted, NULL, fix ? found->deleted : 0);
    if (found->orphans)
        cli_doctor_found(d, "orphans", "files without a row, to be moved to outputs/orphans",
                         found->orphans, found->orphan_names, fix ? found->orphans : 0);
    if (found->previews)
        cli_doctor_found(d, "previews",
                         "previews of workflows and style presets that are gone, to be removed",
                         found->previews, found->preview_names, fix ? found->previews : 0);
}

typedef struct leftovers {
    cli_doctor *d;
    apr_array_header_t *names;
} leftovers;

/* Working folders of a backup, restore or import that was killed. */
static imu_err *look_at_leftover(void *baton, const char *path, const char *name)
{
    static const char *const kinds[] = {"backup-", "restore-", "import"};
    leftovers *l = baton;
    struct stat st;

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strncmp(name, kinds[i], strlen(kinds[i])) != 0 || lstat(path, &st) != 0 ||
            st.st_ctime > time(NULL) - LEFT_SECONDS || cli_is_worked_on(path))
            continue;
        APR_ARRAY_PUSH(l->names, const char *) = apr_pstrdup(l->d->c->p, name);
        if (l->d->c->opt.fix)
            return cli_remove_tree(l->d->c->p, path);
    }
    return NULL;
}

static imu_err *find_leftovers(cli_doctor *d)
{
    leftovers l = {d, apr_array_make(d->c->p, 0, sizeof(const char *))};
    imu_err *err = cli_each(d->c->p, below(d, "tmp"), look_at_leftover, &l);

    if (!err && l.names->nelts)
        cli_doctor_found(d, "leftovers", "folders of work that was broken off, to be removed",
                         l.names->nelts, l.names, d->c->opt.fix ? l.names->nelts : 0);
    return err;
}

/* What lies in a folder of pictures and is no file: links, pipes, folders. Those in place of a
 * picture or thumbnail of a row are seen with that. */
typedef struct strangers {
    cli_doctor *d;
    const char *folder; /* below the root */
    const char *ending; /* of the files there */
    apr_array_header_t *names;
    int mended;
} strangers;

static imu_err *has_row(cli_doctor *d, const char *name, const char *ending, int *there)
{
    size_t len = strlen(name), tail = strlen(ending);
    const char *picture;
    imu_rows *rows;
    imu_err *err;

    *there = 0;
    if (len <= tail || strcmp(name + len - tail, ending) != 0)
        return NULL;
    picture = apr_pstrcat(d->c->p, apr_pstrmemdup(d->c->p, name, len - tail), ".png", NULL);
    err = imu_db_select(d->c->db, d->c->p, &rows, "image_exists", "s", picture);
    *there = !err && rows->count > 0;
    return err;
}

static imu_err *look_at_stranger(void *baton, const char *path, const char *name)
{
    strangers *s = baton;
    apr_pool_t *p = s->d->c->p;
    struct stat st;
    imu_err *err;
    int named;

    if (cli_look(path, &st) != 0 || S_ISREG(st.st_mode) ||
        st.st_mtime >= time(NULL) - IMU_SETTLED_SECONDS ||
        strcmp(path, below(s->d, IMU_THUMBNAILS_DIR)) == 0)
        return NULL;
    if ((err = has_row(s->d, name, s->ending, &named)) || named)
        return err;
    APR_ARRAY_PUSH(s->names, const char *) = apr_pstrcat(p, s->folder, "/", name, NULL);
    if (!s->d->c->opt.fix)
        return NULL;
    /* A folder may be one that a disk is mounted on, or another's: that stays, and is told. */
    if ((err = imu_orphan_keep(p, s->d->c->opt.root, path, name)))
        cli_complain(s->d->c, "%s", err->log);
    else
        s->mended++;
    return NULL;
}

static imu_err *find_strangers(cli_doctor *d)
{
    strangers s = {.d = d, .names = apr_array_make(d->c->p, 0, sizeof(const char *))};
    imu_err *err;

    s.folder = IMU_PICTURES_DIR;
    s.ending = ".png";
    if ((err = cli_each(d->c->p, below(d, s.folder), look_at_stranger, &s)))
        return err;
    s.folder = IMU_THUMBNAILS_DIR;
    s.ending = ".webp";
    if ((err = cli_each(d->c->p, below(d, s.folder), look_at_stranger, &s)))
        return err;
    if (s.names->nelts)
        cli_doctor_found(
            d, "strangers",
            "things among the pictures that belong to none (links, folders and the like), to be "
            "moved to outputs/orphans",
            s.names->nelts, s.names, s.mended);
    return NULL;
}

/* Pictures whose file is of no use: it goes aside with what the row says. */
static imu_err *useless(cli_doctor *d, const char *what, const char *sentence,
                        const apr_array_header_t *names)
{
    int mended = 0;
    imu_err *err = NULL;

    if (names->nelts && d->c->opt.fix)
        err = set_all_aside(d, names, &mended);
    if (names->nelts && !err)
        cli_doctor_found(d, what, sentence, names->nelts, names, mended);
    return err;
}

/* Pictures that are missing or of no use here, and lie whole among the orphans. */
static imu_err *came_back(cli_doctor *d, apr_array_header_t *missing, broken_files *b)
{
    apr_array_header_t *back = apr_array_make(d->c->p, 0, sizeof(const char *));
    apr_array_header_t *lists[] = {missing, b->torn, b->strange};
    imu_err *err = NULL;

    for (size_t i = 0; !err && i < sizeof lists / sizeof lists[0]; i++)
        err = bring_back(d, lists[i], back, b->bare);
    if (!err && back->nelts)
        cli_doctor_found(d, "came_back", "pictures whose file was moved aside, to be brought back",
                         back->nelts, back, d->c->opt.fix ? back->nelts : 0);
    return err;
}

static imu_err *broken_pictures(cli_doctor *d, const broken_files *b)
{
    imu_err *err;

    if (b->locked->nelts)
        cli_doctor_found(d, "unreadable",
                         "pictures that the server's user may not read: give it the files by chown",
                         b->locked->nelts, b->locked, 0);
    err = useless(d, "torn",
                  "pictures of which a part is missing, to be moved to outputs/orphans with "
                  "what their rows say",
                  b->torn);
    if (!err)
        err = useless(d, "strange",
                      "pictures in whose place lies no file but a link, a folder or the like, to "
                      "be moved to outputs/orphans with what their rows say",
                      b->strange);
    return err;
}

imu_err *cli_doctor_files(cli_doctor *d)
{
    broken_files b = {apr_array_make(d->c->p, 0, sizeof(const char *)),
                      apr_array_make(d->c->p, 0, sizeof(const char *)),
                      apr_array_make(d->c->p, 0, sizeof(const char *)), NULL};
    imu_sweep found;
    imu_err *err = (d->c->opt.fix ? imu_pictures_sweep : imu_pictures_look)(d->c->db, d->c->p,
                                                                            d->c->opt.root, &found);

    if (err)
        return err;
    report_sweep(d, &found);
    b.bare = found.bare_names;
    if ((err = find_strangers(d)) || (err = find_leftovers(d)) ||
        (err = look_again(d, found.missing_names, 1)) || (err = look_again(d, b.bare, 0)) ||
        (err = find_broken(d, &b)) || (err = came_back(d, found.missing_names, &b)) ||
        (err = rows_without_pictures(d, &found)) || (err = broken_pictures(d, &b)))
        return err;
    return thumbnails(d, b.bare);
}
