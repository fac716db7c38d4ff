// Canned HTTP: no parser. The ends of request heads, or of bodies of a known length, are counted, and answered with
// that many replies in one write.

#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    // Bytes of replies that lie ready one after another; at least one reply.
    READY = 16 * 1024,
    // No reply has a longer head.
    HEAD = 256,
    // How often the date is renewed, in milliseconds.
    DATE_PERIOD = 1000,
    // Bytes of a date and its zero.
    DATE = sizeof "Sat, 01 Jan 2000 00:00:00 GMT",
    // Chunks of `/stream/N` and their bytes; the i-th, from 0, is all `a` + i mod 26.
    CHUNK = 1024,
    LETTERS = 26,
    // Bytes around a chunk: its length in hexadecimal digits and two line ends.
    CHUNK_FRAME = sizeof "400\r\n\r\n" - 1,
};

// What ends a request head.
static const char TERMINATOR[] = "\r\n\r\n";
static const size_t TERMINATOR_LENGTH = sizeof TERMINATOR - 1;

// What a client sends that wants one answer only.
static const char CLOSE[] = "Connection: close";

static const char HELLO[] = "hello";

// Replies of one length, one after another.
struct replies {
    char *bytes;
    size_t length;
    size_t count;
};

static struct replies kept;
static struct replies last;

// Bytes of each request's body.
static size_t upload_length;

static void renew_date(struct replies *replies, const char *date) {
    for (size_t number = 0; number < replies->count; number++) {
        char *reply = replies->bytes + number * replies->length;
        memcpy(memmem(reply, HEAD, "Date: ", 6) + 6, date, DATE - 1);
    }
}

// In place: a reply that is being sent has the old date, or the new one.
static void renew_dates(uv_timer_t *timer) {
    char date[DATE];
    struct tm utc;
    time_t now = time(NULL);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &utc));
    renew_date(&kept, date);
    renew_date(&last, date);
}

static struct replies make_replies(size_t room, const char *fields, const char *body, size_t body_length) {
    char head[HEAD];
    size_t head_length = (size_t) snprintf(head, sizeof head,
                                           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                                           "Date: Sat, 01 Jan 2000 00:00:00 GMT\r\n%s\r\n\r\n",
                                           fields);
    struct replies replies = {.length = head_length + body_length};
    replies.count = room > replies.length ? room / replies.length : 1;
    replies.bytes = must_allocate(replies.count * replies.length);
    for (size_t number = 0; number < replies.count; number++) {
        char *reply = replies.bytes + number * replies.length;
        memcpy(reply, head, head_length);
        memcpy(reply + head_length, body, body_length);
    }
    return replies;
}

// Has the replies made now; `framing` is the field that says how long the body is, `field` one more with its line's end.
static void start(uv_loop_t *loop, const char *field, const char *framing, const char *body, size_t body_length) {
    static uv_timer_t timer;
    char fields[HEAD];
    snprintf(fields, sizeof fields, "%sConnection: keep-alive\r\nKeep-Alive: timeout=65\r\n%s", field, framing);
    kept = make_replies(READY, fields, body, body_length);
    snprintf(fields, sizeof fields, "%sConnection: close\r\n%s", field, framing);
    last = make_replies(0, fields, body, body_length);
    renew_dates(&timer);
    must(uv_timer_init(loop, &timer), "uv_timer_init");
    must(uv_timer_start(&timer, renew_dates, DATE_PERIOD, DATE_PERIOD), "uv_timer_start");
    uv_unref((uv_handle_t *) &timer);
}

void canned_start(uv_loop_t *loop, const char *field) {
    start(loop, field, "Content-Length: 5", HELLO, sizeof HELLO - 1);
}

// Takes one more byte of a head. Whether it is the head's last; `carry` is how much of the terminator came last.
static bool ends_head(unsigned char *carry, char byte) {
    *carry = byte == TERMINATOR[*carry] ? *carry + 1 : byte == TERMINATOR[0];
    if (*carry < TERMINATOR_LENGTH) {
        return false;
    }
    *carry = 0;
    return true;
}

// Request heads that end in `bytes`.
static size_t count_heads(unsigned char *carry, const char *bytes, size_t length) {
    size_t heads = 0;
    const char *end = bytes + length;
    const char *rest = bytes;
    // A terminator that ended the last read goes on.
    while (*carry > 0 && rest < end) {
        heads += ends_head(carry, *rest++);
    }
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

static void send_replies(struct connection *connection, size_t count) {
    while (count > 0) {
        size_t now = count < kept.count ? count : kept.count;
        send_lasting(connection, kept.bytes, now * kept.length);
        count -= now;
    }
}

void canned_answer(struct connection *connection, const char *bytes, size_t length) {
    size_t heads = count_heads(&connection->carry, bytes, length);
    if (heads == 0) {
        return;
    }
    if (!connection->answered) {
        connection->answered = true;
        if (memmem(bytes, length, CLOSE, sizeof CLOSE - 1) != NULL) {
            send_lasting(connection, last.bytes, last.length);
            end_connection(connection);
            return;
        }
    }
    send_replies(connection, heads);
}

// Answers every body that ends in `bytes`.
static void sink_answer(struct connection *connection, const char *bytes, size_t length) {
    size_t bodies = 0;
    for (size_t at = 0; at < length;) {
        if (connection->body_left == 0) {
            connection->body_left = ends_head(&connection->carry, bytes[at++]) ? upload_length : 0;
            continue;
        }
        size_t taken = length - at < connection->body_left ? length - at : connection->body_left;
        connection->body_left -= taken;
        bodies += connection->body_left == 0;
        at += taken;
    }
    send_replies(connection, bodies);
}

void serve_hello(size_t unused) {
    canned_start(uv_default_loop(), "");
    serve(NULL, canned_answer);
}

void serve_sized(size_t size) {
    char framing[64];
    char *body = must_allocate(size);
    memset(body, 'x', size);
    snprintf(framing, sizeof framing, "Content-Length: %zu", size);
    start(uv_default_loop(), "", framing, body, size);
    serve(NULL, canned_answer);
}

void serve_chunked(size_t chunks) {
    static const char END[] = "0\r\n\r\n";
    char *body = must_allocate(chunks * (CHUNK + CHUNK_FRAME) + sizeof END);
    size_t length = 0;
    for (size_t chunk = 0; chunk < chunks; chunk++) {
        length += (size_t) sprintf(body + length, "%x\r\n", CHUNK);
        memset(body + length, 'a' + (int) (chunk % LETTERS), CHUNK);
        memcpy(body + length + CHUNK, "\r\n", 2);
        length += CHUNK + 2;
    }
    memcpy(body + length, END, sizeof END - 1);
    start(uv_default_loop(), "", "Transfer-Encoding: chunked", body, length + sizeof END - 1);
    serve(NULL, canned_answer);
}

void serve_sink(size_t size) {
    upload_length = size;
    start(uv_default_loop(), "", "Content-Length: 2", "ok", 2);
    serve(NULL, sink_answer);
}
