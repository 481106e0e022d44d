/*
 * doctor_texts.c: texts that are no UTF-8, which no page can show: they would be in the way of
 * every list that they stand in. Their odd bytes come to stand as \xNN.
 */
#include <string.h>

#include <apr_strings.h>

#include "cli/doctor.h"
#include "mod_invokemu/util/ids.h"

/* What people, other programs and other servers may have written: doctor_text_<what> reads a page
 * of keys and texts behind a key, doctor_text_<what>_mend writes one. */
static const struct {
    const char *read, *mend;
} places[] = {
#define PLACE(what)                                                                                \
    {                                                                                              \
        "doctor_text_" what, "doctor_text_" what "_mend"                                           \
    }
    PLACE("people"), PLACE("boards"),  PLACE("workflows"), PLACE("descriptions"),
    PLACE("tags"),   PLACE("presets"), PLACE("models"),    PLACE("entries"),
};

static int is_utf8(const char *text)
{
    unsigned code;

    for (int n; *text; text += n)
        if ((n = imu_utf8_next(text, &code)) == 0)
            return 0;
    return 1;
}

typedef struct search {
    cli_doctor *d;
    apr_array_header_t *found;
    int mended;
} search;

static imu_err *look_at_text(search *s, apr_pool_t *p, const char *mend, const char *key,
                             const char *text)
{
    imu_err *err = NULL;

    if (!text || is_utf8(text))
        return NULL;
    APR_ARRAY_PUSH(s->found, const char *) = imu_visible_text(s->d->c->p, text);
    if (s->d->c->opt.fix &&
        !(err = imu_db_exec(s->d->c->db, p, NULL, mend, "ss", imu_visible_text(p, text), key)))
        s->mended++;
    return err;
}

static imu_err *look_at_place(search *s, const char *read, const char *mend)
{
    const char *after = "";
    apr_pool_t *pages[2];
    imu_rows *rows;
    imu_err *err = NULL;

    /* Two in turn: the key that a page begins behind is of the one before. */
    apr_pool_create(&pages[0], s->d->c->p);
    apr_pool_create(&pages[1], s->d->c->p);
    for (int turn = 0;; turn = !turn) {
        apr_pool_clear(pages[turn]);
        if ((err = imu_db_select(s->d->c->db, pages[turn], &rows, read, "s", after)) ||
            !rows->count)
            break;
        for (int i = 0; !err && i < rows->count; i++) {
            after = imu_text(rows, i, "key");
            err = look_at_text(s, pages[turn], mend, after, imu_text(rows, i, "text"));
        }
        if (err)
            break;
    }
    if (err)
        err = imu_error_keep(s->d->c->p, err);
    apr_pool_destroy(pages[0]);
    apr_pool_destroy(pages[1]);
    return err;
}

imu_err *cli_doctor_texts(cli_doctor *d)
{
    search s = {d, apr_array_make(d->c->p, 0, sizeof(const char *)), 0};
    imu_err *err = NULL;

    for (size_t i = 0; !err && i < sizeof places / sizeof places[0]; i++)
        err = look_at_place(&s, places[i].read, places[i].mend);
    if (!err && s.found->nelts)
        cli_doctor_found(
            d, "texts",
            "texts in names and elsewhere with bytes that are no UTF-8, to stand as \\xNN",
            s.found->nelts, s.found, s.mended);
    return err;
}
