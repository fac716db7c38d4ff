// A primary that accepts connections and passes them, in turn, to two workers by uv_write2; the workers answer canned
// HTTP. A worker is this program again, with its channel as standard input; the channel's end ends it.

#include "http.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    WORKERS = 2,
    // Longer paths of this program are not expected.
    PATH_LENGTH = 4096,
};

static uv_pipe_t channels[WORKERS];

// A connection on its way to a worker.
struct passage {
    uv_tcp_t tcp;
    uv_write_t request;
};

static void on_passage_closed(uv_handle_t *handle) {
    free(handle);
}

static void on_passed(uv_write_t *request, int status) {
    must(status, "a worker's channel");
    uv_close((uv_handle_t *) request->data, on_passage_closed);
}

static void pass_connection(uv_stream_t *listener, int status) {
    static size_t turn;
    must(status, "accept");
    struct passage *passage = must_allocate(sizeof *passage);
    must(uv_tcp_init(listener->loop, &passage->tcp), "uv_tcp_init");
    if (uv_accept(listener, (uv_stream_t *) &passage->tcp) < 0) {
        uv_close((uv_handle_t *) &passage->tcp, on_passage_closed);
        return;
    }
    uv_buf_t payload = uv_buf_init("c", 1);
    passage->request.data = passage;
    must(uv_write2(&passage->request, (uv_stream_t *) &channels[turn], &payload, 1, (uv_stream_t *) &passage->tcp,
                   on_passed),
         "uv_write2");
    turn = (turn + 1) % WORKERS;
}

static void on_worker_exit(uv_process_t *process, int64_t status, int signal) {
    must(UV_EOF, "a worker");
}

static void start_worker(uv_process_t *process, uv_pipe_t *channel, char *field) {
    char path[PATH_LENGTH];
    size_t length = sizeof path;
    must(uv_exepath(path, &length), "uv_exepath");
    must(uv_pipe_init(uv_default_loop(), channel, 1), "uv_pipe_init");
    uv_stdio_container_t stdio[] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *) channel},
        {.flags = UV_INHERIT_FD, .data.fd = 1},
        {.flags = UV_INHERIT_FD, .data.fd = 2},
    };
    char *arguments[] = {path, WORKER_ARGUMENT, field, NULL};
    uv_process_options_t options = {
        .file = path,
        .args = arguments,
        .exit_cb = on_worker_exit,
        .stdio = stdio,
        .stdio_count = 3,
    };
    must(uv_spawn(uv_default_loop(), process, &options), "uv_spawn");
}

static void start_and_pass(const char *path, bool is_named) {
    static uv_process_t processes[WORKERS];
    for (int worker = 0; worker < WORKERS; worker++) {
        char field[32] = "";
        if (is_named) {
            snprintf(field, sizeof field, "Worker: %d\r\n", worker + 1);
        }
        start_worker(&processes[worker], &channels[worker], field);
    }
    listen_for(path, pass_connection);
}

void serve_cluster(const char *path) {
    start_and_pass(path, false);
}

void serve_named_cluster(const char *path) {
    start_and_pass(path, true);
}

static void lend_payload(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    static char payload[64];
    *buffer = uv_buf_init(payload, sizeof payload);
}

static void on_passages(uv_stream_t *channel, ssize_t count, const uv_buf_t *buffer) {
    if (count < 0) {
        // The primary has ended.
        exit(EXIT_SUCCESS);
    }
    while (uv_pipe_pending_count((uv_pipe_t *) channel) > 0) {
        take_connection(channel, canned_answer);
    }
}

void cluster_worker(const char *field) {
    uv_loop_t *loop = uv_default_loop();
    static uv_pipe_t channel;
    canned_start(loop, field);
    must(uv_pipe_init(loop, &channel, 1), "uv_pipe_init");
    must(uv_pipe_open(&channel, 0), "the channel");
    must(uv_read_start((uv_stream_t *) &channel, lend_payload, on_passages), "uv_read_start");
    must(uv_run(loop, UV_RUN_DEFAULT), "uv_run");
}
