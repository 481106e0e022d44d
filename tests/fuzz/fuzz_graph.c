/* Fuzzes the graph reader and executor: a posted graph as JSON text. Nodes that need no model run
 * for real, but for those that make pictures, whose size would make it slow. */
#include "worker/graph/graph.h"
#include "worker/nodes/env.h"

#include <stdlib.h>
#include <string.h>

#define MAX_RUNS 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_one(imu_env *env, imu_exec *x, const imu_prepared *p, imu_error *err)
{
    imu_call call = {.type = p->type,
                     .id = p->id,
                     .source_id = p->source_id,
                     .in = p->inputs,
                     .env = env,
                     .error = err};
    call.images = json_array();
    int rc = !strcmp(p->type->category, "image") || !strcmp(p->type->type, "noise")
                 ? -1
                 : p->type->run(&call);
    json_decref(call.images);
    return rc ? -1 : imu_exec_complete(x, p, call.out, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    imu_error err = {.text = ""};
    imu_env env = {.cancelled = false};
    imu_prepared p;
    json_t *posted = json_loadb((const char *)data, size, 0, NULL);
    imu_graph *g = posted ? imu_graph_load(posted, &err) : NULL;
    imu_exec *x = g ? imu_exec_new("session", g) : NULL;
    for (int i = 0; x && i < MAX_RUNS && imu_exec_next(x, &p, &err) == 1; i++) {
        if (run_one(&env, x, &p, &err)) {
            imu_exec_fail(x, p.id, "failed");
            break;
        }
    }
    if (x) {
        json_t *state = imu_exec_state(x);
        char *text = state ? json_dumps(state, JSON_COMPACT) : NULL;
        if (!text)
            abort(); /* whatever ran must be tellable */
        free(text);
        json_decref(state);
    }
    imu_exec_free(x);
    imu_graph_free(g);
    imu_env_clear(&env);
    json_decref(posted);
    return 0;
}
