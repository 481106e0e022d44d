/* The check of a graph: the generated table of nodes, and where a fault is said to be. */
#include "tests/unit/core/tempdb.h"
#include "tests/unit/pool.h"

#include <string.h>

#include "mod_invokemu/store/queue_graph.h"

static json_t *parsed(const char *text)
{
    json_t *value = imu_json_own(pool, json_loads(text, JSON_DECODE_ANY, NULL));

    assert_non_null(value);
    return value;
}

/* The faults of a graph as "graph/nodes/a/value int_type", "; " between them. */
static const char *faults(const char *graph)
{
    imu_check *c = imu_check_new(pool, "graph");
    const char *all = "";
    json_t *fault, *part;
    imu_err *err;
    size_t i, k;

    imu_graph_check(pool, c, parsed(graph));
    err = imu_check_end(c);
    if (!err)
        return "";
    assert_int_equal(err->status, 422);
    json_array_foreach (err->fields, i, fault) {
        all = apr_pstrcat(pool, all, i ? "; " : "", NULL);
        json_array_foreach (json_object_get(fault, "loc"), k, part)
            all = apr_pstrcat(pool, all, k ? "/" : "", json_string_value(part), NULL);
        all = apr_pstrcat(pool, all, " ", json_string_value(json_object_get(fault, "type")), NULL);
    }
    return all;
}

#define GRAPH(nodes, edges)  "{\"nodes\": {" nodes "}, \"edges\": [" edges "]}"
#define NODE(id, type, more) "\"" id "\": {\"id\": \"" id "\", \"type\": \"" type "\"" more "}"
#define EDGE(from, output, to, input)                                                              \
    "{\"source\": {\"node_id\": \"" from "\", \"field\": \"" output "\"}, "                        \
    "\"destination\": {\"node_id\": \"" to "\", \"field\": \"" input "\"}}"

static void test_table(void **state)
{
    const imu_node_type *noise = imu_node_among(imu_nodes_known, "noise");
    const imu_field *width;

    (void)state;
    assert_non_null(noise);
    assert_null(imu_node_among(imu_nodes_known, "nope"));
    width = imu_node_input(noise, "width");
    assert_non_null(width);
    assert_int_equal(width->type, IMU_T_INT);
    assert_int_equal(width->multiple_of, 8);
    assert_true(width->flags & IMU_F_MIN);
    assert_non_null(imu_field_find(noise->output->fields, "noise"));
    for (const imu_node_type *const *t = imu_nodes_known; *t; t++) {
        /* A batch must not be able to turn a node into another. */
        assert_null(imu_node_input(*t, "type"));
        assert_null(imu_node_input(*t, "id"));
    }
}

static void test_places(void **state)
{
    (void)state;
    assert_string_equal(faults("{}"), "");
    assert_string_equal(faults("{\"nodes\": []}"), "graph value_error");
    assert_string_equal(faults(GRAPH(NODE("a", "nope", ""), "")),
                        "graph/nodes/a union_tag_invalid");
    assert_string_equal(faults(GRAPH("\"\": {\"id\": \"\", \"type\": \"add\"}", "")),
                        "graph/nodes value_error");
    assert_string_equal(
        faults(GRAPH(NODE("a", "add", ", \"a\": \"x\", \"b\": null") "," NODE("b", "add", ""), "")),
        "graph/nodes/a/a int_type; graph/nodes/a/b null_type");
    assert_string_equal(faults(GRAPH(NODE("a", "add", ""), "5")), "graph/edges value_error");
}

static void test_edges(void **state)
{
    (void)state;
    assert_string_equal(
        faults(GRAPH(NODE("a", "integer", "") "," NODE("b", "add", ""),
                     EDGE("a", "value", "b", "a") "," EDGE("a", "value", "b", "b"))),
        "");
    assert_string_equal(
        faults(GRAPH(NODE("a", "integer", "") "," NODE("b", "add", ""),
                     EDGE("a", "value", "b", "a") "," EDGE("a", "value", "b", "a"))),
        "graph/edges value_error");
    assert_string_equal(
        faults(GRAPH(NODE("a", "integer", "") "," NODE("b", "collect", ""),
                     EDGE("a", "value", "b", "item") "," EDGE("a", "value", "b", "item"))),
        "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, pool_setup, pool_teardown);
}
