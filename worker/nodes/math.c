/* Nodes that calculate. */
#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define A_AND_B(kind, value)                                                                       \
    {.name = "a", .type = kind, .fallback = value, .help = "The first number"},                    \
    {                                                                                              \
        .name = "b", .type = kind, .fallback = value, .help = "The second number"                  \
    }

static int out_int(imu_call *call, json_int_t v)
{
    return imu_out(call, json_pack("{s:I}", "value", v));
}

static int out_float(imu_call *call, double v)
{
    if (!isfinite(v))
        return imu_refuse(call->error, "ArithmeticError", "The result is not a finite number.");
    return imu_out(call, json_pack("{s:f}", "value", v));
}

static int too_large(imu_call *call)
{
    return imu_refuse(call->error, "ArithmeticError", "The result does not fit 64 bits.");
}

/* Floor division and its remainder, as Python has them. */
static int divide(imu_call *call, json_int_t a, json_int_t b, bool remainder)
{
    if (b == 0)
        return imu_refuse(call->error, "ZeroDivisionError", "Division by zero.");
    if (b == -1)
        return remainder ? out_int(call, 0) : a == INT64_MIN ? too_large(call) : out_int(call, -a);
    json_int_t q = a / b, r = a % b;
    if (r != 0 && (r < 0) != (b < 0)) {
        q--;
        r += b;
    }
    return out_int(call, remainder ? r : q);
}

static int power(imu_call *call, json_int_t a, json_int_t b)
{
    if (b < 0)
        return imu_refuse(call->error, "ArithmeticError",
                          "A whole number can't be raised to a negative power here.");
    json_int_t v = 1;
    for (json_int_t i = 0; i < b && v != 0 && !(a == 1 || (a == -1 && i >= (b & 1))); i++)
        if (__builtin_mul_overflow(v, a, &v))
            return too_large(call);
    return out_int(call, v);
}

static int calculate(imu_call *call, const char *op)
{
    json_int_t a = imu_in_int(call, "a"), b = imu_in_int(call, "b"), v;
    if (!strcmp(op, "ADD"))
        return __builtin_add_overflow(a, b, &v) ? too_large(call) : out_int(call, v);
    if (!strcmp(op, "SUB"))
        return __builtin_sub_overflow(a, b, &v) ? too_large(call) : out_int(call, v);
    if (!strcmp(op, "MUL"))
        return __builtin_mul_overflow(a, b, &v) ? too_large(call) : out_int(call, v);
    if (!strcmp(op, "DIV") || !strcmp(op, "MOD"))
        return divide(call, a, b, op[0] == 'M');
    if (!strcmp(op, "EXP"))
        return power(call, a, b);
    if (!strcmp(op, "ABS"))
        return a == INT64_MIN ? too_large(call) : out_int(call, a < 0 ? -a : a);
    return out_int(call, !strcmp(op, "MIN") ? (a < b ? a : b) : (a > b ? a : b));
}

static int run_add(imu_call *call)
{
    return calculate(call, "ADD");
}

static int run_sub(imu_call *call)
{
    return calculate(call, "SUB");
}

static int run_mul(imu_call *call)
{
    return calculate(call, "MUL");
}

/* Upstream's Divide truncates towards zero (int(a / b)), unlike Integer Math's DIV. */
static int run_div(imu_call *call)
{
    json_int_t a = imu_in_int(call, "a"), b = imu_in_int(call, "b");
    if (b == 0)
        return imu_refuse(call->error, "ZeroDivisionError", "Division by zero.");
    if (b == -1)
        return a == INT64_MIN ? too_large(call) : out_int(call, -a);
    return out_int(call, a / b);
}

static int run_integer_math(imu_call *call)
{
    return calculate(call, imu_in_text(call, "operation"));
}

static int run_float_math(imu_call *call)
{
    const char *op = imu_in_text(call, "operation");
    double a = imu_in_float(call, "a"), b = imu_in_float(call, "b");
    switch (op[0] == 'M' ? op[1] : op[0] == 'S' ? op[1] : op[0]) {
    case 'A': /* ADD, ABS, and MAX by its second letter */
        return out_float(call, !strcmp(op, "ADD")   ? a + b
                               : !strcmp(op, "ABS") ? fabs(a)
                                                    : fmax(a, b));
    case 'U': /* SUB, MUL */
        return out_float(call, op[0] == 'S' ? a - b : a * b);
    case 'D':
        return b == 0 ? imu_refuse(call->error, "ZeroDivisionError", "Division by zero.")
                      : out_float(call, a / b);
    case 'E':
        return out_float(call, pow(a, b));
    case 'Q':
        return out_float(call, sqrt(a));
    default:
        return out_float(call, fmin(a, b));
    }
}

