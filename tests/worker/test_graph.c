/* The graph executor without any process around it: order, expansion, joins, results, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "worker/graph/graph.h"
#include "worker/nodes/env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *parse(const char *text)
{
    char *copy = strdup(text);
    json_error_t error;
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    json_t *value = json_loads(copy, JSON_DECODE_ANY, &error);
    if (!value)
        fail_msg("%s in: %s", error.text, copy);
    free(copy);
    return value;
}

/* Runs a graph with its real nodes. @return the state, or NULL with the error. */
static json_t *run(json_t *graph, imu_error *err)
{
    imu_env env = {.cancelled = false};
    imu_graph *g = imu_graph_load(graph, err);
    imu_exec *x = g ? imu_exec_new("session", g) : NULL;
    imu_prepared p;
    json_t *state = NULL;
    int rc = -1;
    while (x && (rc = imu_exec_next(x, &p, err)) == 1) {
        json_t *images = json_array();
        imu_call call = {.type = p.type,
                         .id = p.id,
                         .source_id = p.source_id,
                         .in = p.inputs,
                         .env = &env,
                         .error = err,
                         .images = images};
        rc = p.type->run(&call);
        json_decref(images);
        if (rc || (rc = imu_exec_complete(x, &p, call.out, err)))
            break;
    }
    if (rc == 0)
        state = imu_exec_state(x);
    imu_exec_free(x);
    imu_graph_free(g);
    imu_env_clear(&env);
    json_decref(graph);
    return state;
}

static json_t *run_text(const char *graph)
{
    imu_error err = {.text = ""};
    json_t *state = run(parse(graph), &err);
    if (!state)
        fail_msg("%s: %s", err.type, err.text);
    return state;
}

/* The results of a source node's copies, in order, as a new array. */
static json_t *results_of(const json_t *state, const char *source)
{
    json_t *list = json_array(), *id;
    size_t i;
    json_array_foreach (json_object_get(json_object_get(state, "source_prepared_mapping"), source),
                        i, id)
        json_array_append(
            list, json_object_get(json_object_get(state, "results"), json_string_value(id)));
    return list;
}

static void expect_results(const json_t *state, const char *source, const char *want)
{
    json_t *have = results_of(state, source), *wanted = parse(want);
    char *text = json_dumps(have, JSON_COMPACT);
    if (!json_equal(have, wanted))
        fail_msg("%s gave %s, not %s", source, text, want);
    free(text);
    json_decref(have);
    json_decref(wanted);
}

#define NODE(id, type, rest) "'" id "':{'id':'" id "','type':'" type "'" rest "}"
#define EDGE(from, out, to, in)                                                                    \
    "{'source':{'node_id':'" from "','field':'" out "'},'destination':{'node_id':'" to             \
    "','field':'" in "'}}"

static void test_values_flow(void **state)
{
    (void)state;
    json_t *s = run_text("{'id':'g','nodes':{" NODE("a", "add", ",'a':2,'b':3") "," NODE(
        "m", "mul",
        ",'b':10") "," NODE("j", "string_join",
                            ",'string_left':'n='") "},'edges':[" EDGE("a", "value", "m",
                                                                      "a") "," EDGE("m", "value",
                                                                                    "j",
                                                                                    "string_"
                                                                                    "right") "]"
                                                                                             "}");
    expect_results(s, "m", "[{'value':50}]");
    expect_results(s, "j", "[{'value':'n=50'}]");
    assert_int_equal(json_array_size(json_object_get(s, "executed")), 6);
    assert_int_equal(json_object_size(json_object_get(s, "prepared_source_mapping")), 3);
    const json_t *execution = json_object_get(s, "execution_graph");
    assert_int_equal(json_object_size(json_object_get(execution, "nodes")), 3);
    assert_int_equal(json_array_size(json_object_get(execution, "edges")), 2);
    assert_string_equal(imu_json_str(execution, "id"), "g");
    const char *key;
    json_t *value;
    json_object_foreach (json_object_get(s, "indegree"), key, value)
        assert_int_equal(json_integer_value(value), 0);
    json_object_foreach (json_object_get(s, "prepared_source_mapping"), key, value)
        assert_int_equal(strlen(key), 36);
    json_decref(s);
}

