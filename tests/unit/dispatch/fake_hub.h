/* fake_hub.h: stands in for the hub: keeps the names and payloads of what was emitted. */
#ifndef IMU_TEST_FAKE_HUB_H
#define IMU_TEST_FAKE_HUB_H

#include <jansson.h>

/** Emitted since the last reset: array of {name, owner, data}. */
extern json_t *fake_hub_events;
void fake_hub_reset(void);
/** How many events of that name there were. */
int fake_hub_count(const char *name);
/** Payload of the last one of that name, or NULL. */
json_t *fake_hub_last(const char *name);

#endif
