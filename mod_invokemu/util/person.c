#include "mod_invokemu/util/person.h"

#include <apr_strings.h>

#include "mod_invokemu/util/ids.h"

typedef struct range {
    unsigned from, to;
} range;

/* Controls, ends of lines, and what overrides the direction of what follows (Unicode, chapter 23).
 * Marks of direction (200e, 200f, 61c) belong to names in some scripts; they override nothing. */
static const range controls[] = {
    {0x00, 0x1f}, {0x7f, 0x9f}, {0x2028, 0x2029}, {0x202a, 0x202e}, {0x2066, 0x2069}};

/* White space, and what is drawn as nothing or as a gap. Some join or shape the letters around them
 * and so belong into names, but no name is made of them alone. */
static const range invisible[] = {
    {0x20, 0x20},       {0xa0, 0xa0},       {0xad, 0xad},      {0x34f, 0x34f},   {0x61c, 0x61c},
    {0x115f, 0x1160},   {0x1680, 0x1680},   {0x17b4, 0x17b5},  {0x180b, 0x180f}, {0x2000, 0x200f},
    {0x202f, 0x202f},   {0x205f, 0x2065},   {0x206a, 0x206f},  {0x2800, 0x2800}, {0x3000, 0x3000},
    {0x3164, 0x3164},   {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},  {0xffa0, 0xffa0}, {0xfff0, 0xfffb},
    {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff}};

static int within(const range *list, size_t n, unsigned code)
{
    for (size_t i = 0; i < n; i++)
        if (code >= list[i].from && code <= list[i].to)
            return 1;
    return 0;
}

static int is_control(unsigned code)
{
    return within(controls, sizeof controls / sizeof controls[0], code);
}

static int is_invisible(unsigned code)
{
    return within(invisible, sizeof invisible / sizeof invisible[0], code);
}

/* What is around a pasted name, too. A mark of direction or a joiner belongs to what it stands at.
 */
static int is_margin(unsigned code)
{
    return (code >= 0x09 && code <= 0x0d) || code == 0x20 || code == 0x85 || code == 0xa0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200b) || code == 0x2028 ||
           code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x2060 || code == 0x3000 ||
           code == 0xfeff;
}

/* The part of a text between its margins. @return 0 when it is no UTF-8 */
static int between_margins(const char *text, const char **begin, const char **end)
{
    unsigned code;
    int n;

    *begin = *end = text;
    for (; *text; text += n) {
        if ((n = imu_utf8_next(text, &code)) == 0)
            return 0;
        if (!is_margin(code))
            *end = text + n;
        else if (text == *begin)
            *begin = *end = text + n;
    }
    return 1;
}

const char *imu_check_person_name(apr_pool_t *p, const char *given, const char **name)
{
    const char *begin, *end;
    unsigned code;
    int count = 0, seen = 0;

    *name = given && !*given ? given : NULL;
    if (!given || !*given)
        return NULL;
    if (!between_margins(given, &begin, &end))
        return "A name has to be text in UTF-8.";
    for (const char *s = begin; s < end; count++) {
        s += imu_utf8_next(s, &code);
        if (is_control(code))
            return "A name can't hold line ends, control characters or marks that turn the "
                   "direction of the text.";
        seen |= !is_invisible(code);
    }
    if (!seen)
        return "A name needs at least one character that can be seen.";
    if (count > IMU_NAME_MAX)
        return apr_psprintf(p, "A name can have at most %d characters.", IMU_NAME_MAX);
    *name = apr_pstrmemdup(p, begin, (apr_size_t)(end - begin));
    return NULL;
}

int imu_is_visible_word(const char *text)
{
    unsigned code;
    int n;

    for (; *text; text += n) {
        n = imu_utf8_next(text, &code);
        if (n == 0 || is_control(code) || is_invisible(code))
            return 0;
    }
    return 1;
}
