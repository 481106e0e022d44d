/*
 * orphans.h: outputs/orphans, where files go that no row names, or that no row can use. What lies
 * there may be the last copy of somebody's picture: nothing takes its place.
 */
#ifndef IMU_ORPHANS_H
#define IMU_ORPHANS_H

#include "mod_invokemu/util/err.h"

/** Most of one name: the first one lies in outputs/orphans itself, the others in its folders 2, 3
 * and so on, so that each keeps its name. */
#define IMU_ORPHANS_MAX 100

/** Where the n-th orphan of a name lies, if there is one. @param n  from 1 */
const char *imu_orphan_path(apr_pool_t *p, const char *root, const char *name, int n);

/**
 * Moves whatever lies at path to the orphans, below which it gets a place of its own. A file of
 * which an orphan of that name holds a copy already is removed instead.
 * @param name  of one path element, as it is to be called there
 * @return NULL also when nothing lies at path; 500 otherwise
 */
imu_err *imu_orphan_keep(apr_pool_t *p, const char *root, const char *path, const char *name);

#endif
