// Child processes, one at a time.

#include "peer.h"

static uint64_t remaining;

static void start_child(uv_process_t *process);

static void on_close(uv_handle_t *handle) {
    if (--remaining > 0) {
        start_child((uv_process_t *) handle);
    }
}

static void on_exit_of_child(uv_process_t *process, int64_t status, int signal) {
    must(status == 0 && signal == 0 ? 0 : UV_EINVAL, "/bin/true");
    uv_close((uv_handle_t *) process, on_close);
}

static void start_child(uv_process_t *process) {
    char *arguments[] = {"/bin/true", NULL};
    uv_stdio_container_t stdio[3];
    for (int fd = 0; fd < 3; fd++) {
        stdio[fd] = (uv_stdio_container_t) {.flags = UV_INHERIT_FD, .data.fd = fd};
    }
    uv_process_options_t options = {
        .file = arguments[0],
        .args = arguments,
        .exit_cb = on_exit_of_child,
        .stdio = stdio,
        .stdio_count = 3,
    };
    must(uv_spawn(uv_default_loop(), process, &options), "uv_spawn");
}

static void spawn(uint64_t operations) {
    uv_process_t process;
    remaining = operations;
    start_child(&process);
    must(uv_run(uv_default_loop(), UV_RUN_DEFAULT), "uv_run");
}

void bench_spawn(uint64_t operations) {
    spawn(warm_up(operations));
    measure_begin();
    spawn(operations);
    measure_end(operations);
}

// A child whose output is read: both ends come before the next child.
static struct {
    uv_process_t process;
    uv_pipe_t output;
    int ends;
    uint64_t heard;
} pipeline;

static char output[64];

static void start_saying_child(void);

static void on_pipeline_closed(uv_handle_t *handle) {
    if (++pipeline.ends == 2) {
        pipeline.ends = 0;
        if (--remaining > 0) {
            start_saying_child();
        }
    }
}

static void on_exit_of_saying_child(uv_process_t *process, int64_t status, int signal) {
    must(status == 0 && signal == 0 ? 0 : UV_EINVAL, "/bin/echo");
    uv_close((uv_handle_t *) process, on_pipeline_closed);
}

static void lend_output(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    *buffer = uv_buf_init(output, sizeof output);
}

static void on_output(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    if (count >= 0) {
        pipeline.heard += (uint64_t) count;
        return;
    }
    must(count == UV_EOF ? 0 : (int) count, "the output of /bin/echo");
    uv_close((uv_handle_t *) stream, on_pipeline_closed);
}

static void start_saying_child(void) {
    char *arguments[] = {"/bin/echo", "hello world", NULL};
    must(uv_pipe_init(uv_default_loop(), &pipeline.output, 0), "uv_pipe_init");
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *) &pipeline.output},
    };
    uv_process_options_t options = {
        .file = arguments[0],
        .args = arguments,
        .exit_cb = on_exit_of_saying_child,
        .stdio = stdio,
        .stdio_count = 2,
    };
    must(uv_spawn(uv_default_loop(), &pipeline.process, &options), "uv_spawn");
    must(uv_read_start((uv_stream_t *) &pipeline.output, lend_output, on_output), "uv_read_start");
}

static void spawn_and_read(uint64_t operations) {
    remaining = operations;
    pipeline.heard = 0;
    start_saying_child();
    must(uv_run(uv_default_loop(), UV_RUN_DEFAULT), "uv_run");
    must(pipeline.heard == operations * sizeof "hello world" ? 0 : UV_EINVAL, "the output of /bin/echo");
}

void bench_spawn_and_read(uint64_t operations) {
    spawn_and_read(warm_up(operations));
    measure_begin();
    spawn_and_read(operations);
    measure_end(operations);
}
