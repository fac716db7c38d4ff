// `peer-libuv BENCH [--ops N] [--turn N] [--path P]`: libuv as a peer. A solo benchmark prints one line of JSON, or one
// for each turn; a server prints where it listens and serves until SIGTERM.

#include "peer.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    // Operations of a solo benchmark unless `--ops` says otherwise.
    DEFAULT_OPERATIONS = 10000,
    // The exit code for what this program cannot do.
    EXIT_UNABLE = 2,
};

// A benchmark: either a solo, or a server of streams, or one of HTTP whose bodies have that size.
struct bench {
    const char *name;
    void (*solo)(uint64_t operations);
    void (*server)(const char *path);
    void (*http)(size_t size);
    size_t size;
};

static const struct bench BENCHES[] = {
    {"loop/ticks", .solo = bench_ticks},
    {"loop/timer-churn", .solo = bench_timer_churn},
    {"loop/timer-fire", .solo = bench_timer_fire},
    {"loop/wakeup", .solo = bench_wakeup},
    {"loop/post", .solo = bench_post},
    {"loop/work", .solo = bench_work},
    {"loop/spawn", .solo = bench_spawn},
    {"libuv/loop_count", .solo = bench_ticks},
    {"libuv/async1", .solo = bench_wakeup},
    {"libuv/async_pummel_1", .solo = bench_async_pummel},
    {"libuv/million_async", .solo = bench_million_async},
    {"libuv/million_timers", .solo = bench_million_timers},
    {"libuv/queue_work", .solo = bench_queue_work},
    {"libuv/spawn", .solo = bench_spawn_and_read},
    {"libuv/ping_pongs", .solo = bench_ping_pongs},
    {"libuv/tcp_pump1", .solo = bench_tcp_pump},
    {"libuv/pipe_pump1", .solo = bench_pipe_pump},
    {"libuv/tcp4_pound_100", .solo = bench_tcp4_pound},
    {"libuv/tcp_multi_accept2", .solo = bench_tcp_multi_accept},
    {"libuv/ping_udp1", .solo = bench_ping_udp},
    {"libuv/udp_pummel_1v1", .solo = bench_udp_pummel_1v1},
    {"libuv/udp_pummel_10v10", .solo = bench_udp_pummel_10v10},
    {"libuv/getaddrinfo", .solo = bench_getaddrinfo},
    {"tcp/echo-64", .server = serve_echo},
    {"tcp/echo-16k", .server = serve_echo},
    {"tcp/pump", .server = serve_pump},
    {"tcp/connect", .server = serve_echo},
    {"tcp/writes", .server = serve_writes},
    {"tcp/idle", .server = serve_echo},
    {"unix/echo-64", .server = serve_echo},
    {"udp/echo-64", .server = serve_datagrams},
    {"udp/echo-1200", .server = serve_datagrams},
    {"http/keep-alive", .http = serve_hello},
    {"http/pipelined", .http = serve_hello},
    {"http/connect", .http = serve_hello},
    {"http/down-1k", .http = serve_sized, .size = 1 << 10},
    {"http/down-64k", .http = serve_sized, .size = 64 << 10},
    {"http/down-1m", .http = serve_sized, .size = 1 << 20},
    {"http/up-1k", .http = serve_sink, .size = 1 << 10},
    {"http/up-64k", .http = serve_sink, .size = 64 << 10},
    {"http/up-1m", .http = serve_sink, .size = 1 << 20},
    {"http/chunked", .http = serve_chunked, .size = 16},
    {"http/idle", .http = serve_hello},
    {"cluster/connect", .server = serve_cluster},
    {"cluster/evenness", .server = serve_named_cluster},
};

struct options {
    const char *bench;
    const char *path;
    uint64_t operations;
};

_Noreturn static void refuse(const char *what, const char *why) {
    fprintf(stderr, "peer-libuv: %s: %s\n", what, why);
    exit(EXIT_UNABLE);
}

static uint64_t parse_operations(const char *text) {
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number == 0 || text[0] == '-') {
        refuse(text, "not a number of operations");
    }
    return number;
}

// `--size` is the load's affair and ignored here.
static struct options parse_options(char **arguments) {
    struct options options = {.bench = arguments[0], .path = NULL, .operations = DEFAULT_OPERATIONS};
    for (char **option = arguments + 1; *option != NULL; option += 2) {
        if (option[1] == NULL) {
            refuse(*option, "no value");
        } else if (strcmp(*option, "--ops") == 0) {
            options.operations = parse_operations(option[1]);
        } else if (strcmp(*option, "--turn") == 0) {
            set_turn(parse_operations(option[1]));
        } else if (strcmp(*option, "--path") == 0) {
            options.path = option[1];
        } else if (strcmp(*option, "--size") != 0) {
            refuse(*option, "no such option");
        }
    }
    return options;
}

static void run(const struct bench *bench, const struct options *options) {
    bool is_unix = strncmp(bench->name, "unix/", strlen("unix/")) == 0;
    if (bench->solo != NULL) {
        bench->solo(options->operations);
    } else if (bench->http != NULL) {
        bench->http(bench->size);
    } else if (is_unix && options->path == NULL) {
        refuse(bench->name, "no --path");
    } else {
        bench->server(is_unix ? options->path : NULL);
    }
}

int main(int count, char **arguments) {
    // A closed connection is an error of its write, not the end of the program.
    signal(SIGPIPE, SIG_IGN);
    if (count < 2) {
        refuse("usage", "peer-libuv BENCH [--ops N] [--path P]");
    }
    arguments = uv_setup_args(count, arguments);
    if (strcmp(arguments[1], "version") == 0) {
        printf("{\"libuv\":\"%s\"}\n", uv_version_string());
        return EXIT_SUCCESS;
    }
    if (strcmp(arguments[1], WORKER_ARGUMENT) == 0 && count == 3) {
        cluster_worker(arguments[2]);
        return EXIT_SUCCESS;
    }
    struct options options = parse_options(arguments + 1);
    for (size_t index = 0; index < sizeof BENCHES / sizeof *BENCHES; index++) {
        if (strcmp(BENCHES[index].name, options.bench) == 0) {
            run(&BENCHES[index], &options);
            return EXIT_SUCCESS;
        }
    }
    refuse(options.bench, "libuv has no such thing");
}
