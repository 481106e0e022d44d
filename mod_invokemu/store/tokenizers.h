/*
 * tokenizers.h: the tokenizers that the server keeps for models of one file, which have none. Below
 * the root, ROOT/tokenizers/HASH holds vocab.json and merges.txt; HASH is the SHA-256 of both, one
 * after the other. They come from models that are folders, and stay when such a model goes, or from
 * the administrator. Workers read them, and use only what still has the hash that it is called by.
 */
#ifndef IMU_STORE_TOKENIZERS_H
#define IMU_STORE_TOKENIZERS_H

#include "mod_invokemu/store/db.h"

struct imu_tokenizer_files;

/** Whether a tokenizer is kept under this hash, and is what it is called. */
int imu_tokenizer_is_kept(apr_pool_t *p, const char *root, const char *hash);
/** Keeps these files; what is kept already and is whole stays as it is, what was damaged is written
 * anew.
 * @param fresh  may be NULL; set to 1 when something was written */
imu_err *imu_tokenizer_keep(apr_pool_t *p, const char *root,
                            const struct imu_tokenizer_files *files, int *fresh);
/** Keeps those of a model, if it is a folder that has some. */
imu_err *imu_tokenizers_of_model(apr_pool_t *p, const char *root, const char *path);
/** Keeps those of every model of the table whose folder is there. */
imu_err *imu_tokenizers_remember(imu_db *db, apr_pool_t *p, const char *root);

#endif
