// The loop by itself: its turns and its timers.

#include "peer.h"

#include <stdlib.h>

enum {
    // Timers that are active during the churn.
    CHURN_TIMERS = 1000,
    // The churn's timers lie this far ahead and never fire; in milliseconds.
    CHURN_AHEAD = 60 * 1000,
    // The deadlines of timers are spread over so many milliseconds.
    SPREAD = 1000,
    // Timers of `million_timers` with the same deadline, one a millisecond.
    PER_MS = 1000,
};

// Spreads consecutive numbers evenly and out of order: the prime is coprime to SPREAD.
static uint64_t spread(uint64_t number) {
    return number * 7919 % SPREAD;
}

static uint64_t remaining;

static void on_idle(uv_idle_t *idle) {
    if (--remaining == 0) {
        must(uv_idle_stop(idle), "uv_idle_stop");
    }
}

static void tick(uv_idle_t *idle, uint64_t operations) {
    remaining = operations;
    must(uv_idle_start(idle, on_idle), "uv_idle_start");
    must(uv_run(idle->loop, UV_RUN_DEFAULT), "uv_run");
}

void bench_ticks(uint64_t operations) {
    uv_idle_t idle;
    must(uv_idle_init(uv_default_loop(), &idle), "uv_idle_init");
    tick(&idle, warm_up(operations));
    measure_begin();
    tick(&idle, operations);
    measure_end(operations);
}

static void on_timer(uv_timer_t *timer) {
    turns_did_one();
}

// Each operation stops one of the active timers and starts it again.
static void churn(uv_timer_t *timers, uint64_t operations) {
    for (uint64_t number = 0; number < operations; number++) {
        uv_timer_t *timer = &timers[number % CHURN_TIMERS];
        must(uv_timer_stop(timer), "uv_timer_stop");
        must(uv_timer_start(timer, on_timer, CHURN_AHEAD + spread(number), 0), "uv_timer_start");
    }
}

void bench_timer_churn(uint64_t operations) {
    uv_timer_t *timers = must_allocate(CHURN_TIMERS * sizeof *timers);
    for (uint64_t number = 0; number < CHURN_TIMERS; number++) {
        must(uv_timer_init(uv_default_loop(), &timers[number]), "uv_timer_init");
        must(uv_timer_start(&timers[number], on_timer, CHURN_AHEAD + spread(number), 0), "uv_timer_start");
    }
    churn(timers, warm_up(operations));
    measure_begin();
    churn(timers, operations);
    measure_end(operations);
    free(timers);
}

// Starts all timers and lets their deadlines pass; only the loop that fires them is measured.
void bench_timer_fire(uint64_t operations) {
    uv_loop_t *loop = uv_default_loop();
    uv_timer_t *timers = must_allocate(operations * sizeof *timers);
    for (uint64_t number = 0; number < operations; number++) {
        must(uv_timer_init(loop, &timers[number]), "uv_timer_init");
        must(uv_timer_start(&timers[number], on_timer, 1 + spread(number), 0), "uv_timer_start");
    }
    uv_sleep(SPREAD + 1);
    turns_begin(operations);
    must(uv_run(loop, UV_RUN_DEFAULT), "uv_run");
    turns_end();
    free(timers);
}

static void on_million_timer(uv_timer_t *timer) {
    remaining--;
}

// From the start of each over its end to its close.
static void end_timers(uv_timer_t *timers, uint64_t operations) {
    uv_loop_t *loop = uv_default_loop();
    remaining = operations;
    uv_update_time(loop);
    for (uint64_t number = 0; number < operations; number++) {
        must(uv_timer_init(loop, &timers[number]), "uv_timer_init");
        must(uv_timer_start(&timers[number], on_million_timer, 1 + number / PER_MS, 0), "uv_timer_start");
    }
    must(uv_run(loop, UV_RUN_DEFAULT), "uv_run");
    for (uint64_t number = 0; number < operations; number++) {
        uv_close((uv_handle_t *) &timers[number], NULL);
    }
    must(uv_run(loop, UV_RUN_DEFAULT), "uv_run");
    must(remaining == 0 ? 0 : UV_EINVAL, "a timer");
}

void bench_million_timers(uint64_t operations) {
    uv_timer_t *timers = must_allocate(operations * sizeof *timers);
    end_timers(timers, warm_up(operations));
    measure_begin();
    end_timers(timers, operations);
    measure_end(operations);
    free(timers);
}
