// libuv's `tcp4_pound_100` and `tcp_multi_accept2`: connections that are made, used once or not at all, and closed.

#include "peer.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    // Clients of the pound at a time.
    POUNDERS = 100,
    // Threads that accept from one listener, and the clients at a time.
    ACCEPTORS = 2,
    ACCEPTED = 40,
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
// Whether a client says something.
static int greets;

static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    *buffer = uv_buf_init(read_buffer, sizeof read_buffer);
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
    if (greets) {
        uv_buf_t buffer = uv_buf_init((char *) PING, PING_LENGTH);
        int sent = uv_try_write(request->handle, &buffer, 1);
        must(sent == (int) PING_LENGTH ? 0 : UV_EAGAIN, "uv_try_write");
    }
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

static void pound_through(int at_a_time, uint64_t operations) {
    to_start = to_end = operations;
    for (int number = 0; number < at_a_time && to_start > 0; number++) {
        start_pounder(must_allocate(sizeof(struct pounder)));
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    must(to_end == 0 ? 0 : UV_EINVAL, "a connection");
}

static void measure_pound(int at_a_time, uint64_t operations) {
    pound_through(at_a_time, warm_up(operations));
    measure_begin();
    pound_through(at_a_time, operations);
    measure_end(operations);
}

static void bind_listener(uv_tcp_t *listener) {
    int length = sizeof pounded;
    must(uv_ip4_addr("127.0.0.1", 0, &pounded), "uv_ip4_addr");
    must(uv_tcp_init(uv_default_loop(), listener), "uv_tcp_init");
    must(uv_tcp_bind(listener, (const struct sockaddr *) &pounded, 0), "uv_tcp_bind");
    must(uv_tcp_getsockname(listener, (struct sockaddr *) &pounded, &length), "uv_tcp_getsockname");
}

void bench_tcp4_pound(uint64_t operations) {
    static uv_tcp_t listener;
    bind_listener(&listener);
    must(uv_listen((uv_stream_t *) &listener, BACKLOG, accept_pounder), "uv_listen");
    greets = 1;
    measure_pound(POUNDERS, operations);
}

// A thread that accepts and closes at once, until the program ends.
struct acceptor {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_thread_t thread;
};

static void accept_and_close(uv_stream_t *listener, int status) {
    must(status, "accept");
    uv_tcp_t *connection = must_allocate(sizeof *connection);
    must(uv_tcp_init(listener->loop, connection), "uv_tcp_init");
    must(uv_accept(listener, (uv_stream_t *) connection), "uv_accept");
    uv_close((uv_handle_t *) connection, on_pounded_closed);
}

static void run_acceptor(void *argument) {
    struct acceptor *acceptor = argument;
    must(uv_run(&acceptor->loop, UV_RUN_DEFAULT), "uv_run");
}

void bench_tcp_multi_accept(uint64_t operations) {
    static uv_tcp_t listener;
    static struct acceptor acceptors[ACCEPTORS];
    uv_os_fd_t fd;
    bind_listener(&listener);
    must(uv_fileno((uv_handle_t *) &listener, &fd), "uv_fileno");
    for (int index = 0; index < ACCEPTORS; index++) {
        struct acceptor *acceptor = &acceptors[index];
        int copy = dup(fd);
        must(copy < 0 ? UV_EMFILE : 0, "dup");
        must(uv_loop_init(&acceptor->loop), "uv_loop_init");
        must(uv_tcp_init(&acceptor->loop, &acceptor->listener), "uv_tcp_init");
        must(uv_tcp_open(&acceptor->listener, copy), "uv_tcp_open");
        must(uv_listen((uv_stream_t *) &acceptor->listener, BACKLOG, accept_and_close), "uv_listen");
        must(uv_thread_create(&acceptor->thread, run_acceptor, acceptor), "uv_thread_create");
    }
    measure_pound(ACCEPTED, operations);
}
