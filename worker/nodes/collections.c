/* Nodes that make, join and go through lists. The executor expands iterate and feeds collect. */
#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"

#include <math.h>

#define MAX_ITEMS 10000

static int run_collect(imu_call *call)
{
    return imu_out(call, json_pack("{s:O}", "collection", imu_in(call, "collection")));
}

static const imu_output_type collect_output = {"CollectInvocationOutput", "collect_output",
                                               "A list of what was collected",
                                               FIELDS({.name = "collection",
                                                       .type = IMU_T_ANY,
                                                       .flags = IMU_F_LIST,
                                                       .ui_type = "CollectionField",
                                                       .help = "The list"})};
static const imu_node_type collect_node = {
    "collect",
    "CollectInvocation",
    "Collect",
    "1.1.0",
    "batch",
    "collect",
    "Gathers everything connected to it into one list, in the order of the connections.",
    IMU_N_NO_CACHE | IMU_N_COLLECT,
    FIELDS({.name = "item",
            .type = IMU_T_ANY,
            .flags = IMU_F_NULLABLE | IMU_F_CONNECTION,
            .title = "Collection Item",
            .ui_type = "CollectionItemField",
            .help = "Something to gather; all must be of one kind"},
           {.name = "collection",
            .type = IMU_T_ANY,
            .flags = IMU_F_LIST | IMU_F_CONNECTION,
            .fallback = "[]",
            .ui_type = "CollectionField",
            .help = "A list to continue"}),
    &collect_output,
    run_collect};

static int run_iterate(imu_call *call)
{
    return imu_out(call, json_pack("{s:O,s:O,s:O}", "item", imu_in(call, "item"), "index",
                                   imu_in(call, "index"), "total", imu_in(call, "total")));
}

static const imu_output_type iterate_output = {
    "IterateInvocationOutput", "iterate_output", "One item of the list",
    FIELDS({.name = "item",
            .type = IMU_T_ANY,
            .title = "Collection Item",
            .ui_type = "CollectionItemField",
            .help = "The item"},
           {.name = "index", .type = IMU_T_INT, .help = "Its place in the list, from 0"},
           {.name = "total", .type = IMU_T_INT, .help = "How many items the list has"})};
static const imu_node_type iterate_node = {"iterate",
                                           "IterateInvocation",
                                           "Iterate",
                                           "1.1.0",
                                           "batch",
                                           "iterate",
                                           "Runs what follows once for each item of a list.",
                                           IMU_N_NO_CACHE | IMU_N_ITERATE,
                                           FIELDS({.name = "collection",
                                                   .type = IMU_T_ANY,
                                                   .flags = IMU_F_LIST,
                                                   .fallback = "[]",
                                                   .ui_type = "CollectionField",
                                                   .help = "The list to go through"},
                                                  {.name = "index",
                                                   .type = IMU_T_INT,
                                                   .flags = IMU_F_HIDDEN,
                                                   .fallback = "0",
                                                   .help = "Set for each copy"}),
                                           &iterate_output,
                                           run_iterate};

static int out_range(imu_call *call, json_int_t start, json_int_t step, json_int_t count)
{
    json_t *list = json_array();
    if (count > MAX_ITEMS) {
        json_decref(list);
        return imu_refuse(call->error, "TooLarge", "The list would have more than %d numbers.",
                          MAX_ITEMS);
    }
    for (json_int_t i = 0, v = start; list && i < count; i++) {
        if (json_array_append_new(list, json_integer(v)) ||
            (i + 1 < count && __builtin_add_overflow(v, step, &v))) {
            json_decref(list);
            return imu_refuse(call->error, "ArithmeticError", "The numbers don't fit 64 bits.");
        }
    }
    return imu_out(call, json_pack("{s:o}", "collection", list));
}

static int run_range(imu_call *call)
{
    json_int_t start = imu_in_int(call, "start"), stop = imu_in_int(call, "stop"),
               step = imu_in_int(call, "step");
    if (stop <= start || step < 1)
        return imu_refuse(call->error, "InvalidInput",
                          "\"stop\" must be more than \"start\", and \"step\" at least 1.");
    uint64_t span = (uint64_t)stop - (uint64_t)start;
    uint64_t count = (span - 1) / (uint64_t)step + 1;
    return out_range(call, start, step, count > MAX_ITEMS ? MAX_ITEMS + 1 : (json_int_t)count);
}

static int run_range_of_size(imu_call *call)
{
    return out_range(call, imu_in_int(call, "start"), imu_in_int(call, "step"),
                     imu_in_int(call, "size"));
}

