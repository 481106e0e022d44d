#include "tests/engine/emulated.h"

#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <vector>

struct imu_emulated_index threadIdx, blockIdx, blockDim, gridDim;

namespace {
constexpr size_t STACK = 256 * 1024;

struct block_thread {
    ucontext_t context;
    std::vector<char> stack;
    bool ended;
};

std::vector<block_thread> *turn; // of the block that runs now, when its threads take turns
ucontext_t conductor;
const std::function<void()> *body_now;

void thread_main()
{
    (*body_now)();
    (*turn)[threadIdx.x].ended = true;
}

void run_together(unsigned threads)
{
    static std::vector<block_thread> kept;
    kept.resize(threads);
    turn = &kept;
    for (auto &one : kept) {
        one.stack.resize(STACK);
        one.ended = false;
        getcontext(&one.context);
        one.context.uc_stack.ss_sp = one.stack.data();
        one.context.uc_stack.ss_size = STACK;
        one.context.uc_link = &conductor;
        makecontext(&one.context, thread_main, 0);
    }
    for (bool running = true; running;) {
        unsigned ended = 0;
        for (unsigned i = 0; i < threads; i++) {
            threadIdx.x = i;
            swapcontext(&conductor, &kept[i].context);
            ended += kept[i].ended;
        }
        // On a GPU it is an error too when some wait for threads that have ended.
        if (ended && ended < threads) {
            fprintf(stderr, "threads of one block wait for others that have ended\n");
            abort();
        }
        running = !ended;
    }
    turn = nullptr;
}
}

void __syncthreads(void)
{
    if (!turn) {
        fprintf(stderr, "a kernel that was not started together waits\n");
        abort();
    }
    swapcontext(&(*turn)[threadIdx.x].context, &conductor);
}

int imu_emulate(int64_t blocks, int threads, bool together, const std::function<void()> &body)
{
    if (blocks < 1 || blocks > INT32_MAX || threads < 1)
        return -1;
    gridDim.x = (unsigned)blocks;
    blockDim.x = (unsigned)threads;
    body_now = &body;
    for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++) {
        if (together) {
            run_together(blockDim.x);
            continue;
        }
        for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++)
            body();
    }
    return 0;
}