static void test_defaults_and_conversions(void **state)
{
    (void)state;
    json_t *s = run_text(
        "{'id':'g','nodes':{" NODE("i", "integer", "") "," NODE("s", "string", "") "," NODE(
            "f", "float", ",'value':3") "," NODE("w", "integer",
                                                 ",'value':5.0") "},'edges':[" EDGE("i", "value",
                                                                                    "s",
                                                                                    "value") "]}");
    expect_results(s, "i", "[{'value':0}]");
    expect_results(s, "s", "[{'value':'0'}]");
    expect_results(s, "f", "[{'value':3.0}]");
    expect_results(s, "w", "[{'value':5}]");
    json_decref(s);
}

static void test_iterate_and_collect(void **state)
{
    (void)state;
    json_t *s = run_text(
        "{'id':'g','nodes':{" NODE("r", "range", ",'start':1,'stop':4") "," NODE("it", "iterate", "") "," NODE("a", "mul", ",'b':10") "," NODE(
            "c", "collect",
            "") "," NODE("x", "integer",
                         ",'value':7") "},'edges':[" EDGE("r", "collection", "it",
                                                          "collection") "," EDGE("it", "item", "a",
                                                                                 "a") "," EDGE("x",
                                                                                               "val"
                                                                                               "ue",
                                                                                               "c",
                                                                                               "ite"
                                                                                               "m") "," EDGE("a",
                                                                                                             "value",
                                                                                                             "c",
                                                                                                             "item") "," EDGE("r",
                                                                                                                              "collection",
                                                                                                                              "c",
                                                                                                                              "collection") "]}");
    expect_results(s, "it",
                   "[{'item':1,'index':0,'total':3},{'item':2,'index':1,'total':3},{'item':3,'"
                   "index':2,'total':3}]");
    expect_results(s, "a", "[{'value':10},{'value':20},{'value':30}]");
    expect_results(s, "c", "[{'collection':[1,2,3,7,10,20,30]}]");
    json_decref(s);
}

static void test_depth_first(void **state)
{
    (void)state;
    json_t *s = run_text(
        "{'id':'g','nodes':{" NODE("r", "range", ",'stop':2") "," NODE("it", "iterate", "") "," NODE(
            "a", "add",
            "") "," NODE("b", "add",
                         "") "},'edges':[" EDGE("r", "collection", "it",
                                                "collection") "," EDGE("it", "item", "a",
                                                                       "a") "," EDGE("a", "value",
                                                                                     "b",
                                                                                     "a") "]}");
    const json_t *executed = json_object_get(s, "executed"),
                 *sources = json_object_get(s, "prepared_source_mapping");
    char order[64] = "";
    json_t *id;
    size_t i;
    json_array_foreach (executed, i, id) {
        const char *source = imu_json_str(sources, json_string_value(id));
        if (source)
            strncat(order, source, sizeof order - strlen(order) - 1);
    }
    assert_string_equal(order,
                        "ritabitab"); /* the first item is finished before the second begins */
    json_decref(s);
}

static void test_nested_and_joined_iterations(void **state)
{
    (void)state;
    /* Two independent iterations meet: every combination. The same iteration reached by two ways:
     * no mixture. */
    json_t *s = run_text("{'id':'g','nodes':{" NODE("r", "range", ",'stop':2") "," NODE(
        "q", "range",
        ",'start':10,'stop':12") "," NODE("it",
                                          "iterate", "") "," NODE("iu", "iterate",
                                                                  "") "," NODE("a", "add",
                                                                               "") "," NODE("b",
                                                                                            "mul", ",'b':100") "," NODE("d",
                                                                                                                        "add", "") "," NODE("c", "collect", "") "},'edges':[" EDGE("r", "collection", "it", "collection") "," EDGE("q", "collection", "iu", "collection") "," EDGE("it", "item", "a", "a") "," EDGE("iu", "item", "a", "b") "," EDGE("it",
                                                                                                                                                                                                                                                                                                                                                     "item",
                                                                                                                                                                                                                                                                                                                                                     "b",
                                                                                                                                                                                                                                                                                                                                                     "a") "," EDGE("a",
                                                                                                                                                                                                                                                                                                                                                                   "value",
                                                                                                                                                                                                                                                                                                                                                                   "d", "a") "," EDGE("b", "value", "d", "b") "," EDGE("d",
                                                                                                                                                                                                                                                                                                                                                                                                                       "value",
                                                                                                                                                                                                                                                                                                                                                                                                                       "c",
                                                                                                                                                                                                                                                                                                                                                                                                                       "item") "]}");
    expect_results(s, "a", "[{'value':10},{'value':11},{'value':11},{'value':12}]");
    expect_results(s, "c", "[{'collection':[10,11,111,112]}]");
    const json_t *paths = json_object_get(s, "prepared_iteration_paths");
    json_t *copies = json_object_get(json_object_get(s, "source_prepared_mapping"), "d");
    json_t *last = json_object_get(paths, json_string_value(json_array_get(copies, 3)));
    json_t *want = parse("[1,1]");
    assert_true(json_equal(last, want));
    json_decref(want);
    json_decref(s);
}

