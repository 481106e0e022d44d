/*
 * declaration.h: what a node says of itself: its fields, what they hold, and the rules for values
 * and edges that follow from that. Free of what a node does, so that the server, which refuses a
 * graph before it is queued, and the worker, which runs it, judge by the same code. The server's
 * table of declarations is generated from the worker's (tools/node-table.c).
 *
 * Declarations are constant; the functions neither allocate nor keep anything.
 */
#ifndef IMU_NODE_DECLARATION_H
#define IMU_NODE_DECLARATION_H

#include <jansson.h>
#include <stdbool.h>

#define IMU_NODE_MAX_ID 200 /**< bytes of a node's id */

/** What a field holds. Names on the wire are those of InvokeAI's schemas. */
enum imu_type {
    IMU_T_ANY,
    IMU_T_INT,
    IMU_T_FLOAT,
    IMU_T_STRING,
    IMU_T_BOOL,
    IMU_T_ENUM, /**< a string out of `choices` */
    IMU_T_IMAGE,
    IMU_T_LATENTS,
    IMU_T_CONDITIONING,
    IMU_T_UNET,
    IMU_T_CLIP,
    IMU_T_VAE,
    IMU_T_MODEL,
    IMU_T_METADATA,
    IMU_T_METADATA_ITEM,
    IMU_T_COLOR,
    IMU_T_BOARD,
    IMU_T_OTHER, /**< an object of the schema `ref`, which no node here makes */
};

enum {                        /* of a field */
       IMU_F_LIST = 1,        /**< an array of it */
       IMU_F_OR_LIST = 2,     /**< it or an array of it */
       IMU_F_NULLABLE = 4,    /**< may be null */
       IMU_F_REQUIRED = 8,    /**< must have a value when the node runs */
       IMU_F_CONNECTION = 16, /**< only by an edge */
       IMU_F_DIRECT = 32,     /**< only by value */
       IMU_F_TEXTAREA = 64,
       IMU_F_HIDDEN = 128,
       IMU_F_MIN = 256,
       IMU_F_MAX = 512,
       IMU_F_ABOVE_MIN = 1024, /**< the minimum itself is excluded */
       IMU_F_BELOW_MAX = 2048, /**< the maximum itself is excluded */
};

typedef struct imu_field {
    const char *name; /**< NULL ends a list of fields */
    enum imu_type type;
    unsigned flags;
    const char *title;    /**< NULL: made from the name */
    const char *help;     /**< one sentence for the person who builds a workflow */
    const char *fallback; /**< default value as JSON text; NULL: null */
    double min, max;      /**< with IMU_F_MIN, IMU_F_MAX */
    int multiple_of;      /**< 0: any */
    const char *const *choices;
    const char *const *labels; /**< titles of the choices, or NULL */
    const char *ref;           /**< schema name, for IMU_T_OTHER */
    const char *ui_type;       /**< overrides how a client draws it */
    int ui_order;              /**< position plus one; 0: as declared */
    const char *model_base;    /**< for models: space-separated bases */
    const char *model_type;
} imu_field;

typedef struct imu_output_type {
    const char *name; /**< schema name, "IntegerOutput" */
    const char *type; /**< "integer_output" */
    const char *help;
    const imu_field *fields;
} imu_output_type;

enum {                     /* of a node */
       IMU_N_NO_CACHE = 1, /**< `use_cache` is off unless asked for */
       IMU_N_BOARD = 2,    /**< has `board` */
       IMU_N_METADATA = 4, /**< has `metadata` */
       IMU_N_EXTRA = 8,    /**< takes fields that are not declared */
       IMU_N_ITERATE = 16, /**< expanded by the executor, one for each item */
       IMU_N_COLLECT = 32, /**< takes any number of edges at `item` */
};

typedef struct imu_call imu_call;

typedef struct imu_node_type {
    const char *type; /**< "add" */
    const char *name; /**< schema name, "AddInvocation" */
    const char *title;
    const char *version; /**< upstream's, because clients compare it */
    const char *category;
    const char *tags; /**< space-separated */
    const char *help;
    unsigned flags;
    const imu_field *inputs;
    const imu_output_type *output;
    /** Does the work: 0 with call->out set, or -1 with call->error. Longer ones ask
     * imu_call_cancelled. */
    int (*run)(imu_call *call);
} imu_node_type;

/** The node of that type in a NULL-terminated list, or NULL. */
const imu_node_type *imu_node_among(const imu_node_type *const *list, const char *type);
/** The field of that name in the list, or NULL. */
const imu_field *imu_field_find(const imu_field *list, const char *name);
/** The declared input of a node, its board and metadata included, or NULL. */
const imu_field *imu_node_input(const imu_node_type *type, const char *name);

/** Why a value is not one of its field's. */
enum imu_misfit {
    IMU_FITS,
    IMU_MISFIT_NULL, /**< null, and the field must have a value */
    IMU_MISFIT_LIST, /**< not a list */
    IMU_MISFIT_KIND, /**< of another type than the field's */
    IMU_MISFIT_MIN,
    IMU_MISFIT_MAX,
    IMU_MISFIT_MULTIPLE, /**< not a multiple of `multiple_of` */
    IMU_MISFIT_CHOICE,   /**< not one of `choices` */
};

/**
 * Checks a value against a field. A value that becomes one of the field's without a loss (5 for a
 * float, 5.0 for an integer, a number for a text) fits.
 * @param at  set to the place of the item at fault in a list, or to -1
 */
enum imu_misfit imu_value_misfit(const imu_field *field, const json_t *value, long *at);

/** Whether an output of type `from` may feed an input `to`. */
bool imu_field_connects(const imu_field *from, const imu_field *to);

/** Why an edge cannot be. */
enum imu_edge_fault {
    IMU_EDGE_OK,
    IMU_EDGE_NO_OUTPUT, /**< the source has no such output */
    IMU_EDGE_NO_INPUT,  /**< the destination has no such input */
    IMU_EDGE_DIRECT,    /**< that input takes a value only */
    IMU_EDGE_TYPES,     /**< the output is of a type that the input does not take */
};

/**
 * Checks an edge between two nodes. One of the two, or both, may be NULL, a node without a
 * declaration: that end is left unchecked.
 * @param to_type  set to the input's declaration; NULL for a field that an IMU_N_EXTRA node did not
 *                 declare
 */
enum imu_edge_fault imu_edge_check(const imu_node_type *from, const char *output,
                                   const imu_node_type *to, const char *input,
                                   const imu_field **to_type);

#endif