/* A number from low up to but not including high, uniformly. */
static json_int_t random_between(json_int_t low, json_int_t high)
{
    uint64_t span = (uint64_t)high - (uint64_t)low, r, limit = UINT64_MAX - UINT64_MAX % span;
    do {
        imu_random(&r, sizeof r);
    } while (r >= limit);
    r = (uint64_t)low + r % span;
    return (json_int_t)r;
}

static int run_rand_int(imu_call *call)
{
    json_int_t low = imu_in_int(call, "low"), high = imu_in_int(call, "high");
    if (high <= low)
        return imu_refuse(call->error, "InvalidInput", "\"high\" must be more than \"low\".");
    return out_int(call, random_between(low, high));
}

static double round_to(double v, json_int_t decimals)
{
    double scale = pow(10, (double)(decimals > 15 ? 15 : decimals < -300 ? -300 : decimals));
    double scaled = v * scale;
    /* Half to even, as Python rounds. */
    return isfinite(scaled) ? nearbyint(scaled) / scale : v;
}

static int run_rand_float(imu_call *call)
{
    double low = imu_in_float(call, "low"), high = imu_in_float(call, "high");
    double unit = (double)random_between(0, (json_int_t)1 << 53) / 9007199254740992.0;
    return out_float(call, round_to(low + (high - low) * unit, imu_in_int(call, "decimals")));
}

static int run_round(imu_call *call)
{
    return out_float(call, round_to(imu_in_float(call, "value"), imu_in_int(call, "decimals")));
}

static int run_float_to_int(imu_call *call)
{
    double v = imu_in_float(call, "value"), multiple = (double)imu_in_int(call, "multiple");
    const char *method = imu_in_text(call, "method");
    v /= multiple;
    v = !strcmp(method, "Nearest")   ? nearbyint(v)
        : !strcmp(method, "Floor")   ? floor(v)
        : !strcmp(method, "Ceiling") ? ceil(v)
                                     : trunc(v);
    v *= multiple;
    if (!(fabs(v) < 9e18))
        return too_large(call);
    return out_int(call, (json_int_t)v);
}

static const imu_node_type add_node = {"add",
                                       "AddInvocation",
                                       "Add Integers",
                                       "1.0.1",
                                       "math",
                                       "math add",
                                       "Adds two whole numbers.",
                                       0,
                                       FIELDS(A_AND_B(IMU_T_INT, "0")),
                                       &imu_out_integer,
                                       run_add};
static const imu_node_type sub_node = {"sub",
                                       "SubtractInvocation",
                                       "Subtract Integers",
                                       "1.0.1",
                                       "math",
                                       "math subtract",
                                       "Takes the second whole number from the first.",
                                       0,
                                       FIELDS(A_AND_B(IMU_T_INT, "0")),
                                       &imu_out_integer,
                                       run_sub};
static const imu_node_type mul_node = {"mul",
                                       "MultiplyInvocation",
                                       "Multiply Integers",
                                       "1.0.1",
                                       "math",
                                       "math multiply",
                                       "Multiplies two whole numbers.",
                                       0,
                                       FIELDS(A_AND_B(IMU_T_INT, "0")),
                                       &imu_out_integer,
                                       run_mul};
static const imu_node_type div_node = {
    "div",
    "DivideInvocation",
    "Divide Integers",
    "1.0.1",
    "math",
    "math divide",
    "Divides the first whole number by the second and drops the fraction.",
    0,
    FIELDS(A_AND_B(IMU_T_INT, "0")),
    &imu_out_integer,
    run_div};

static const char *const int_operations[] = {"ADD", "SUB", "MUL", "DIV", "EXP",
                                             "MOD", "ABS", "MIN", "MAX", NULL};
static const char *const int_labels[] = {
    "A + B",      "A - B",          "A * B",           "A / B",          "A to the power of B",
    "A modulo B", "A without sign", "The smaller one", "The larger one", NULL};
