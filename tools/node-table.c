/* Writes the declarations of the worker's nodes as C: what the server needs of them to judge a
 * graph before it is queued (build/gen/nodes.c). Titles, help and defaults stay with the worker. */
#include "worker/nodes/node.h"

#include <stdio.h>

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

int main(void)
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
    return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
