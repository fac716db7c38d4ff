// The clocks of a solo benchmark, and the checks that every file uses.

#include "peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

// Operations that no warm-up exceeds.
enum { WARM_UP_MOST = 10000 };

static const uint64_t NANOS_PER_SECOND = 1000 * 1000 * 1000;

static uint64_t cpu_at_begin;
static uint64_t wall_at_begin;

static uint64_t nanos_of(struct timeval time) {
    return (uint64_t) time.tv_sec * NANOS_PER_SECOND + (uint64_t) time.tv_usec * 1000;
}

// CPU time of this process, all its threads, and the children that it has waited for.
static uint64_t cpu_now(void) {
    struct timespec own;
    struct rusage children;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own) != 0 || getrusage(RUSAGE_CHILDREN, &children) != 0) {
        perror("peer-libuv: CPU time");
        exit(EXIT_FAILURE);
    }
    return (uint64_t) own.tv_sec * NANOS_PER_SECOND + (uint64_t) own.tv_nsec + nanos_of(children.ru_utime) +
           nanos_of(children.ru_stime);
}

void measure_begin(void) {
    wall_at_begin = uv_hrtime();
    cpu_at_begin = cpu_now();
}

void measure_end(uint64_t operations) {
    uint64_t cpu = cpu_now() - cpu_at_begin;
    uint64_t wall = uv_hrtime() - wall_at_begin;
    printf("{\"ops\":%" PRIu64 ",\"cpu_ns\":%" PRIu64 ",\"wall_ns\":%" PRIu64 "}\n", operations, cpu, wall);
}

static uint64_t turn;
static uint64_t turns_operations;
static uint64_t turns_done;
// The turn is over when so many are done; it began after so many.
static uint64_t turn_until;
static uint64_t turn_since;

void set_turn(uint64_t operations) {
    turn = operations;
}

static void next_turn(void) {
    uint64_t left = turns_operations - turns_done;
    turn_since = turns_done;
    turn_until = turns_done + (turn == 0 || turn > left ? left : turn);
    if (turn != 0) {
        fflush(stdout);
        int byte;
        do {
            byte = getchar();
        } while (byte != EOF && byte != '\n');
        must(byte == EOF ? UV_EOF : 0, "--turn: the input");
    }
    measure_begin();
}

void turns_begin(uint64_t operations) {
    turns_operations = operations;
    turns_done = 0;
    if (turn != 0) {
        puts("ready");
    }
    next_turn();
}

void turns_did_one(void) {
    if (++turns_done != turn_until) {
        return;
    }
    measure_end(turns_done - turn_since);
    if (turns_done < turns_operations) {
        next_turn();
    }
}

void turns_end(void) {
    must(turns_done == turns_operations ? 0 : UV_EINVAL, "too few or too many operations");
}

void must(int status, const char *what) {
    if (status < 0) {
        fprintf(stderr, "peer-libuv: %s: %s\n", what, uv_strerror(status));
        exit(EXIT_FAILURE);
    }
}

void *must_allocate(size_t size) {
    void *memory = calloc(1, size);
    must(memory == NULL ? UV_ENOMEM : 0, "calloc");
    return memory;
}

uint64_t warm_up(uint64_t operations) {
    uint64_t share = operations / 10 + 1;
    return share < WARM_UP_MOST ? share : WARM_UP_MOST;
}