static const imu_node_type integer_math_node = {
    "integer_math",
    "IntegerMathInvocation",
    "Integer Math",
    "1.0.1",
    "math",
    "math integer add subtract multiply divide modulus power min max",
    "Calculates with two whole numbers.",
    0,
    FIELDS({.name = "operation",
            .type = IMU_T_ENUM,
            .choices = int_operations,
            .labels = int_labels,
            .fallback = "\"ADD\"",
            .help = "What to calculate"},
           A_AND_B(IMU_T_INT, "1")),
    &imu_out_integer,
    run_integer_math};

static const char *const float_operations[] = {"ADD", "SUB",  "MUL", "DIV", "EXP",
                                               "ABS", "SQRT", "MIN", "MAX", NULL};
static const char *const float_labels[] = {"A + B",
                                           "A - B",
                                           "A * B",
                                           "A / B",
                                           "A to the power of B",
                                           "A without sign",
                                           "Square root of A",
                                           "The smaller one",
                                           "The larger one",
                                           NULL};
static const imu_node_type float_math_node = {
    "float_math",
    "FloatMathInvocation",
    "Float Math",
    "1.0.1",
    "math",
    "math float add subtract multiply divide power root min max",
    "Calculates with two numbers.",
    0,
    FIELDS({.name = "operation",
            .type = IMU_T_ENUM,
            .choices = float_operations,
            .labels = float_labels,
            .fallback = "\"ADD\"",
            .help = "What to calculate"},
           A_AND_B(IMU_T_FLOAT, "1")),
    &imu_out_float,
    run_float_math};

static const imu_node_type rand_int_node = {"rand_int",
                                            "RandomIntInvocation",
                                            "Random Integer",
                                            "1.0.1",
                                            "math",
                                            "math random",
                                            "Draws a whole number, a new one each time.",
                                            IMU_N_NO_CACHE,
                                            FIELDS({.name = "low",
                                                    .type = IMU_T_INT,
                                                    .fallback = "0",
                                                    .help = "The smallest number that may come"},
                                                   {.name = "high",
                                                    .type = IMU_T_INT,
                                                    .fallback = "2147483647",
                                                    .help = "All numbers are below this one"}),
                                            &imu_out_integer,
                                            run_rand_int};
static const imu_node_type rand_float_node = {"rand_float",
                                              "RandomFloatInvocation",
                                              "Random Float",
                                              "1.0.1",
                                              "math",
                                              "math float random",
                                              "Draws a number, a new one each time.",
                                              IMU_N_NO_CACHE,
                                              FIELDS({.name = "low",
                                                      .type = IMU_T_FLOAT,
                                                      .fallback = "0.0",
                                                      .help = "The smallest number that may come"},
                                                     {.name = "high",
                                                      .type = IMU_T_FLOAT,
                                                      .fallback = "1.0",
                                                      .help = "All numbers are below this one"},
                                                     {.name = "decimals",
                                                      .type = IMU_T_INT,
                                                      .fallback = "2",
                                                      .help = "Places behind the point to keep"}),
                                              &imu_out_float,
                                              run_rand_float};
static const imu_node_type round_node = {
    "round_float",
    "RoundInvocation",
    "Round Float",
    "1.0.1",
    "math",
    "math round",
    "Rounds a number.",
    0,
    FIELDS({.name = "value", .type = IMU_T_FLOAT, .fallback = "0", .help = "The number"},
           {.name = "decimals",
            .type = IMU_T_INT,
            .fallback = "0",
            .help = "Places behind the point to keep"}),
    &imu_out_float,
    run_round};

static const char *const methods[] = {"Nearest", "Floor", "Ceiling", "Truncate", NULL};
static const imu_node_type float_to_int_node = {
    "float_to_int",
    "FloatToIntegerInvocation",
    "Float To Integer",
    "1.0.1",
    "math",
    "math round integer float convert",
    "Makes a whole number out of a number.",
    0,
    FIELDS({.name = "value", .type = IMU_T_FLOAT, .fallback = "0", .help = "The number"},
           {.name = "multiple",
            .type = IMU_T_INT,
            .flags = IMU_F_MIN,
            .min = 1,
            .title = "Multiple of",
            .fallback = "1",
            .help = "The result is a multiple of this"},
           {.name = "method",
            .type = IMU_T_ENUM,
            .choices = methods,
            .fallback = "\"Nearest\"",
            .help = "Which way to round"}),
    &imu_out_integer,
    run_float_to_int};

const imu_node_type *const imu_nodes_math[] = {
    &add_node,          &sub_node,          &mul_node,      &div_node,
    &integer_math_node, &float_math_node,   &rand_int_node, &rand_float_node,
    &round_node,        &float_to_int_node, NULL,
};
