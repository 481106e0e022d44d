#include "worker/diffusion/tokenizer_files.h"

#include "worker/diffusion/json_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define MAX_FILE ((size_t)16 << 20)

/* CLIP's 49408 words in the forms in which vocab.json is found beside models (on one line with
 * blanks, without, and one word a line), each with the one merges.txt. */
static const struct published {
    size_t vocab_size, merges_size;
    const char *hash;
} published[] = {
    {961143, 524619, "8157c22d3215e81ae79d8a48f924ca37bb7b5b5aabe1db60cbbb53f457bd6c7a"},
    {862328, 524619, "57456412fe5babad570170d7010fceae7a10bca0efb284bc542ee6152958b2f9"},
    {1059962, 524619, "2a0207cff18cc607742650cd1308bf6b1ab324ba57b0e47012de49dc189998c8"},
};

static bool take_hash(imu_tokenizer_files *f)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool taken = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
                 EVP_DigestUpdate(ctx, f->vocab, f->vocab_size) &&
                 EVP_DigestUpdate(ctx, f->merges, f->merges_size) &&
                 EVP_DigestFinal_ex(ctx, digest, &n);
    EVP_MD_CTX_free(ctx);
    for (unsigned int i = 0; taken && i < n; i++)
        snprintf(f->hash + 2 * (size_t)i, 3, "%02x", digest[i]);
    return taken;
}

imu_engine_status imu_tokenizer_files_read(const char *folder, imu_tokenizer_files *files,
                                           imu_fault *fault)
{
    *files = (imu_tokenizer_files){0};
    imu_engine_status s = imu_file_read(folder, IMU_TOKENIZER_VOCAB, MAX_FILE, &files->vocab,
                                        &files->vocab_size, fault);
    if (!s)
        s = imu_file_read(folder, IMU_TOKENIZER_MERGES, MAX_FILE, &files->merges,
                          &files->merges_size, fault);
    if (!s && !take_hash(files))
        s = imu_fail_memory(fault);
    if (s)
        imu_tokenizer_files_free(files);
    return s;
}

void imu_tokenizer_files_free(imu_tokenizer_files *files)
{
    free(files->vocab);
    free(files->merges);
    *files = (imu_tokenizer_files){0};
}

bool imu_tokenizer_is_published(const char *hash)
{
    for (size_t i = 0; i < sizeof published / sizeof *published; i++)
        if (!strcmp(hash, published[i].hash))
            return true;
    return false;
}

bool imu_tokenizer_size_is_published(size_t vocab_size, size_t merges_size)
{
    for (size_t i = 0; i < sizeof published / sizeof *published; i++)
        if (vocab_size == published[i].vocab_size && merges_size == published[i].merges_size)
            return true;
    return false;
}