static void test_iterate_in_iterate(void **state)
{
    (void)state;
    json_t *s = run_text(
        "{'id':'g','nodes':{" NODE("r", "range", ",'start':1,'stop':3") "," NODE("it", "iterate", "") "," NODE("n", "range_of_size", ",'start':0") "," NODE(
            "iu", "iterate",
            "") "," NODE("a", "add",
                         "") "," NODE("c", "collect",
                                      "") "},'edges':[" EDGE("r", "collection", "it",
                                                             "collection") "," EDGE("it", "item",
                                                                                    "n",
                                                                                    "size") "," EDGE("n",
                                                                                                     "c"
                                                                                                     "o"
                                                                                                     "l"
                                                                                                     "l"
                                                                                                     "e"
                                                                                                     "c"
                                                                                                     "t"
                                                                                                     "i"
                                                                                                     "o"
                                                                                                     "n",
                                                                                                     "i"
                                                                                                     "u",
                                                                                                     "c"
                                                                                                     "o"
                                                                                                     "l"
                                                                                                     "l"
                                                                                                     "e"
                                                                                                     "c"
                                                                                                     "t"
                                                                                                     "i"
                                                                                                     "o"
                                                                                                     "n") "," EDGE("iu",
                                                                                                                   "item",
                                                                                                                   "a",
                                                                                                                   "a") "," EDGE("it",
                                                                                                                                 "item",
                                                                                                                                 "a",
                                                                                                                                 "b") "," EDGE("a",
                                                                                                                                               "value",
                                                                                                                                               "c",
                                                                                                                                               "item") "]}");
    expect_results(s, "c", "[{'collection':[1,2,3]}]"); /* 0+1; 0+2, 1+2 */
    json_decref(s);
}

static void test_empty_iteration(void **state)
{
    (void)state;
    json_t *s = run_text(
        "{'id':'g','nodes':{" NODE("l", "integer_collection", "") "," NODE("it", "iterate", "") "," NODE(
            "a", "add",
            "") "," NODE("c", "collect",
                         "") "},'edges':[" EDGE("l", "collection", "it",
                                                "collection") "," EDGE("it", "item", "a",
                                                                       "a") "," EDGE("a", "value",
                                                                                     "c",
                                                                                     "item") "]}");
    expect_results(s, "a", "[]");
    expect_results(s, "c", "[{'collection':[]}]");
    json_decref(s);
}

static void expect_refusal(const char *graph, const char *word)
{
    imu_error err = {.text = ""};
    json_t *s = run(parse(graph), &err);
    if (s || !strstr(err.text, word))
        fail_msg("%s: %s, expected: %s", graph, s ? "ran" : err.text, word);
}

