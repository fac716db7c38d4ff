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
