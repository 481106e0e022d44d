/*
 * media.h: having a thumbnail made. Pictures are decoded by the media process of the server alone.
 */
#ifndef IMU_CLI_MEDIA_H
#define IMU_CLI_MEDIA_H

#include "cli/cli.h"

/**
 * Makes the thumbnail of a PNG file anew.
 * @return "no_media" when the process can't be reached, "picture_invalid" when the picture can't be
 * decoded
 */
imu_err *cli_thumbnail(cli *c, apr_pool_t *p, const char *png, const char *webp);
/** Reads the workflow and the graph that lie in a PNG file; NULL where there is none. Errors
 * likewise. */
imu_err *cli_documents(cli *c, apr_pool_t *p, const char *png, const char **workflow,
                       const char **graph);

#endif