static void test_refusals(void **state)
{
    (void)state;
    expect_refusal("[]", "not an object");
    expect_refusal("{}", "no nodes");
    expect_refusal("{'nodes':[]}", "no nodes");
    expect_refusal("{'nodes':{'a':5}}", "no type");
    expect_refusal("{'nodes':{'a':{'type':7}}}", "no type");
    expect_refusal("{'nodes':{'a':{'id':'b','type':'add'}}}", "another id");
    expect_refusal("{'nodes':{'a':{'id':'a','type':'rm_rf'}}}", "no node of type");
    expect_refusal("{'nodes':{" NODE("a", "add", ",'a':'x'") "}}", "whole number");
    expect_refusal("{'nodes':{" NODE("a", "add", ",'a':1.5") "}}", "whole number");
    expect_refusal("{'nodes':{" NODE("a", "add", ",'a':null") "}}", "not null");
    expect_refusal("{'nodes':{" NODE("a", "noise", ",'width':-8") "}}", "more than 0");
    expect_refusal("{'nodes':{" NODE("a", "noise", ",'width':13") "}}", "multiple of 8");
    expect_refusal("{'nodes':{" NODE("a", "noise", ",'seed':4294967296") "}}", "at most");
    expect_refusal("{'nodes':{" NODE("a", "integer_collection", ",'collection':[1,'x']") "}}",
                   "whole number");
    expect_refusal(
        "{'nodes':{" NODE("a", "blank_image", ",'color':{'r':300,'g':0,'b':0,'a':0}") "}}",
        "colour");
    expect_refusal("{'nodes':{" NODE("a", "float_to_int", ",'method':'Sideways'") "}}", "choices");
    expect_refusal("{'nodes':{" NODE("a", "add", "") "},'edges':5}", "not a list");
    expect_refusal("{'nodes':{" NODE("a", "add", "") "},'edges':[{}]}", "lacks");
    expect_refusal(
        "{'nodes':{" NODE("a", "add", "") "},'edges':[" EDGE("z", "value", "a", "a") "]}",
        "doesn't have");
    expect_refusal(
        "{'nodes':{" NODE("a", "add", "") "},'edges':[" EDGE("a", "nothing", "a", "a") "]}",
        "no output");
    expect_refusal(
        "{'nodes':{" NODE("a", "add", "") "},'edges':[" EDGE("a", "value", "a", "nothing") "]}",
        "no input");
    expect_refusal(
        "{'nodes':{" NODE("a", "add", "") "},'edges':[" EDGE("a", "value", "a", "a") "]}",
        "circle");
    expect_refusal("{'nodes':{" NODE("a", "add", "") "," NODE("b", "add", "") "},'edges':[" EDGE(
                       "a", "value", "b", "a") "," EDGE("b", "value", "a", "a") "]}",
                   "circle");
    expect_refusal("{'nodes':{" NODE("a", "add", "") "," NODE("b", "add", "") "},'edges':[" EDGE(
                       "a", "value", "b", "a") "," EDGE("a", "value", "b", "a") "]}",
                   "more than one");
    expect_refusal("{'nodes':{" NODE("s", "string", "") "," NODE("b", "add", "") "},'edges':[" EDGE(
                       "s", "value", "b", "a") "]}",
                   "doesn't fit");
    expect_refusal("{'nodes':{" NODE("s", "range", "") "," NODE("b", "add", "") "},'edges':[" EDGE(
                       "s", "collection", "b", "a") "]}",
                   "doesn't fit");
    expect_refusal("{'nodes':{" NODE("s", "integer", "") "," NODE(
                       "b", "core_metadata", "") "},'edges':[" EDGE("s", "value", "b", "id") "]}",
                   "no input");
    /* What only shows while it runs. */
    expect_refusal(
        "{'nodes':{" NODE("l", "string_collection", ",'collection':['x']") "," NODE(
            "it", "iterate",
            "") "," NODE("a", "add", "") "},'edges':[" EDGE("l", "collection", "it",
                                                            "collection") "," EDGE("it", "item",
                                                                                   "a", "a") "]}",
        "whole number");
    expect_refusal("{'nodes':{" NODE("d", "div", ",'a':1") "}}", "zero");
    expect_refusal("{'nodes':{" NODE("d", "main_model_loader", "") "}}", "no value");
    expect_refusal(
        "{'nodes':{" NODE("d", "l2i",
                          ",'latents':{'latents_name':'x'},'vae':{'vae':{'key':'k'}}") "}}",
        "not made in this run");
}

static void test_counts_are_bounded(void **state)
{
    (void)state;
    imu_error err;
    json_t *nodes = json_object();
    char id[16];
    for (int i = 0; i <= IMU_GRAPH_MAX_NODES; i++) {
        snprintf(id, sizeof id, "n%d", i);
        json_object_set_new(nodes, id, json_pack("{s:s}", "type", "integer"));
    }
    assert_null(run(json_pack("{s:o}", "nodes", nodes), &err));
    assert_non_null(strstr(err.text, "at most"));
    /* 100 * 100 * 100 copies. */
    expect_refusal(
        "{'nodes':{" NODE("r", "range", ",'stop':100") "," NODE("i", "iterate", "") "," NODE("j", "iterate", "") "," NODE("k", "iterate", "") "," NODE(
            "a", "add",
            "") "," NODE("b", "add",
                         "") "},'edges':[" EDGE("r", "collection", "i",
                                                "collection") "," EDGE("r", "collection", "j",
                                                                       "collection") "," EDGE("r",
                                                                                              "coll"
                                                                                              "ecti"
                                                                                              "on",
                                                                                              "k",
                                                                                              "coll"
                                                                                              "ecti"
                                                                                              "on") "," EDGE("i",
                                                                                                             "item",
                                                                                                             "a",
                                                                                                             "a") "," EDGE("j",
                                                                                                                           "item",
                                                                                                                           "a",
                                                                                                                           "b") "," EDGE("a",
                                                                                                                                         "value",
                                                                                                                                         "b",
                                                                                                                                         "a") "," EDGE("k",
                                                                                                                                                       "item",
                                                                                                                                                       "b",
                                                                                                                                                       "b") "]}",
        "more than");
    json_t *deep = json_object();
    for (int i = 0; i < 100; i++)
        deep = json_pack("{s:o}", "d", deep);
    assert_null(run(deep, &err));
    assert_non_null(strstr(err.text, "nested too deeply"));
}

