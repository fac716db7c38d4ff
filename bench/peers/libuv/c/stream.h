// A server's side of streams: where it listens, its connections, and what they send.

#ifndef STREAM_H
#define STREAM_H

#include "peer.h"

#include <stdbool.h>

// One connection; all that an idle one costs besides what the kernel keeps.
struct connection {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    };
    // For canned HTTP: bytes of a head's terminator that ended the last read, and whether a request was answered.
    unsigned char carry;
    bool answered;
    // For canned HTTP: bytes of a request's body that are still to come.
    size_t body_left;
    // Not read from until everything is sent.
    bool paused;
};

// What a server does with received bytes.
typedef void (*bytes_handler)(struct connection *connection, const char *bytes, size_t length);

// Listens, on TCP if `path` is NULL, says where, and runs the loop: with `on_bytes` for what is received, or with
// `on_connection` for what is accepted.
void serve(const char *path, bytes_handler on_bytes);
void listen_for(const char *path, uv_connection_cb on_connection);

// Accepts a connection from a listener or from a channel that passes TCP connections, and starts reading.
void take_connection(uv_stream_t *from, bytes_handler on_bytes);

// Sends bytes, at once if they can be sent at once; otherwise a copy of the rest is queued.
void send_bytes(struct connection *connection, const char *bytes, size_t length);

// The same for bytes that stay where they are: none is copied.
void send_lasting(struct connection *connection, const char *bytes, size_t length);

// Closes after what is queued.
void end_connection(struct connection *connection);

#endif
