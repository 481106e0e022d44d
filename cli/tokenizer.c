/*
 * tokenizer.c: a tokenizer that the administrator brings for models of one file. CLIP's is known by
 * size and hash; for another, the administrator says which hash it must have.
 */
#include "cli/files.h"

#include <string.h>
#include <strings.h>

#include <apr_strings.h>

#include "mod_invokemu/store/tokenizers.h"
#include "worker/diffusion/tokenizer_files.h"

int cli_is_hash(const char *text)
{
    return strlen(text) == IMU_TOKENIZER_HASH - 1 &&
           strspn(text, "0123456789abcdefABCDEF") == IMU_TOKENIZER_HASH - 1;
}

const char *cli_check_hash(const cli *c)
{
    return !c->opt.hash || cli_is_hash(c->opt.hash)
               ? NULL
               : "--hash takes the 64 digits that \"cat vocab.json merges.txt | sha256sum\" "
                 "prints";
}

/* Whether these are the files that they are taken for. */
static imu_err *check_hash(cli *c, const imu_tokenizer_files *f)
{
    if (c->opt.hash)
        return strcasecmp(c->opt.hash, f->hash) == 0
                   ? NULL
                   : imu_error(c->p, 409, "other_hash",
                               "these are other files: their hash is %s, not %s", f->hash,
                               c->opt.hash);
    if (imu_tokenizer_is_published(f->hash))
        return NULL;
    if (imu_tokenizer_size_is_published(f->vocab_size, f->merges_size))
        return imu_error(c->p, 409, "damaged",
                         "these files are as long as those that CLIP was published with, but hold "
                         "something else: their hash is %s. Get them anew",
                         f->hash);
    return imu_error(c->p, 409, "unknown_tokenizer",
                     "these are not the files that CLIP was published with: vocab.json has %lu "
                     "bytes, merges.txt %lu, and their hash is %s. If they are to be used all the "
                     "same, compare the hash with what their publisher says, and give it with "
                     "--hash",
                     (unsigned long)f->vocab_size, (unsigned long)f->merges_size, f->hash);
}

static imu_err *keep(cli *c, const imu_tokenizer_files *f)
{
    imu_err *err = check_hash(c, f);
    imu_fault fault;
    int fresh = 0;

    if (err)
        return err;
    if (imu_tokenizer_files_check(f, &fault))
        return imu_error(c->p, 422, "no_tokenizer", "these files are no tokenizer: %s", fault.text);
    if ((err = imu_tokenizer_keep(c->p, c->opt.root, f, &fresh)))
        return err;
    if (fresh)
        cli_note(c, (imu_audit_fact){.action = IMU_AUDIT_TOKENIZER_KEPT, .target_name = f->hash});
    cli_done(c, json_pack("{s:s, s:b}", "hash", f->hash, "new", fresh),
             fresh ? "Models of one file whose words these are can use them now (%s)."
                   : "They are there already (%s).",
             f->hash);
    return NULL;
}

imu_err *cli_models_tokenizer(cli *c)
{
    const char *folder = cli_whole_path(c->p, c->opt.plain);
    imu_tokenizer_files files;
    imu_engine_status status;
    imu_fault fault;
    imu_err *err;

    if (!folder)
        return imu_error(c->p, 404, "no_folder", "%s can't be made a whole path", c->opt.plain);
    cli_as(folder);
    status = imu_tokenizer_files_read(folder, &files, &fault);
    cli_as(NULL);
    if (status)
        return imu_error(c->p, 404, "no_files", "%s", fault.text);
    err = keep(c, &files);
    imu_tokenizer_files_free(&files);
    return err;
}
