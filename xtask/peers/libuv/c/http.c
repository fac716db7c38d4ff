// Canned HTTP: no parser; the ends of request heads are counted and answered with that many replies in one write.

#include "http.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    // Replies that lie ready one after another.
    BATCH = 64,
    // No reply is longer.
    REPLY = 256,
    // How often the date is renewed, in milliseconds.
    DATE_PERIOD = 1000,
};

// What ends a request head.
static const char TERMINATOR[] = "\r\n\r\n";
static const size_t TERMINATOR_LENGTH = sizeof TERMINATOR - 1;

// What a client sends that wants one answer only.
static const char CLOSE[] = "Connection: close";

static char replies[BATCH * REPLY];
static size_t reply_length;
static const char *extra_field;
static char last_reply[REPLY];
static size_t last_reply_length;

static size_t make_reply(char *reply, const char *date, const char *connection) {
    return (size_t) snprintf(reply, REPLY,
                             "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: %s\r\n"
                             "%sConnection: %s\r\nContent-Length: 5\r\n\r\nhello",
                             date, extra_field, connection);
}

static void make_replies(uv_timer_t *timer) {
    char date[64];
    struct tm utc;
    time_t now = time(NULL);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &utc));
    reply_length = make_reply(replies, date, "keep-alive\r\nKeep-Alive: timeout=65");
    for (size_t number = 1; number < BATCH; number++) {
        memcpy(replies + number * reply_length, replies, reply_length);
    }
    last_reply_length = make_reply(last_reply, date, "close");
}

void canned_start(uv_loop_t *loop, const char *field) {
    static uv_timer_t timer;
    extra_field = field;
    make_replies(&timer);
    must(uv_timer_init(loop, &timer), "uv_timer_init");
    must(uv_timer_start(&timer, make_replies, DATE_PERIOD, DATE_PERIOD), "uv_timer_start");
    uv_unref((uv_handle_t *) &timer);
}

// Goes on in a terminator that ended the last read. Returns how many bytes that took.
static size_t finish_terminator(unsigned char *carry, const char *bytes, size_t length, size_t *heads) {
    size_t at = 0;
    while (*carry > 0 && at < length) {
        char byte = bytes[at++];
        if (byte != TERMINATOR[*carry]) {
            *carry = byte == TERMINATOR[0];
        } else if (++*carry == TERMINATOR_LENGTH) {
            *carry = 0;
            ++*heads;
        }
    }
    return at;
}

// Request heads that end in `bytes`.
static size_t count_heads(unsigned char *carry, const char *bytes, size_t length) {
    size_t heads = 0;
    size_t at = finish_terminator(carry, bytes, length, &heads);
    const char *end = bytes + length;
    const char *rest = bytes + at;
    const char *found;
    while ((found = memmem(rest, (size_t) (end - rest), TERMINATOR, TERMINATOR_LENGTH)) != NULL) {
        heads++;
        rest = found + TERMINATOR_LENGTH;
    }
    for (size_t begun = TERMINATOR_LENGTH - 1; begun > 0; begun--) {
        if ((size_t) (end - rest) >= begun && memcmp(end - begun, TERMINATOR, begun) == 0) {
            *carry = (unsigned char) begun;
            break;
        }
    }
    return heads;
}

void canned_answer(struct connection *connection, const char *bytes, size_t length) {
    size_t heads = count_heads(&connection->carry, bytes, length);
    if (heads == 0) {
        return;
    }
    if (!connection->answered) {
        connection->answered = true;
        if (memmem(bytes, length, CLOSE, sizeof CLOSE - 1) != NULL) {
            send_bytes(connection, last_reply, last_reply_length);
            end_connection(connection);
            return;
        }
    }
    while (heads > 0) {
        size_t now = heads < BATCH ? heads : BATCH;
        send_bytes(connection, replies, now * reply_length);
        heads -= now;
    }
}

void serve_canned_http(const char *path) {
    canned_start(uv_default_loop(), "");
    serve(path, canned_answer);
}
