// libuv's `async_pummel` and `million_async`: a thread that wakes the loop as often as it can.

#include "peer.h"

#include <stdatomic.h>

// Handles of `million_async`, as many as libuv has.
enum { MILLION = 1 << 20 };

static uv_async_t *handles;
static uint64_t remaining;
static atomic_bool is_over;

static void on_wakeup(uv_async_t *handle) {
    // Calls of the turn in which the last one came do not count.
    if (remaining > 0 && --remaining == 0) {
        uv_stop(handle->loop);
    }
}

// The same numbers in every run.
static size_t random_number(void) {
    static uint32_t state;
    state = state * 214013 + 2531011;
    return state;
}

static void pummel_one(void *unused) {
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        must(uv_async_send(&handles[0]), "uv_async_send");
    }
}

static void pummel_a_million(void *unused) {
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        must(uv_async_send(&handles[random_number() % MILLION]), "uv_async_send");
    }
}

static void answer(uint64_t operations) {
    remaining = operations;
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    must(remaining == 0 ? 0 : UV_EINVAL, "a wake-up");
}

static void measure_pummelled(size_t count, uv_thread_cb pummel, uint64_t operations) {
    uv_thread_t thread;
    handles = must_allocate(count * sizeof *handles);
    for (size_t index = 0; index < count; index++) {
        must(uv_async_init(uv_default_loop(), &handles[index], on_wakeup), "uv_async_init");
    }
    must(uv_thread_create(&thread, pummel, NULL), "uv_thread_create");
    answer(warm_up(operations));
    measure_begin();
    answer(operations);
    measure_end(operations);
    atomic_store(&is_over, 1);
    must(uv_thread_join(&thread), "uv_thread_join");
}

void bench_async_pummel(uint64_t operations) {
    measure_pummelled(1, pummel_one, operations);
}

void bench_million_async(uint64_t operations) {
    measure_pummelled(MILLION, pummel_a_million, operations);
}