/* A text that doubles 40 times must be stopped, not tried. */
static void test_results_are_bounded(void **state)
{
    (void)state;
    json_t *nodes = json_object(), *edges = json_array();
    char id[16], next[16];
    json_object_set_new(nodes, "n0",
                        json_pack("{s:s,s:s}", "type", "string", "value", "0123456789"));
    for (int i = 0; i < 40; i++) {
        static const char *const fields[] = {"string_left", "string_right"};
        snprintf(id, sizeof id, "n%d", i);
        snprintf(next, sizeof next, "n%d", i + 1);
        json_object_set_new(nodes, next, json_pack("{s:s}", "type", "string_join"));
        for (int k = 0; k < 2; k++)
            json_array_append_new(edges, json_pack("{s:{s:s,s:s},s:{s:s,s:s}}", "source", "node_id",
                                                   id, "field", "value", "destination", "node_id",
                                                   next, "field", fields[k]));
    }
    imu_error err;
    assert_null(run(json_pack("{s:o,s:o}", "nodes", nodes, "edges", edges), &err));
    assert_string_equal(err.type, "TooLarge");
}

static void test_arithmetic(void **state)
{
    (void)state;
    static const struct {
        const char *op;
        long a, b, want;
    } rows[] = {{"ADD", 2, 3, 5},
                {"SUB", 2, 3, -1},
                {"MUL", -4, 3, -12},
                {"DIV", -7, 2, -4},
                {"MOD", -7, 2, 1},
                {"EXP", 2, 62, 4611686018427387904},
                {"EXP", -1, 1000000001, -1},
                {"ABS", -5, 0, 5},
                {"MIN", 2, -3, -3},
                {"MAX", 2, -3, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        imu_error err = {.text = ""};
        json_t *s = run(json_pack("{s:{s:{s:s,s:s,s:I,s:I}}}", "nodes", "n", "type", "integer_math",
                                  "operation", rows[i].op, "a", (json_int_t)rows[i].a, "b",
                                  (json_int_t)rows[i].b),
                        &err);
        assert_non_null(s);
        json_t *list = results_of(s, "n");
        assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "value")),
                         rows[i].want);
        json_decref(list);
        json_decref(s);
    }
    expect_refusal("{'nodes':{" NODE("n", "integer_math", ",'operation':'EXP','a':3,'b':100") "}}",
                   "64 bits");
    expect_refusal("{'nodes':{" NODE("n", "add", ",'a':9223372036854775807,'b':1") "}}", "64 bits");
    json_t *s = run_text(
        "{'nodes':{" NODE("d", "div", ",'a':-7,'b':2") "," NODE("q", "float_math", ",'operation':'SQRT','a':9") "," NODE(
            "m", "float_math",
            ",'operation':'MAX','a':1,'b':2") "," NODE("r", "round_float",
                                                       ",'value':2.345,'decimals':1") "," NODE("f",
                                                                                               "flo"
                                                                                               "at_"
                                                                                               "to_"
                                                                                               "in"
                                                                                               "t",
                                                                                               ",'"
                                                                                               "val"
                                                                                               "ue'"
                                                                                               ":13"
                                                                                               ",'"
                                                                                               "mul"
                                                                                               "tip"
                                                                                               "le'"
                                                                                               ":8,"
                                                                                               "'me"
                                                                                               "tho"
                                                                                               "d':"
                                                                                               "'Ce"
                                                                                               "ili"
                                                                                               "ng"
                                                                                               "'") "}}");
    expect_results(s, "d", "[{'value':-3}]");
    expect_results(s, "q", "[{'value':3.0}]");
    expect_results(s, "m", "[{'value':2.0}]");
    expect_results(s, "r", "[{'value':2.3}]");
    expect_results(s, "f", "[{'value':16}]");
    json_decref(s);
}

