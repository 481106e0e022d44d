/* version.h: the version of InvokeAI's API that this server answers like; pictures carry it in
 * their metadata. */
#ifndef IMU_VERSION_H
#define IMU_VERSION_H

#define IMU_API_VERSION "6.12.0"

#endif
