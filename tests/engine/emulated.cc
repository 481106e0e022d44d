#include "tests/engine/emulated.h"
#include "tests/engine/device_host.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

struct imu_emulated_index threadIdx, blockIdx, blockDim, gridDim;

namespace
{
constexpr size_t STACK = 256 * 1024;

// Contexts are made once and switched by jumps: swapcontext asks the kernel for the signal mask
// each time.
struct block_thread {
    ucontext_t context;
    jmp_buf jump;
    char *stack;
    bool started, ended;
};

block_thread threads[IMU_BLOCK];
bool together_now;
jmp_buf conductor;
const std::function<void()> *body_now;

void give_way()
{
    if (!_setjmp(threads[threadIdx.x].jump))
        _longjmp(conductor, 1);
}

void thread_main()
{
    for (;;) {
        (*body_now)();
        threads[threadIdx.x].ended = true;
        give_way();
    }
}

void resume(block_thread *one)
{
    if (_setjmp(conductor))
        return;
    if (one->started)
        _longjmp(one->jump, 1);
    one->started = true;
    one->stack = static_cast<char *>(malloc(STACK));
    if (!one->stack || getcontext(&one->context))
        abort();
    one->context.uc_stack.ss_sp = one->stack;
    one->context.uc_stack.ss_size = STACK;
    makecontext(&one->context, thread_main, 0);
    setcontext(&one->context);
    abort();
}

// As far as the next place where all wait. Returns how many have ended.
unsigned step()
{
    unsigned ended = 0;
    for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++) {
        resume(&threads[threadIdx.x]);
        ended += threads[threadIdx.x].ended;
    }
    return ended;
}

void run_together()
{
    unsigned ended = 0;
    for (auto &one : threads)
        one.ended = false;
    together_now = true;
    while (!ended)
        ended = step();
    together_now = false;
    // On a GPU it is an error too.
    if (ended < blockDim.x) {
        fprintf(stderr, "threads of one block wait for others that have ended\n");
        abort();
    }
}
} // namespace

void __syncthreads(void)
{
    if (!together_now) {
        fprintf(stderr, "a kernel that was not started together waits\n");
        abort();
    }
    give_way();
}

int imu_emulate(int64_t blocks, int count, bool together, const std::function<void()> &body)
{
    if (imu_host_answers())
        return -1;
    if (blocks < 1 || blocks > INT32_MAX || count != IMU_BLOCK)
        return -1;
    gridDim.x = (unsigned)blocks;
    blockDim.x = (unsigned)count;
    body_now = &body;
    for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++) {
        if (together) {
            run_together();
            continue;
        }
        for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++)
            body();
    }
    return 0;
}
