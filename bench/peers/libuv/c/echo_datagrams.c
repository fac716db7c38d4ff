// Datagrams that are sent back: what one call has received leaves by one call.

#include "peer.h"

#include <stdio.h>
#include <string.h>

enum {
    // The most that libuv receives in one call.
    BATCH = 20,
    // Bytes that a datagram may have.
    LARGEST = 64 * 1024,
};

static char room[BATCH * LARGEST];

// The answers to one batch.
static uv_buf_t answers[BATCH];
static struct sockaddr_in addrs[BATCH];
static unsigned count;

static void lend_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    *buffer = uv_buf_init(room, sizeof room);
}

static void answer(uv_udp_t *socket) {
    uv_buf_t *buffers[BATCH];
    unsigned parts[BATCH];
    struct sockaddr *to[BATCH];
    for (unsigned index = 0; index < count; index++) {
        buffers[index] = &answers[index];
        parts[index] = 1;
        to[index] = (struct sockaddr *) &addrs[index];
    }
    unsigned first = 0;
    while (first < count) {
        int sent = uv_udp_try_send2(socket, count - first, buffers + first, parts + first, to + first, 0);
        // The client misses what cannot be sent.
        first += sent > 0 ? (unsigned) sent : 1;
    }
    count = 0;
}

static void on_question(uv_udp_t *socket, ssize_t length, const uv_buf_t *buffer, const struct sockaddr *from,
                        unsigned flags) {
    must(length < 0 ? (int) length : 0, "receive");
    if (from != NULL) {
        answers[count] = uv_buf_init(buffer->base, (unsigned) length);
        memcpy(&addrs[count], from, sizeof addrs[count]);
        count++;
    }
    // Otherwise others of the batch follow.
    if (!(flags & UV_UDP_MMSG_CHUNK) && count > 0) {
        answer(socket);
    }
}

void serve_datagrams(const char *unused) {
    static uv_udp_t socket;
    struct sockaddr_in addr;
    int length = sizeof addr;
    must(uv_ip4_addr("127.0.0.1", 0, &addr), "uv_ip4_addr");
    must(uv_udp_init_ex(uv_default_loop(), &socket, AF_INET | UV_UDP_RECVMMSG), "uv_udp_init_ex");
    must(uv_udp_bind(&socket, (const struct sockaddr *) &addr, 0), "uv_udp_bind");
    must(uv_udp_getsockname(&socket, (struct sockaddr *) &addr, &length), "uv_udp_getsockname");
    must(uv_udp_recv_start(&socket, lend_room, on_question), "uv_udp_recv_start");
    printf("127.0.0.1:%d\n", ntohs(addr.sin_port));
    fflush(stdout);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
