#include "mod_invokemu/events/account_news.h"

#include "mod_invokemu/events/news.h"
#include "mod_invokemu/events/publish.h"

imu_err *imu_account_news_read(imu_db *db, apr_pool_t *p, const char *user_id, const char *heir,
                               imu_account_news *news)
{
    imu_err *err = imu_board_audience_of(db, p, user_id, heir, &news->boards);

    news->user_id = user_id;
    news->heir = heir;
    return err ? err : imu_db_select(db, p, &news->workflows, "workflows_of", "s", user_id);
}

void imu_account_tell_moved(const imu_account_news *news)
{
    const imu_rows *w = news->workflows;

    imu_board_tell(news->boards);
    for (int i = 0; i < w->count; i++) {
        int is_public = imu_bool(w, i, "is_public");

        imu_workflow_announce(news->heir ? "workflow_updated" : "workflow_deleted",
                              imu_text(w, i, "workflow_id"),
                              news->heir ? news->heir : news->user_id, is_public, is_public);
    }
}

void imu_account_tell_swept(apr_pool_t *p, const char *by, const char *user_id,
                            const apr_array_header_t *ended)
{
    for (int i = 0; i < ended->nelts; i++) {
        const imu_queue_change *change = &APR_ARRAY_IDX(ended, i, imu_queue_change);

        imu_queue_announce_canceled(p, by, change);
        imu_queue_announce_swept("queue_pruned", change->queue_id, user_id);
    }
}

void imu_account_tell_gone(apr_pool_t *p, const char *by, const imu_account_news *news,
                           const apr_array_header_t *ended)
{
    imu_account_tell_swept(p, by, news->user_id, ended);
    imu_account_tell_moved(news);
    imu_publish_user_changed(news->user_id);
}
