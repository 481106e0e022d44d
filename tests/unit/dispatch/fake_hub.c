#include "tests/unit/dispatch/fake_hub.h"

#include <string.h>

#include "mod_invokemu/dispatch/hub.h"

json_t *fake_hub_events;

void fake_hub_reset(void)
{
    json_decref(fake_hub_events);
    fake_hub_events = json_array();
}

void imu_hub_emit(imu_hub *hub, const char *name, const char *owner, const json_t *data)
{
    (void)hub;
    json_array_append_new(fake_hub_events, json_pack("{s:s, s:s?, s:o}", "name", name, "owner",
                                                     owner, "data", json_deep_copy(data)));
}

static json_t *look(const char *name, int *count)
{
    json_t *event, *last = NULL;
    size_t i;

    *count = 0;
    json_array_foreach (fake_hub_events, i, event) {
        if (strcmp(json_string_value(json_object_get(event, "name")), name) == 0) {
            (*count)++;
            last = json_object_get(event, "data");
        }
    }
    return last;
}

int fake_hub_count(const char *name)
{
    int count;

    look(name, &count);
    return count;
}

json_t *fake_hub_last(const char *name)
{
    int count;

    return look(name, &count);
}
