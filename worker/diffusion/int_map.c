#include "worker/diffusion/int_map.h"

#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    return x ^ (x >> 33);
}

static uint64_t hash_text(const char *text)
{
    uint64_t h = 0xcbf29ce484222325ULL;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        h = (h ^ *p) * 0x100000001b3ULL;
    return mix(h);
}

int imu_int_map_init(imu_int_map *m, size_t capacity)
{
    size_t size = 16;
    while (size < capacity * 2)
        size *= 2;
    m->slots = calloc(size, sizeof *m->slots);
    m->mask = size - 1;
    m->count = 0;
    return m->slots ? 0 : -1;
}

void imu_int_map_free(imu_int_map *m)
{
    free(m->slots);
    m->slots = NULL;
}

static struct imu_int_slot *locate(const imu_int_map *m, uint64_t key, const char *text)
{
    size_t i = (text ? key : mix(key)) & m->mask;
    while (m->slots[i].used &&
           (m->slots[i].key != key || (text && strcmp(m->slots[i].text, text) != 0)))
        i = (i + 1) & m->mask;
    return &m->slots[i];
}

static int put(imu_int_map *m, uint64_t key, const char *text, int value)
{
    struct imu_int_slot *slot = locate(m, key, text);
    if (slot->used)
        return 0;
    if (m->count * 4 >= (m->mask + 1) * 3)
        return -1;
    *slot = (struct imu_int_slot){key, text, value, 1};
    m->count++;
    return 0;
}

int imu_int_map_put(imu_int_map *m, uint64_t key, int value)
{
    return put(m, key, NULL, value);
}

int imu_int_map_put_text(imu_int_map *m, const char *text, int value)
{
    return put(m, hash_text(text), text, value);
}

int imu_int_map_get(const imu_int_map *m, uint64_t key)
{
    const struct imu_int_slot *slot = locate(m, key, NULL);
    return slot->used ? slot->value : -1;
}

int imu_int_map_get_text(const imu_int_map *m, const char *text)
{
    const struct imu_int_slot *slot = locate(m, hash_text(text), text);
    return slot->used ? slot->value : -1;
}
