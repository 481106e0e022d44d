/*
 * openapi.h: the description of the API that clients read nodes from.
 */
#ifndef IMU_API_OPENAPI_H
#define IMU_API_OPENAPI_H

#include <apr_pools.h>

/** The members of components.schemas as one JSON object: every node of the worker, its outputs, and
 * what they refer to. Generated (tools/node-table.c). */
extern const char imu_node_schemas[];

/** Puts the document together, once for all children. p: lives as long as the configuration.
 * @return 0, or -1 without memory */
int imu_openapi_prepare(apr_pool_t *p);

#endif
