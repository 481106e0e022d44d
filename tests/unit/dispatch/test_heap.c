/* The heap: what comes first does, whatever goes, comes and changes meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mod_invokemu/dispatch/heap.h"

#define MANY 500

struct number {
    unsigned value;
    int in;
    imu_heap_node node;
};

static int is_less(const imu_heap_node *one, const imu_heap_node *other)
{
    return IMU_HEAP_ITEM(one, struct number, node)->value <
           IMU_HEAP_ITEM(other, struct number, node)->value;
}

static const struct number *least(const struct number *numbers)
{
    const struct number *found = NULL;

    for (int i = 0; i < MANY; i++)
        if (numbers[i].in && (!found || numbers[i].value < found->value))
            found = &numbers[i];
    return found;
}

static void change(imu_heap *heap, struct number *number, unsigned random)
{
    number->in = random % 3 != 0;
    number->value = random;
    if (number->in)
        imu_heap_put(heap, &number->node);
    else
        imu_heap_take(heap, &number->node);
}

static void test_first_is_first(void **state)
{
    static struct number numbers[MANY];
    imu_heap heap = {.before = is_less};
    unsigned random = 1;

    (void)state;
    assert_null(imu_heap_first(&heap));
    assert_int_equal(imu_heap_reserve(&heap, MANY), 0);
    for (int i = 0; i < 20 * MANY; i++) {
        const struct number *first;

        random = random * 1103515245 + 12345;
        change(&heap, &numbers[(random >> 16) % MANY], random >> 8);
        if ((first = least(numbers)))
            assert_int_equal(IMU_HEAP_ITEM(imu_heap_first(&heap), struct number, node)->value,
                             first->value);
        else
            assert_null(imu_heap_first(&heap));
    }
    for (int i = 0; i < MANY; i++)
        imu_heap_take(&heap, &numbers[i].node);
    assert_null(imu_heap_first(&heap));
    imu_heap_clear(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_first_is_first)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
