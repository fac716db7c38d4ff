// Servers of bytes: echo, pump, and many small writes.

#include "stream.h"

#include <string.h>

enum {
    // Answers to one byte, and the bytes of each.
    WRITES = 16,
    WRITE = 64,
};

void serve_echo(const char *path) {
    serve(path, send_bytes);
}

static void drop_bytes(struct connection *connection, const char *bytes, size_t length) {
}

void serve_pump(const char *path) {
    serve(path, drop_bytes);
}

static void answer_bytes(struct connection *connection, const char *bytes, size_t length) {
    char answer[WRITE];
    memset(answer, 'w', sizeof answer);
    for (size_t request = 0; request < length; request++) {
        for (int number = 0; number < WRITES; number++) {
            send_bytes(connection, answer, sizeof answer);
        }
    }
}

void serve_writes(const char *path) {
    serve(path, answer_bytes);
}
