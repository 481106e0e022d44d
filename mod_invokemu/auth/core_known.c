#include "mod_invokemu/auth/core_known.h"

#include <string.h>
#include <apr_strings.h>

#include "mod_invokemu/util/ids.h"

/* Not the token itself: nobody shall find one in memory, or measure how much of one is right. */
static const char *key_of(apr_pool_t *p, const char *token)
{
    return apr_pstrcat(p, "session ", imu_sha256_hex(p, token, strlen(token)), NULL);
}

/* The texts of an identity; those that are NULL are left out of the record. */
#define TEXTS 4

static void texts_of(imu_identity *who, const char **texts[TEXTS])
{
    texts[0] = &who->user_id;
    texts[1] = &who->email;
    texts[2] = &who->display_name;
    texts[3] = &who->session_id;
}

int imu_known_recall(imu_db *db, apr_pool_t *p, const char *token, imu_known_session *known)
{
    apr_size_t len;
    const char *record = imu_db_recall(db, p, key_of(p, token), &len), *at, **texts[TEXTS];

    if (!record || len < sizeof *known)
        return 0;
    memcpy(known, record, sizeof *known);
    at = record + sizeof *known;
    texts_of(&known->who, texts);
    for (int i = 0; i < TEXTS; i++)
        if (*texts[i]) {
            *texts[i] = at;
            at += strlen(at) + 1;
        }
    return 1;
}

void imu_known_remember(imu_db *db, apr_pool_t *p, const char *token,
                        const imu_known_session *known)
{
    imu_known_session copy = *known;
    apr_size_t len = sizeof copy;
    const char **texts[TEXTS];
    char *record, *at;

    texts_of(&copy.who, texts);
    for (int i = 0; i < TEXTS; i++)
        len += *texts[i] ? strlen(*texts[i]) + 1 : 0;
    record = apr_palloc(p, len);
    memcpy(record, &copy, sizeof copy);
    at = record + sizeof copy;
    for (int i = 0; i < TEXTS; i++)
        if (*texts[i]) {
            memcpy(at, *texts[i], strlen(*texts[i]) + 1);
            at += strlen(at) + 1;
        }
    imu_db_remember(db, key_of(p, token), record, len);
}
