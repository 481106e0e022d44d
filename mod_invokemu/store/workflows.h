/*
 * workflows.h: the library of workflows. Decides nothing about access; the facts for that come
 * along.
 */
#ifndef IMU_WORKFLOWS_H
#define IMU_WORKFLOWS_H

#include "mod_invokemu/policy.h"

typedef struct imu_workflow {
    const char *id;
    const char *name;
    const char *description;
    const char *category;  /**< "user" or "default" */
    const char *tags;      /**< separated by commas */
    const char *document;  /**< the whole workflow as JSON text; NULL in lists */
    const char *thumbnail; /**< name of its picture's file, or NULL */
    const char *created_at;
    const char *updated_at;
    const char *opened_at; /**< or NULL */
    imu_workflow_facts facts;
} imu_workflow;

/** Which workflows a list holds. NULL or -1: does not count. */
typedef struct imu_workflow_filter {
    int is_public;          /**< 1: everybody's shared ones, instead of one's own */
    const char *categories; /**< JSON array of words */
    const char *tags;       /**< JSON array of tags of which it has at least one */
    const char *search;
    int opened;        /**< whether it was ever opened */
    const char *order; /**< column, for lists */
    int descending;
} imu_workflow_filter;

typedef struct imu_workflow_list {
    int count;
    imu_workflow *items;
} imu_workflow_list;

/** Writes a new row; id, facts, document and the texts of w are read. */
imu_err *imu_workflow_insert(imu_db *db, apr_pool_t *p, const imu_workflow *w);
/** *w is NULL when there is none. */
imu_err *imu_workflow_get(imu_db *db, apr_pool_t *p, const char *id, imu_workflow **w);
/** Writes name, description, tags, document and facts.is_public of w. */
imu_err *imu_workflow_update(imu_db *db, apr_pool_t *p, const imu_workflow *w);
imu_err *imu_workflow_opened(imu_db *db, apr_pool_t *p, const char *id);
/** file NULL: it has no picture (any more). */
imu_err *imu_workflow_thumbnail(imu_db *db, apr_pool_t *p, const char *id, const char *file);
imu_err *imu_workflow_delete(imu_db *db, apr_pool_t *p, const char *id);
imu_err *imu_workflows_list(imu_db *db, apr_pool_t *p, const imu_identity *who,
                            const imu_workflow_filter *filter, apr_int64_t limit,
                            apr_int64_t offset, imu_workflow_list *list);
/** Category and tags of everything the filter lets through: rows with those two columns. */
imu_err *imu_workflows_facets(imu_db *db, apr_pool_t *p, const imu_identity *who,
                              const imu_workflow_filter *filter, imu_rows **rows);

#endif