static void test_strings_and_metadata(void **state)
{
    (void)state;
    json_t *s = run_text(
        "{'nodes':{" NODE("p", "string_split", ",'string':'a, b, c','delimiter':', '") "," NODE(
            "r", "string_replace",
            ",'string':'aXbX','search_string':'X','replace_string':'--'") "," NODE("m",
                                                                                   "core_metadata",
                                                                                   ",'seed':5,'cfg_"
                                                                                   "scale':7.5,'"
                                                                                   "unknown':{'x':["
                                                                                   "1]},'steps':"
                                                                                   "null") "}}");
    expect_results(s, "p", "[{'string_1':'a','string_2':'b, c'}]");
    expect_results(s, "r", "[{'value':'a--b--'}]");
    expect_results(
        s, "m",
        "[{'metadata':{'seed':5,'cfg_scale':7.5,'unknown':{'x':[1]},'app_version':'6.12.0'}}]");
    json_decref(s);
}

/* What the web client reads of each schema, and that each declaration is sound. */
static void test_schemas(void **state)
{
    (void)state;
    json_t *document = imu_schema_document(),
           *schemas = json_object_get(json_object_get(document, "components"), "schemas");
    for (const imu_node_type *const *t = imu_node_all(); *t; t++) {
        const json_t *s = json_object_get(schemas, (*t)->name),
                     *properties = json_object_get(s, "properties");
        assert_ptr_equal(imu_node_find((*t)->type), *t); /* no two of one name */
        assert_string_equal(imu_json_str(s, "class"), "invocation");
        assert_string_equal(imu_json_str(s, "version"), (*t)->version);
        assert_non_null(imu_json_str(s, "title"));
        assert_string_equal(imu_json_str(json_object_get(properties, "type"), "default"),
                            (*t)->type);
        assert_true(
            json_is_boolean(json_object_get(json_object_get(properties, "use_cache"), "default")));
        char ref[128];
        snprintf(ref, sizeof ref, "#/components/schemas/%s", (*t)->output->name);
        assert_string_equal(imu_json_str(json_object_get(s, "output"), "$ref"), ref);
        const json_t *o = json_object_get(schemas, (*t)->output->name);
        assert_string_equal(imu_json_str(o, "class"), "output");
        for (const imu_field *f = (*t)->inputs; f->name; f++) {
            imu_error err = {.text = ""};
            json_t *value =
                f->fallback ? json_loads(f->fallback, JSON_DECODE_ANY, NULL) : json_null();
            assert_non_null(value);
            assert_true(f->help && *f->help);
            bool optional = f->flags & (IMU_F_REQUIRED | IMU_F_NULLABLE) || f->type == IMU_T_ANY;
            assert_true(f->fallback || optional);
            json_t *taken =
                imu_value_take(f, value, &err); /* the default passes the node's own check */
            if (!taken)
                fail_msg("%s.%s: %s", (*t)->type, f->name, err.text);
            json_decref(taken);
            json_decref(value);
            assert_non_null(imu_json_str(json_object_get(properties, f->name), "field_kind"));
        }
    }
    json_decref(document);
}

/* A node may keep several things, and names the first one last. */
static void test_names_stay(void **state)
{
    (void)state;
    imu_env env = {0};
    imu_error error = {0};
    imu_call call = {.env = &env, .error = &error};
    const char *names[40];
    for (int i = 0; i < 40; i++) {
        names[i] = imu_env_keep_latents(&call, imu_array_new(1, (int64_t[]){1}), "sd-1", 0);
        assert_non_null(names[i]);
    }
    for (int i = 0; i < 40; i++) {
        json_t *field = json_pack("{s:s}", "latents_name", names[i]);
        assert_non_null(imu_env_latents(&call, field));
        json_decref(field);
    }
    imu_env_clear(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_flow),
        cmocka_unit_test(test_defaults_and_conversions),
        cmocka_unit_test(test_iterate_and_collect),
        cmocka_unit_test(test_depth_first),
        cmocka_unit_test(test_nested_and_joined_iterations),
        cmocka_unit_test(test_iterate_in_iterate),
        cmocka_unit_test(test_empty_iteration),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_counts_are_bounded),
        cmocka_unit_test(test_results_are_bounded),
        cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_strings_and_metadata),
        cmocka_unit_test(test_names_stay),
        cmocka_unit_test(test_schemas),
    };
    return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
