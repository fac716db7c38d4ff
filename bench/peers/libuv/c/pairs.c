// libuv's `ping_pongs`, `tcp_pump1` and `pipe_pump1`, with both ends in one loop.

#include "stream.h"

#include <stdio.h>
#include <unistd.h>

enum {
    // Bytes that a pump writes at once.
    PUMPED = 8192,
    // Writes of a pump that may be under way: more than the kernel takes at once.
    PUMPS = 4096,
    // Bytes asked for by one read.
    READ_BUFFER = 64 * 1024,
};

static const char PING[] = "PING\n";
static const size_t PING_LENGTH = sizeof PING - 1;

static char read_buffer[READ_BUFFER];
static uint64_t to_start;
static uint64_t to_end;

static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    *buffer = uv_buf_init(read_buffer, sizeof read_buffer);
}

static void end_one(uv_loop_t *loop) {
    if (to_end > 0 && --to_end == 0) {
        uv_stop(loop);
    }
}

static void run_all(void) {
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    must(to_end == 0 ? 0 : UV_EINVAL, "an operation");
}

// The server's end.

static bytes_handler on_server_bytes;

static void accept_one(uv_stream_t *listener, int status) {
    must(status, "accept");
    take_connection(listener, on_server_bytes);
    uv_close((uv_handle_t *) listener, NULL);
}

static void drop_bytes(struct connection *connection, const char *bytes, size_t length) {
}

// The client's end.

static union {
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
} client;

static void on_connected(uv_connect_t *request, int status) {
    must(status, "connect");
    uv_stop(request->handle->loop);
}

// Connects the client to a server that does `handler` with what comes; over TCP, or over a Unix socket at `path`.
static void connect_pair(const char *path, bytes_handler handler, uv_read_cb on_read) {
    static uv_tcp_t tcp_listener;
    static uv_pipe_t pipe_listener;
    static uv_connect_t request;
    uv_loop_t *loop = uv_default_loop();
    on_server_bytes = handler;
    if (path != NULL) {
        must(uv_pipe_init(loop, &pipe_listener, 0), "uv_pipe_init");
        must(uv_pipe_bind(&pipe_listener, path), path);
        must(uv_listen((uv_stream_t *) &pipe_listener, 1, accept_one), "uv_listen");
        must(uv_pipe_init(loop, &client.pipe, 0), "uv_pipe_init");
        uv_pipe_connect(&request, &client.pipe, path, on_connected);
    } else {
        struct sockaddr_in addr;
        int length = sizeof addr;
        must(uv_ip4_addr("127.0.0.1", 0, &addr), "uv_ip4_addr");
        must(uv_tcp_init(loop, &tcp_listener), "uv_tcp_init");
        must(uv_tcp_bind(&tcp_listener, (const struct sockaddr *) &addr, 0), "uv_tcp_bind");
        must(uv_listen((uv_stream_t *) &tcp_listener, 1, accept_one), "uv_listen");
        must(uv_tcp_getsockname(&tcp_listener, (struct sockaddr *) &addr, &length), "uv_tcp_getsockname");
        must(uv_tcp_init(loop, &client.tcp), "uv_tcp_init");
        must(uv_tcp_connect(&request, &client.tcp, (const struct sockaddr *) &addr, on_connected), "uv_tcp_connect");
        must(uv_tcp_nodelay(&client.tcp, 1), "uv_tcp_nodelay");
    }
    must(uv_run(loop, UV_RUN_DEFAULT) >= 0 ? 0 : UV_EINVAL, "uv_run");
    must(uv_read_start(&client.stream, lend_buffer, on_read), "uv_read_start");
}

static void ping(void) {
    to_start--;
    uv_buf_t buffer = uv_buf_init((char *) PING, PING_LENGTH);
    int sent = uv_try_write(&client.stream, &buffer, 1);
    must(sent == (int) PING_LENGTH ? 0 : UV_EAGAIN, "uv_try_write");
}

static void on_pong(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    static size_t came;
    must(count < 0 ? (int) count : 0, "the answer");
    for (came += (size_t) count; came >= PING_LENGTH; came -= PING_LENGTH) {
        end_one(stream->loop);
        if (to_start > 0) {
            ping();
        }
    }
}

static void ping_through(uint64_t operations) {
    to_start = to_end = operations;
    ping();
    run_all();
}

void bench_ping_pongs(uint64_t operations) {
    connect_pair(NULL, send_bytes, on_pong);
    ping_through(warm_up(operations));
    measure_begin();
    ping_through(operations);
    measure_end(operations);
}

static void drop_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
}

// Requests that are under way, one after the other.
static uv_write_t pumps[PUMPS];

static void pump(void);

static void on_pumped(uv_write_t *request, int status) {
    must(status, "uv_write");
    end_one(request->handle->loop);
    pump();
}

// Writes until the kernel takes no more.
static void pump(void) {
    static char bytes[PUMPED];
    static size_t next;
    while (to_start > 0 && to_end - to_start < PUMPS && uv_stream_get_write_queue_size(&client.stream) == 0) {
        to_start--;
        uv_buf_t buffer = uv_buf_init(bytes, sizeof bytes);
        must(uv_write(&pumps[next], &client.stream, &buffer, 1, on_pumped), "uv_write");
        next = (next + 1) % PUMPS;
    }
}

static void pump_through(uint64_t operations) {
    to_start = to_end = operations;
    pump();
    run_all();
}

static void measure_pump(const char *path, uint64_t operations) {
    connect_pair(path, drop_bytes, drop_read);
    pump_through(warm_up(operations));
    measure_begin();
    pump_through(operations);
    measure_end(operations);
}

void bench_tcp_pump(uint64_t operations) {
    measure_pump(NULL, operations);
}

void bench_pipe_pump(uint64_t operations) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/upcall-peer-pump-%d", (int) getpid());
    measure_pump(path, operations);
    unlink(path);
}