/* xorshift64*: a seeded sequence that is the same on every machine. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1DULL;
}

static int run_random_range(imu_call *call)
{
    json_int_t low = imu_in_int(call, "low"), high = imu_in_int(call, "high"),
               size = imu_in_int(call, "size");
    if (high <= low || size < 1 || size > MAX_ITEMS)
        return imu_refuse(call->error, "InvalidInput",
                          "\"high\" must be more than \"low\", and \"size\" 1 to %d.", MAX_ITEMS);
    /* Spread the seed, so that neighbouring seeds don't give similar sequences; the state may not
     * be 0. */
    uint64_t state = ((uint64_t)imu_in_int(call, "seed") + 1) * 0x9E3779B97F4A7C15ULL;
    if (!imu_in_given(call, "seed"))
        imu_random(&state, sizeof state);
    state |= 1;
    json_t *list = json_array();
    for (json_int_t i = 0; list && i < size; i++) {
        uint64_t span = (uint64_t)high - (uint64_t)low;
        uint64_t value = (uint64_t)low + next_random(&state) % span;
        json_array_append_new(list, json_integer((json_int_t)value));
    }
    return imu_out(call, json_pack("{s:o}", "collection", list));
}

static int run_float_range(imu_call *call)
{
    double start = imu_in_float(call, "start"), stop = imu_in_float(call, "stop");
    json_int_t steps = imu_in_int(call, "steps");
    if (steps < 1 || steps > MAX_ITEMS)
        return imu_refuse(call->error, "InvalidInput", "\"steps\" must be 1 to %d.", MAX_ITEMS);
    json_t *list = json_array();
    for (json_int_t i = 0; list && i < steps; i++) {
        double v = steps == 1 ? start : start + (stop - start) * (double)i / (double)(steps - 1);
        if (!isfinite(v) || json_array_append_new(list, json_real(v))) {
            json_decref(list);
            return imu_refuse(call->error, "ArithmeticError",
                              "A number of the range is not finite.");
        }
    }
    return imu_out(call, json_pack("{s:o}", "collection", list));
}

static const imu_node_type range_node = {
    "range",
    "RangeInvocation",
    "Integer Range",
    "1.0.0",
    "batch",
    "collection integer range",
    "Makes the whole numbers from start up to stop, without stop itself.",
    0,
    FIELDS({.name = "start", .type = IMU_T_INT, .fallback = "0", .help = "The first number"},
           {.name = "stop",
            .type = IMU_T_INT,
            .fallback = "10",
            .help = "All numbers are below this one"},
           {.name = "step",
            .type = IMU_T_INT,
            .fallback = "1",
            .help = "Distance between two numbers"}),
    &imu_out_integers,
    run_range};
static const imu_node_type range_of_size_node = {
    "range_of_size",
    "RangeOfSizeInvocation",
    "Integer Range of Size",
    "1.0.0",
    "batch",
    "collection integer size range",
    "Makes so many whole numbers from start on.",
    0,
    FIELDS({.name = "start", .type = IMU_T_INT, .fallback = "0", .help = "The first number"},
           {.name = "size",
            .type = IMU_T_INT,
            .flags = IMU_F_MIN | IMU_F_ABOVE_MIN,
            .fallback = "1",
            .help = "How many numbers"},
           {.name = "step",
            .type = IMU_T_INT,
            .fallback = "1",
            .help = "Distance between two numbers"}),
    &imu_out_integers,
    run_range_of_size};
static const imu_node_type random_range_node = {
    "random_range",
    "RandomRangeInvocation",
    "Random Range",
    "1.0.1",
    "batch",
    "range integer random collection",
    "Draws several whole numbers; the same seed gives the same numbers.",
    IMU_N_NO_CACHE,
    FIELDS({.name = "low",
            .type = IMU_T_INT,
            .fallback = "0",
            .help = "The smallest number that may come"},
           {.name = "high",
            .type = IMU_T_INT,
            .fallback = "2147483647",
            .help = "All numbers are below this one"},
           {.name = "size", .type = IMU_T_INT, .fallback = "1", .help = "How many numbers"},
           {.name = "seed",
            .type = IMU_T_INT,
            .flags = IMU_F_MIN | IMU_F_MAX,
            .min = 0,
            .max = 4294967295.0,
            .fallback = "0",
            .help = "Where the sequence starts"}),
    &imu_out_integers,
    run_random_range};
static const imu_node_type float_range_node = {
    "float_range",
    "FloatLinearRangeInvocation",
    "Float Range",
    "1.0.1",
    "math",
    "math range",
    "Makes evenly spaced numbers from start to stop.",
    0,
    FIELDS({.name = "start", .type = IMU_T_FLOAT, .fallback = "5", .help = "The first number"},
           {.name = "stop", .type = IMU_T_FLOAT, .fallback = "10", .help = "The last number"},
           {.name = "steps",
            .type = IMU_T_INT,
            .fallback = "30",
            .help = "How many numbers, both ends included"}),
    &imu_out_floats,
    run_float_range};

const imu_node_type *const imu_nodes_collections[] = {
    &collect_node,      &iterate_node,     &range_node, &range_of_size_node,
    &random_range_node, &float_range_node, NULL,
};
