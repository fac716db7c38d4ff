// libuv's `ping_pongs`, `tcp_pump1`, `pipe_pump1` and `tcp4_pound_100`, with both ends in one loop.

#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    // Bytes that a pump writes at once.
    PUMPED = 8192,
    // Writes of a pump that may be under way: more than the kernel takes at once.
    PUMPS = 4096,
    // Clients of the pound at a time.
    POUNDERS = 100,
    // Connections that may wait for `accept`.
    BACKLOG = 511,
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

// A client of the pound.
struct pounder {
    uv_tcp_t tcp;
    uv_connect_t connect;
};

static struct sockaddr_in pounded;

static void start_pounder(struct pounder *pounder);

static void on_pounder_closed(uv_handle_t *handle) {
    free(handle);
}

static void on_pounder_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    if (count >= 0) {
        return;
    }
    must(count == UV_EOF ? 0 : (int) count, "the answer");
    uv_close((uv_handle_t *) stream, on_pounder_closed);
    to_end--;
    if (to_start > 0) {
        start_pounder(must_allocate(sizeof(struct pounder)));
    } else if (to_end == 0) {
        uv_stop(stream->loop);
    }
}

static void on_pounder_connected(uv_connect_t *request, int status) {
    must(status, "connect");
    uv_buf_t buffer = uv_buf_init((char *) PING, PING_LENGTH);
    int sent = uv_try_write(request->handle, &buffer, 1);
    must(sent == (int) PING_LENGTH ? 0 : UV_EAGAIN, "uv_try_write");
    must(uv_read_start(request->handle, lend_buffer, on_pounder_read), "uv_read_start");
}

static void start_pounder(struct pounder *pounder) {
    to_start--;
    must(uv_tcp_init(uv_default_loop(), &pounder->tcp), "uv_tcp_init");
    must(uv_tcp_connect(&pounder->connect, &pounder->tcp, (const struct sockaddr *) &pounded, on_pounder_connected),
         "uv_tcp_connect");
}

// A connection of the server.
struct pounded_end {
    uv_tcp_t tcp;
    uv_shutdown_t shutdown;
};

static void on_pounded_closed(uv_handle_t *handle) {
    free(handle);
}

static void on_pounded_shutdown(uv_shutdown_t *request, int status) {
}

static void on_pounded_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    if (count < 0) {
        uv_close((uv_handle_t *) stream, on_pounded_closed);
        return;
    }
    if (count == 0) {
        return;
    }
    struct pounded_end *end = (struct pounded_end *) stream;
    uv_buf_t answer = uv_buf_init(buffer->base, (unsigned) count);
    must(uv_try_write(stream, &answer, 1) == count ? 0 : UV_EAGAIN, "uv_try_write");
    must(uv_shutdown(&end->shutdown, stream, on_pounded_shutdown), "uv_shutdown");
}

static void accept_pounder(uv_stream_t *listener, int status) {
    must(status, "accept");
    struct pounded_end *end = must_allocate(sizeof *end);
    must(uv_tcp_init(listener->loop, &end->tcp), "uv_tcp_init");
    must(uv_accept(listener, (uv_stream_t *) &end->tcp), "uv_accept");
    must(uv_read_start((uv_stream_t *) &end->tcp, lend_buffer, on_pounded_read), "uv_read_start");
}

static void pound_through(uint64_t operations) {
    to_start = to_end = operations;
    for (int number = 0; number < POUNDERS && to_start > 0; number++) {
        start_pounder(must_allocate(sizeof(struct pounder)));
    }
    run_all();
}

void bench_tcp4_pound(uint64_t operations) {
    static uv_tcp_t listener;
    int length = sizeof pounded;
    must(uv_ip4_addr("127.0.0.1", 0, &pounded), "uv_ip4_addr");
    must(uv_tcp_init(uv_default_loop(), &listener), "uv_tcp_init");
    must(uv_tcp_bind(&listener, (const struct sockaddr *) &pounded, 0), "uv_tcp_bind");
    must(uv_listen((uv_stream_t *) &listener, BACKLOG, accept_pounder), "uv_listen");
    must(uv_tcp_getsockname(&listener, (struct sockaddr *) &pounded, &length), "uv_tcp_getsockname");
    pound_through(warm_up(operations));
    measure_begin();
    pound_through(operations);
    measure_end(operations);
}
