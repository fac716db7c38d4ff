// libuv's `ping_udp1` and `udp_pummel_...`: datagrams from one loop to itself.

#include "peer.h"

#include <string.h>

enum {
    // Senders of a pummel, and as many receivers, at most.
    PAIRS = 10,
    // Buffers of a datagram of a pummel.
    BUFFERS = 5,
    // Bytes that a datagram may have.
    LARGEST = 64 * 1024,
};

static char received[LARGEST];
static uint64_t to_send;
static uint64_t to_end;
static uint64_t received_count;

static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    *buffer = uv_buf_init(received, sizeof received);
}

static void run_all(void) {
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    must(to_end == 0 ? 0 : UV_EINVAL, "a datagram");
}

// A socket of this machine, and its address.
static void bind_socket(uv_udp_t *socket, struct sockaddr_in *addr) {
    int length = sizeof *addr;
    must(uv_ip4_addr("127.0.0.1", 0, addr), "uv_ip4_addr");
    must(uv_udp_init(uv_default_loop(), socket), "uv_udp_init");
    must(uv_udp_bind(socket, (const struct sockaddr *) addr, 0), "uv_udp_bind");
    must(uv_udp_getsockname(socket, (struct sockaddr *) addr, &length), "uv_udp_getsockname");
}

static struct sockaddr_in echo_addr;

static void send_now(uv_udp_t *socket, char *bytes, size_t length, const struct sockaddr *to) {
    uv_buf_t buffer = uv_buf_init(bytes, (unsigned) length);
    must(uv_udp_try_send(socket, &buffer, 1, to), "uv_udp_try_send");
}

static void on_echo(uv_udp_t *socket, ssize_t count, const uv_buf_t *buffer, const struct sockaddr *from,
                    unsigned flags) {
    must(count < 0 ? (int) count : 0, "receive");
    if (from != NULL) {
        send_now(socket, buffer->base, (size_t) count, from);
    }
}

static void ping(uv_udp_t *client) {
    static char bytes[] = {'P', 'I', 'N', 'G'};
    send_now(client, bytes, sizeof bytes, (const struct sockaddr *) &echo_addr);
}

static void on_pong(uv_udp_t *client, ssize_t count, const uv_buf_t *buffer, const struct sockaddr *from,
                    unsigned flags) {
    must(count < 0 ? (int) count : 0, "receive");
    if (from == NULL || to_end == 0) {
        return;
    }
    if (--to_end == 0) {
        uv_stop(client->loop);
    } else {
        ping(client);
    }
}

static void ping_through(uv_udp_t *client, uint64_t operations) {
    to_end = operations;
    ping(client);
    run_all();
}

void bench_ping_udp(uint64_t operations) {
    static uv_udp_t server;
    static uv_udp_t client;
    struct sockaddr_in unused;
    bind_socket(&server, &echo_addr);
    bind_socket(&client, &unused);
    must(uv_udp_recv_start(&server, lend_buffer, on_echo), "uv_udp_recv_start");
    must(uv_udp_recv_start(&client, lend_buffer, on_pong), "uv_udp_recv_start");
    ping_through(&client, warm_up(operations));
    measure_begin();
    ping_through(&client, operations);
    measure_end(operations);
}

// A sender with its receiver.
struct pair {
    uv_udp_t sender;
    uv_udp_send_t request;
    uv_udp_t receiver;
    struct sockaddr_in addr;
};

static struct pair pairs[PAIRS];

static void send_one(struct pair *pair);

static void on_sent(uv_udp_send_t *request, int status) {
    must(status, "uv_udp_send");
    if (--to_end == 0) {
        uv_stop(request->handle->loop);
    } else {
        send_one(request->data);
    }
}

static void send_one(struct pair *pair) {
    static char *const PARTS[BUFFERS] = {"RANG TANG ", "DING DONG ", "I AM A ", "JAPANESE ", "ROBOT"};
    if (to_send == 0) {
        return;
    }
    to_send--;
    uv_buf_t buffers[BUFFERS];
    for (int index = 0; index < BUFFERS; index++) {
        buffers[index] = uv_buf_init(PARTS[index], (unsigned) strlen(PARTS[index]));
    }
    pair->request.data = pair;
    must(uv_udp_send(&pair->request, &pair->sender, buffers, BUFFERS, (const struct sockaddr *) &pair->addr, on_sent),
         "uv_udp_send");
}

static void on_datagram(uv_udp_t *socket, ssize_t count, const uv_buf_t *buffer, const struct sockaddr *from,
                        unsigned flags) {
    must(count < 0 ? (int) count : 0, "receive");
    received_count += from != NULL;
}

static void pummel_through(int count, uint64_t operations) {
    to_send = to_end = operations;
    for (int index = 0; index < count; index++) {
        send_one(&pairs[index]);
    }
    run_all();
}

static void measure_pummel(int count, uint64_t operations) {
    for (int index = 0; index < count; index++) {
        struct pair *pair = &pairs[index];
        bind_socket(&pair->receiver, &pair->addr);
        must(uv_udp_recv_start(&pair->receiver, lend_buffer, on_datagram), "uv_udp_recv_start");
        must(uv_udp_init(uv_default_loop(), &pair->sender), "uv_udp_init");
    }
    pummel_through(count, warm_up(operations));
    measure_begin();
    pummel_through(count, operations);
    measure_end(operations);
    must(received_count > 0 ? 0 : UV_EINVAL, "no datagram came");
}

void bench_udp_pummel_1v1(uint64_t operations) {
    measure_pummel(1, operations);
}

void bench_udp_pummel_10v10(uint64_t operations) {
    measure_pummel(PAIRS, operations);
}
