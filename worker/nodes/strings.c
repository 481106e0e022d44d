/* Nodes that work on texts. */
#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"
#include "worker/graph/graph.h"

#include <stdlib.h>
#include <string.h>

#define TEXT(field, words)                                                                         \
    {                                                                                              \
        .name = field, .type = IMU_T_STRING, .flags = IMU_F_TEXTAREA, .fallback = "\"\"",          \
        .help = words                                                                              \
    }

/* Joins NULL-terminated parts, bounded so that a chain of joins can't double itself out of memory.
 */
static int join(imu_call *call, const char *const *parts)
{
    size_t len = 0;
    for (const char *const *p = parts; *p; p++)
        len += strlen(*p);
    if (len > IMU_GRAPH_MAX_VALUE)
        return imu_refuse(call->error, "TooLarge", "The text would be longer than 1 MiB.");
    char *text = malloc(len + 1), *to = text;
    if (!text)
        return imu_refuse(call->error, "OutOfMemory", "Not enough memory for the text.");
    for (const char *const *p = parts; *p; p++) {
        size_t n = strlen(*p);
        memcpy(to, *p, n);
        to += n;
    }
    *to = 0;
    int rc = imu_out(call, json_pack("{s:s}", "value", text));
    free(text);
    return rc;
}

static int run_join(imu_call *call)
{
    return join(call, (const char *const[]){imu_in_text(call, "string_left"),
                                            imu_in_text(call, "string_right"), NULL});
}

static int run_join_three(imu_call *call)
{
    return join(call, (const char *const[]){imu_in_text(call, "string_left"),
                                            imu_in_text(call, "string_middle"),
                                            imu_in_text(call, "string_right"), NULL});
}

static int run_split(imu_call *call)
{
    const char *text = imu_in_text(call, "string"), *mark = imu_in_text(call, "delimiter");
    /* Without a delimiter upstream splits at the first white space. */
    const char *at = *mark ? strstr(text, mark) : strpbrk(text, " \t\r\n");
    if (!at)
        return imu_out(call, json_pack("{s:s,s:s}", "string_1", text, "string_2", ""));
    const char *rest = at + (*mark ? strlen(mark) : strspn(at, " \t\r\n"));
    return imu_out(
        call, json_pack("{s:s%,s:s}", "string_1", text, (size_t)(at - text), "string_2", rest));
}

static int run_replace(imu_call *call)
{
    const char *text = imu_in_text(call, "string"), *search = imu_in_text(call, "search_string");
    const char *with = imu_in_text(call, "replace_string");
    if (imu_in_bool(call, "use_regex"))
        return imu_refuse(call->error, "NotSupported",
                          "This worker replaces plain text only, not regular expressions.");
    if (!*search)
        return imu_out(call, json_pack("{s:s}", "value", text));
    size_t search_len = strlen(search), with_len = strlen(with), len = strlen(text), found = 0;
    for (const char *p = text; (p = strstr(p, search)); p += search_len)
        found++;
    size_t made = len - found * search_len + found * with_len;
    if (made > IMU_GRAPH_MAX_VALUE)
        return imu_refuse(call->error, "TooLarge", "The text would be longer than 1 MiB.");
    char *result = malloc(made + 1), *to = result;
    if (!result)
        return imu_refuse(call->error, "OutOfMemory", "Not enough memory for the text.");
    for (const char *p; (p = strstr(text, search)); text = p + search_len) {
        memcpy(to, text, (size_t)(p - text));
        to += p - text;
        memcpy(to, with, with_len);
        to += with_len;
    }
    memcpy(to, text, strlen(text) + 1);
    int rc = imu_out(call, json_pack("{s:s}", "value", result));
    free(result);
    return rc;
}

static const imu_node_type join_node = {"string_join",
                                        "StringJoinInvocation",
                                        "String Join",
                                        "1.0.1",
                                        "strings",
                                        "string join",
                                        "Puts two texts together.",
                                        0,
                                        FIELDS(TEXT("string_left", "The text that comes first"),
                                               TEXT("string_right", "The text that comes last")),
                                        &imu_out_string,
                                        run_join};
static const imu_node_type join_three_node = {
    "string_join_three",
    "StringJoinThreeInvocation",
    "String Join Three",
    "1.0.1",
    "strings",
    "string join",
    "Puts three texts together.",
    0,
    FIELDS(TEXT("string_left", "The text that comes first"),
           TEXT("string_middle", "The text between the others"),
           TEXT("string_right", "The text that comes last")),
    &imu_out_string,
    run_join_three};

static const imu_output_type two_strings = {
    "String2Output", "string_2_output", "Two texts",
    FIELDS(
        {.name = "string_1", .type = IMU_T_STRING, .title = "String 1", .help = "The first text"},
        {.name = "string_2",
         .type = IMU_T_STRING,
         .title = "String 2",
         .help = "The second text"})};
static const imu_node_type split_node = {
    "string_split",
    "StringSplitInvocation",
    "String Split",
    "1.0.1",
    "strings",
    "string split",
    "Cuts a text in two at the first delimiter.",
    0,
    FIELDS(TEXT("string", "The text to cut"), {.name = "delimiter",
                                               .type = IMU_T_STRING,
                                               .fallback = "\"\"",
                                               .help = "Where to cut; empty: at white space"}),
    &two_strings,
    run_split};
static const imu_node_type replace_node = {
    "string_replace",
    "StringReplaceInvocation",
    "String Replace",
    "1.0.1",
    "strings",
    "string replace",
    "Replaces a part of a text wherever it occurs.",
    0,
    FIELDS(TEXT("string", "The text to work on"), TEXT("search_string", "What to look for"),
           TEXT("replace_string", "What to put there"),
           {.name = "use_regex",
            .type = IMU_T_BOOL,
            .fallback = "false",
            .help = "Read the search text as a regular expression (not available here)"}),
    &imu_out_string,
    run_replace};

const imu_node_type *const imu_nodes_strings[] = {&join_node, &join_three_node, &split_node,
                                                  &replace_node, NULL};
