/* Writes the declarations of the worker's nodes as C: what the server needs of them to judge a
 * graph before it is queued (build/gen/nodes.c), or, for "schemas", their JSON schemas as a text
 * (build/gen/schemas.c). */
#include "worker/nodes/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_text(const char *text)
{
    if (!text) {
        fputs("NULL", stdout);
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('"');
}

static void print_choices(const char *const *choices)
{
    fputs(", .choices = (const char *const[]){", stdout);
    for (; *choices; choices++) {
        print_text(*choices);
        fputs(", ", stdout);
    }
    fputs("NULL}", stdout);
}

static void print_field(const imu_field *f)
{
    printf("    {.name = \"%s\", .type = (enum imu_type)%d, .flags = %u", f->name, (int)f->type,
           f->flags);
    if (f->flags & (IMU_F_MIN | IMU_F_MAX))
        printf(", .min = %.17g, .max = %.17g", f->min, f->max);
    if (f->multiple_of)
        printf(", .multiple_of = %d", f->multiple_of);
    if (f->type == IMU_T_ENUM)
        print_choices(f->choices);
    if (f->ref) {
        fputs(", .ref = ", stdout);
        print_text(f->ref);
    }
    fputs("},\n", stdout);
}

static void print_fields(const char *name, size_t number, const imu_field *list)
{
    printf("static const imu_field %s_%zu[] = {\n", name, number);
    for (; list->name; list++)
        print_field(list);
    fputs("    {.name = NULL},\n};\n", stdout);
}

static void print_table(void)
{
    const imu_node_type *const *all = imu_node_all();
    size_t n = 0;

    fputs("/* Generated from the worker's declarations by tools/node-table.c. */\n"
          "#include \"mod_invokemu/store/queue_graph.h\"\n\n",
          stdout);
    for (; all[n]; n++) {
        print_fields("inputs", n, all[n]->inputs);
        print_fields("outputs", n, all[n]->output->fields);
        printf(
            "static const imu_output_type output_%zu = {.type = \"%s\", .fields = outputs_%zu};\n",
            n, all[n]->output->type, n);
        printf("static const imu_node_type node_%zu = {.type = \"%s\", .flags = %u, "
               ".inputs = inputs_%zu, .output = &output_%zu};\n\n",
               n, all[n]->type, all[n]->flags, n, n);
    }
    fputs("const imu_node_type *const imu_nodes_known[] = {\n", stdout);
    for (size_t i = 0; i < n; i++)
        printf("    &node_%zu,\n", i);
    fputs("    NULL,\n};\n", stdout);
}

/* One string literal for each schema: a line that compilers and people can read. */
static int print_schemas(void)
{
    json_t *document = imu_schema_document(), *schema;
    const char *name, *comma = "";

    fputs("/* Generated from the worker's declarations by tools/node-table.c. */\n"
          "#include \"mod_invokemu/api/openapi.h\"\n\n"
          "const char imu_node_schemas[] =\n    \"{\"\n",
          stdout);
    json_object_foreach (json_object_get(json_object_get(document, "components"), "schemas"), name,
                         schema) {
        char *text = json_dumps(schema, JSON_COMPACT);

        if (!text)
            return -1;
        printf("    \"%s\\\"%s\\\":\"\n    ", comma, name);
        print_text(text);
        putchar('\n');
        free(text);
        comma = ",";
    }
    fputs("    \"}\";\n", stdout);
    json_decref(document);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "schemas") == 0) {
        if (print_schemas() != 0)
            return 1;
    } else if (argc == 1) {
        print_table();
    } else {
        return 2;
    }
    return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
