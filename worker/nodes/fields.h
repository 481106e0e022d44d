/* Words for the declarations of nodes, for the files of the families alone. */
#ifndef IMU_FIELDS_H
#define IMU_FIELDS_H

#include "worker/nodes/declaration.h"

/** The fields of a node or an output, with the end of the list. */
#define FIELDS(...)                                                                                \
    (const imu_field[])                                                                            \
    {                                                                                              \
        __VA_ARGS__,                                                                               \
        {                                                                                          \
            .name = NULL                                                                           \
        }                                                                                          \
    }
/** A picture that a node needs. */
#define PICTURE(field, words)                                                                      \
    {                                                                                              \
        .name = field, .type = IMU_T_IMAGE, .flags = IMU_F_REQUIRED, .help = words                 \
    }
/** Flags of a node that stores pictures. */
#define STORES (IMU_N_BOARD | IMU_N_METADATA)

#endif
