// What the files of the peer share: the benchmarks, the clock, and how a failure ends the program.

#ifndef PEER_H
#define PEER_H

#include <stdint.h>
#include <uv.h>

// Messages, work items and answers that are under way at once.
enum { IN_FLIGHT = 64 };

// measure.c: what is measured lies between `measure_begin` and `measure_end`, which prints it.
void measure_begin(void);
void measure_end(uint64_t operations);

// The same in turns: the program waits for a line of input before each, and prints what each costs. Unless it is told
// of turns there is one, for which nobody has to say a word.
void set_turn(uint64_t operations);
void turns_begin(uint64_t operations);
void turns_did_one(void);
void turns_end(void);

// Ends the program if a call to libuv has failed; `what` names the call.
void must(int status, const char *what);
void *must_allocate(size_t size);

// Operations that come before `operations` measured ones.
uint64_t warm_up(uint64_t operations);

// timers.c
void bench_ticks(uint64_t operations);
void bench_timer_churn(uint64_t operations);
void bench_timer_fire(uint64_t operations);
void bench_million_timers(uint64_t operations);

// threads.c
void bench_wakeup(uint64_t operations);
void bench_post(uint64_t operations);
void bench_work(uint64_t operations);
void bench_queue_work(uint64_t operations);
void bench_getaddrinfo(uint64_t operations);

// pummel.c
void bench_async_pummel(uint64_t operations);
void bench_million_async(uint64_t operations);

// datagrams.c
void bench_ping_udp(uint64_t operations);
void bench_udp_pummel_1v1(uint64_t operations);
void bench_udp_pummel_10v10(uint64_t operations);

// echo_datagrams.c, over UDP.
void serve_datagrams(const char *unused);

// pairs.c
void bench_ping_pongs(uint64_t operations);
void bench_tcp_pump(uint64_t operations);
void bench_pipe_pump(uint64_t operations);

// pound.c
void bench_tcp4_pound(uint64_t operations);
void bench_tcp_multi_accept(uint64_t operations);

// process.c
void bench_spawn(uint64_t operations);
void bench_spawn_and_read(uint64_t operations);

// http.c, over TCP: `hello`; answers of so many bytes, or of so many chunks; requests with so many bytes of body.
void serve_hello(size_t unused);
void serve_sized(size_t size);
void serve_chunked(size_t chunks);
void serve_sink(size_t size);

// servers.c, cluster.c: they listen, say where, and serve until a signal ends the program. `path` is that of a
// Unix socket, or NULL for TCP.
void serve_echo(const char *path);
void serve_pump(const char *path);
void serve_writes(const char *path);
void serve_cluster(const char *path);
void serve_named_cluster(const char *path);

// The command line `WORKER_ARGUMENT FIELD` makes this program a worker of the cluster, whose answers have that field.
#define WORKER_ARGUMENT "cluster-worker"
void cluster_worker(const char *field);

#endif
