// Connections: bytes are read into one buffer for all, written at once, and only what the kernel does not take is
// queued, copied unless it lasts.

#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    // Connections that may wait for `accept`.
    BACKLOG = 511,
    // Bytes asked for by one read.
    READ_BUFFER = 64 * 1024,
    // Queued bytes above which a connection is not read until they are sent.
    HIGH_WATER = 64 * 1024,
};

static char read_buffer[READ_BUFFER];
static bytes_handler handler;

// A write that could not be done at once, with its bytes if they do not last.
struct pending_write {
    uv_write_t request;
    char bytes[];
};

static void on_closed(uv_handle_t *handle) {
    free(handle);
}

static void close_connection(struct connection *connection) {
    if (!uv_is_closing(&connection->handle)) {
        uv_close(&connection->handle, on_closed);
    }
}

static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    *buffer = uv_buf_init(read_buffer, sizeof read_buffer);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    struct connection *connection = (struct connection *) stream;
    if (count > 0) {
        handler(connection, buffer->base, (size_t) count);
    } else if (count == UV_EOF) {
        end_connection(connection);
    } else if (count < 0) {
        // An error is the end of this connection only.
        close_connection(connection);
    }
}

static void on_written(uv_write_t *request, int status) {
    struct connection *connection = (struct connection *) request->handle;
    free(request);
    if (status < 0) {
        close_connection(connection);
        return;
    }
    bool is_drained = uv_stream_get_write_queue_size(&connection->stream) == 0;
    if (connection->paused && is_drained && !uv_is_closing(&connection->handle)) {
        connection->paused = false;
        must(uv_read_start(&connection->stream, lend_buffer, on_read), "uv_read_start");
    }
}

static void send_all(struct connection *connection, const char *bytes, size_t length, bool lasts) {
    if (uv_stream_get_write_queue_size(&connection->stream) == 0) {
        uv_buf_t whole = uv_buf_init((char *) bytes, (unsigned) length);
        int sent = uv_try_write(&connection->stream, &whole, 1);
        if (sent < 0 && sent != UV_EAGAIN) {
            close_connection(connection);
            return;
        }
        size_t done = sent < 0 ? 0 : (size_t) sent;
        bytes += done;
        length -= done;
    }
    if (length == 0) {
        return;
    }
    struct pending_write *write = must_allocate(sizeof *write + (lasts ? 0 : length));
    if (!lasts) {
        bytes = memcpy(write->bytes, bytes, length);
    }
    uv_buf_t rest = uv_buf_init((char *) bytes, (unsigned) length);
    if (uv_write(&write->request, &connection->stream, &rest, 1, on_written) < 0) {
        // Ended already.
        free(write);
        close_connection(connection);
        return;
    }
    if (uv_stream_get_write_queue_size(&connection->stream) > HIGH_WATER) {
        connection->paused = true;
        must(uv_read_stop(&connection->stream), "uv_read_stop");
    }
}

void send_bytes(struct connection *connection, const char *bytes, size_t length) {
    send_all(connection, bytes, length, false);
}

void send_lasting(struct connection *connection, const char *bytes, size_t length) {
    send_all(connection, bytes, length, true);
}

static void on_shutdown(uv_shutdown_t *request, int status) {
    close_connection((struct connection *) request->handle);
    free(request);
}

void end_connection(struct connection *connection) {
    if (uv_is_closing(&connection->handle)) {
        return;
    }
    if (uv_stream_get_write_queue_size(&connection->stream) == 0) {
        close_connection(connection);
        return;
    }
    uv_shutdown_t *request = must_allocate(sizeof *request);
    must(uv_shutdown(request, &connection->stream, on_shutdown), "uv_shutdown");
}

void take_connection(uv_stream_t *from, bytes_handler on_bytes) {
    struct connection *connection = must_allocate(sizeof *connection);
    bool is_unix = from->type == UV_NAMED_PIPE && !((uv_pipe_t *) from)->ipc;
    if (is_unix) {
        must(uv_pipe_init(from->loop, &connection->pipe, 0), "uv_pipe_init");
    } else {
        must(uv_tcp_init(from->loop, &connection->tcp), "uv_tcp_init");
    }
    handler = on_bytes;
    // The client may have closed already.
    if (uv_accept(from, &connection->stream) < 0 ||
        (!is_unix && uv_tcp_nodelay(&connection->tcp, 1) < 0) ||
        uv_read_start(&connection->stream, lend_buffer, on_read) < 0) {
        close_connection(connection);
    }
}

static void on_connection(uv_stream_t *listener, int status) {
    must(status, "accept");
    take_connection(listener, handler);
}

static uv_stream_t *bind_unix(uv_loop_t *loop, const char *path) {
    static uv_pipe_t listener;
    must(uv_pipe_init(loop, &listener, 0), "uv_pipe_init");
    must(uv_pipe_bind(&listener, path), path);
    return (uv_stream_t *) &listener;
}

static uv_stream_t *bind_tcp(uv_loop_t *loop) {
    static uv_tcp_t listener;
    struct sockaddr_in addr;
    must(uv_ip4_addr("127.0.0.1", 0, &addr), "uv_ip4_addr");
    must(uv_tcp_init(loop, &listener), "uv_tcp_init");
    must(uv_tcp_bind(&listener, (const struct sockaddr *) &addr, 0), "uv_tcp_bind");
    return (uv_stream_t *) &listener;
}

static void say_where(const uv_stream_t *listener, const char *path) {
    if (path != NULL) {
        printf("unix:%s\n", path);
    } else {
        struct sockaddr_in addr;
        int length = sizeof addr;
        must(uv_tcp_getsockname((const uv_tcp_t *) listener, (struct sockaddr *) &addr, &length), "uv_tcp_getsockname");
        printf("127.0.0.1:%d\n", ntohs(addr.sin_port));
    }
    fflush(stdout);
}

void listen_for(const char *path, uv_connection_cb on_connection) {
    uv_loop_t *loop = uv_default_loop();
    uv_stream_t *listener = path != NULL ? bind_unix(loop, path) : bind_tcp(loop);
    must(uv_listen(listener, BACKLOG, on_connection), "uv_listen");
    say_where(listener, path);
    must(uv_run(loop, UV_RUN_DEFAULT), "uv_run");
}

void serve(const char *path, bytes_handler on_bytes) {
    handler = on_bytes;
    listen_for(path, on_connection);
}
