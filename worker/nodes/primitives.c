/* Nodes that hold one value or a list of values. */
#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"

/* Gives the input on as the output of the same name. */
static int pass_value(imu_call *call)
{
    return imu_out(call, json_pack("{s:O}", "value", imu_in(call, "value")));
}

static int pass_collection(imu_call *call)
{
    return imu_out(call, json_pack("{s:O}", "collection", imu_in(call, "collection")));
}

static const imu_node_type integer_node = {
    "integer",
    "IntegerInvocation",
    "Integer Primitive",
    "1.0.1",
    "primitives",
    "primitives integer",
    "Holds a whole number that other nodes can share.",
    0,
    FIELDS({.name = "value", .type = IMU_T_INT, .fallback = "0", .help = "The number"}),
    &imu_out_integer,
    pass_value};

static const imu_node_type float_node = {
    "float",
    "FloatInvocation",
    "Float Primitive",
    "1.0.1",
    "primitives",
    "primitives float",
    "Holds a number that other nodes can share.",
    0,
    FIELDS({.name = "value", .type = IMU_T_FLOAT, .fallback = "0.0", .help = "The number"}),
    &imu_out_float,
    pass_value};

static const imu_node_type string_node = {"string",
                                          "StringInvocation",
                                          "String Primitive",
                                          "1.0.1",
                                          "primitives",
                                          "primitives string",
                                          "Holds a text that other nodes can share.",
                                          0,
                                          FIELDS({.name = "value",
                                                  .type = IMU_T_STRING,
                                                  .flags = IMU_F_TEXTAREA,
                                                  .fallback = "\"\"",
                                                  .help = "The text"}),
                                          &imu_out_string,
                                          pass_value};

static const imu_node_type boolean_node = {
    "boolean",
    "BooleanInvocation",
    "Boolean Primitive",
    "1.0.1",
    "primitives",
    "primitives boolean",
    "Holds a yes or no that other nodes can share.",
    0,
    FIELDS({.name = "value", .type = IMU_T_BOOL, .fallback = "false", .help = "Yes or no"}),
    &imu_out_boolean,
    pass_value};

static const imu_node_type integers_node = {"integer_collection",
                                            "IntegerCollectionInvocation",
                                            "Integer Collection Primitive",
                                            "1.0.2",
                                            "primitives",
                                            "primitives integer collection",
                                            "Holds a list of whole numbers.",
                                            0,
                                            FIELDS({.name = "collection",
                                                    .type = IMU_T_INT,
                                                    .flags = IMU_F_LIST,
                                                    .fallback = "[]",
                                                    .help = "The numbers"}),
                                            &imu_out_integers,
                                            pass_collection};

static const imu_node_type floats_node = {"float_collection",
                                          "FloatCollectionInvocation",
                                          "Float Collection Primitive",
                                          "1.0.2",
                                          "primitives",
                                          "primitives float collection",
                                          "Holds a list of numbers.",
                                          0,
                                          FIELDS({.name = "collection",
                                                  .type = IMU_T_FLOAT,
                                                  .flags = IMU_F_LIST,
                                                  .fallback = "[]",
                                                  .help = "The numbers"}),
                                          &imu_out_floats,
                                          pass_collection};

static const imu_node_type strings_node = {"string_collection",
                                           "StringCollectionInvocation",
                                           "String Collection Primitive",
                                           "1.0.2",
                                           "primitives",
                                           "primitives string collection",
                                           "Holds a list of texts.",
                                           0,
                                           FIELDS({.name = "collection",
                                                   .type = IMU_T_STRING,
                                                   .flags = IMU_F_LIST,
                                                   .fallback = "[]",
                                                   .help = "The texts"}),
                                           &imu_out_strings,
                                           pass_collection};

static const imu_node_type booleans_node = {"boolean_collection",
                                            "BooleanCollectionInvocation",
                                            "Boolean Collection Primitive",
                                            "1.0.2",
                                            "primitives",
                                            "primitives boolean collection",
                                            "Holds a list of yes-or-no values.",
                                            0,
                                            FIELDS({.name = "collection",
                                                    .type = IMU_T_BOOL,
                                                    .flags = IMU_F_LIST,
                                                    .fallback = "[]",
                                                    .help = "The values"}),
                                            &imu_out_booleans,
                                            pass_collection};

static int pass_color(imu_call *call)
{
    return imu_out(call, json_pack("{s:O}", "color", imu_in(call, "color")));
}

static const imu_output_type color_output = {
    "ColorOutput", "color_output", "A colour",
    FIELDS({.name = "color", .type = IMU_T_COLOR, .help = "The colour"})};
static const imu_node_type color_node = {"color",
                                         "ColorInvocation",
                                         "Color Primitive",
                                         "1.0.1",
                                         "primitives",
                                         "primitives color",
                                         "Holds a colour that other nodes can share.",
                                         0,
                                         FIELDS({.name = "color",
                                                 .type = IMU_T_COLOR,
                                                 .fallback = "{\"r\":0,\"g\":0,\"b\":0,\"a\":255}",
                                                 .help = "The colour"}),
                                         &color_output,
                                         pass_color};

static int pass_conditioning(imu_call *call)
{
    return imu_out(call, json_pack("{s:O}", "conditioning", imu_in(call, "conditioning")));
}

static const imu_node_type conditioning_node = {
    "conditioning",
    "ConditioningInvocation",
    "Conditioning Primitive",
    "1.0.1",
    "primitives",
    "primitives conditioning",
    "Holds an encoded prompt that other nodes can share.",
    0,
    FIELDS({.name = "conditioning",
            .type = IMU_T_CONDITIONING,
            .flags = IMU_F_REQUIRED | IMU_F_CONNECTION,
            .help = "The encoded prompt"}),
    &imu_out_conditioning,
    pass_conditioning};

const imu_node_type *const imu_nodes_primitives[] = {
    &integer_node, &float_node,    &string_node, &boolean_node,      &integers_node, &floats_node,
    &strings_node, &booleans_node, &color_node,  &conditioning_node, NULL,
};
