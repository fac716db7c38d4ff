// Canned HTTP, for the server of one process and for the workers of the cluster.

#ifndef HTTP_H
#define HTTP_H

#include "stream.h"

// Has the replies made now and once a second. `field` is one more header field with its line's end, or empty.
void canned_start(uv_loop_t *loop, const char *field);

// Answers every request head that ends in `bytes`.
void canned_answer(struct connection *connection, const char *bytes, size_t length);

#endif
