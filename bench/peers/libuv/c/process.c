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
