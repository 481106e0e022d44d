/*
 * doctor_tokenizers.c: tokenizers that are kept for models of one file, and are not what their name
 * says.
 */
#include "cli/doctor.h"
#include "cli/files.h"

#include <apr_strings.h>

#include "mod_invokemu/store/files.h"
#include "mod_invokemu/store/tokenizers.h"

typedef struct kept_tokenizers {
    cli_doctor *d;
    apr_array_header_t *damaged; /* names */
} kept_tokenizers;

static imu_err *look_at_tokenizer(void *baton, const char *path, const char *name)
{
    kept_tokenizers *k = baton;

    (void)path;
    if (cli_is_hash(name) && !imu_tokenizer_is_kept(k->d->c->p, k->d->c->opt.root, name))
        APR_ARRAY_PUSH(k->damaged, const char *) = apr_pstrdup(k->d->c->p, name);
    return NULL;
}

/* How many of them are whole by now. */
static int whole_again(const cli_doctor *d, const apr_array_header_t *names)
{
    int n = 0;

    for (int i = 0; i < names->nelts; i++)
        n += imu_tokenizer_is_kept(d->c->p, d->c->opt.root, APR_ARRAY_IDX(names, i, const char *));
    return n;
}

imu_err *cli_doctor_tokenizers(cli_doctor *d)
{
    kept_tokenizers k = {d, apr_array_make(d->c->p, 0, sizeof(const char *))};
    const char *folder = apr_pstrcat(d->c->p, d->c->opt.root, "/" IMU_TOKENIZERS_DIR, NULL);
    imu_err *err = cli_each(d->c->p, folder, look_at_tokenizer, &k);

    if (err || k.damaged->nelts == 0)
        return err;
    if (d->c->opt.fix && (err = imu_tokenizers_remember(d->c->db, d->c->p, d->c->opt.root)))
        return err;
    cli_doctor_found(d, "tokenizers",
                     "damaged tokenizers, to be written anew from an installed model; where none "
                     "has them, \"invokemu models tokenizer FOLDER\" brings them",
                     k.damaged->nelts, k.damaged, whole_again(d, k.damaged));
    return NULL;
}
