// Wake-ups and messages from other threads, and the thread pool.

#include "peer.h"

#include <stdlib.h>

// Two loops on two threads that wake each other by turns.
struct ping_pong {
    uv_loop_t far_loop;
    uv_async_t near;
    uv_async_t far;
    uint64_t remaining;
};

static void on_far_wakeup(uv_async_t *far) {
    struct ping_pong *pair = far->data;
    must(uv_async_send(&pair->near), "uv_async_send");
}

static void on_near_wakeup(uv_async_t *near) {
    struct ping_pong *pair = near->data;
    if (--pair->remaining == 0) {
        uv_stop(near->loop);
    } else {
        must(uv_async_send(&pair->far), "uv_async_send");
    }
}

static void run_far_loop(void *argument) {
    struct ping_pong *pair = argument;
    must(uv_run(&pair->far_loop, UV_RUN_DEFAULT), "uv_run");
}

static void ping(struct ping_pong *pair, uint64_t operations) {
    pair->remaining = operations;
    must(uv_async_send(&pair->far), "uv_async_send");
    uv_run(pair->near.loop, UV_RUN_DEFAULT);
}

void bench_wakeup(uint64_t operations) {
    // The far thread waits in its loop until the program ends.
    static struct ping_pong pair;
    uv_thread_t thread;
    must(uv_loop_init(&pair.far_loop), "uv_loop_init");
    must(uv_async_init(&pair.far_loop, &pair.far, on_far_wakeup), "uv_async_init");
    must(uv_async_init(uv_default_loop(), &pair.near, on_near_wakeup), "uv_async_init");
    pair.near.data = pair.far.data = &pair;
    must(uv_thread_create(&thread, run_far_loop, &pair), "uv_thread_create");
    ping(&pair, warm_up(operations));
    measure_begin();
    ping(&pair, operations);
    measure_end(operations);
}

struct inbox;

// A message: a function to be called on the loop's thread.
struct message {
    struct message *next;
    void (*call)(struct inbox *inbox);
};

// Messages on their way from the posting thread to the loop.
struct inbox {
    uv_mutex_t mutex;
    // Guarded by the mutex; `last` is where the next message is linked.
    struct message *first;
    struct message **last;
    uv_async_t async;
    // Bursts that may be posted.
    uv_sem_t bursts;
    // The rest is the loop's.
    uint64_t in_burst;
    uint64_t remaining;
};

static void post(struct inbox *inbox, void (*call)(struct inbox *inbox)) {
    struct message *message = must_allocate(sizeof *message);
    message->call = call;
    uv_mutex_lock(&inbox->mutex);
    *inbox->last = message;
    inbox->last = &message->next;
    uv_mutex_unlock(&inbox->mutex);
    must(uv_async_send(&inbox->async), "uv_async_send");
}

static void on_message(struct inbox *inbox) {
    if (--inbox->remaining == 0) {
        uv_stop(inbox->async.loop);
    } else if (++inbox->in_burst == IN_FLIGHT) {
        inbox->in_burst = 0;
        uv_sem_post(&inbox->bursts);
    }
}

static void on_posted(uv_async_t *async) {
    struct inbox *inbox = async->data;
    uv_mutex_lock(&inbox->mutex);
    struct message *message = inbox->first;
    inbox->first = NULL;
    inbox->last = &inbox->first;
    uv_mutex_unlock(&inbox->mutex);
    while (message != NULL) {
        struct message *next = message->next;
        message->call(inbox);
        free(message);
        message = next;
    }
}

static void run_poster(void *argument) {
    struct inbox *inbox = argument;
    for (;;) {
        uv_sem_wait(&inbox->bursts);
        for (int count = 0; count < IN_FLIGHT; count++) {
            post(inbox, on_message);
        }
    }
}

static void receive(struct inbox *inbox, uint64_t operations) {
    // Whole bursts, so that none is under way when the loop stops.
    inbox->remaining = operations;
    inbox->in_burst = 0;
    uv_sem_post(&inbox->bursts);
    uv_run(inbox->async.loop, UV_RUN_DEFAULT);
}

static uint64_t whole_bursts(uint64_t operations) {
    return (operations + IN_FLIGHT - 1) / IN_FLIGHT * IN_FLIGHT;
}

void bench_post(uint64_t operations) {
    // The poster waits for the next burst until the program ends.
    static struct inbox inbox;
    uv_thread_t thread;
    must(uv_mutex_init(&inbox.mutex), "uv_mutex_init");
    must(uv_sem_init(&inbox.bursts, 0), "uv_sem_init");
    must(uv_async_init(uv_default_loop(), &inbox.async, on_posted), "uv_async_init");
    inbox.last = &inbox.first;
    inbox.async.data = &inbox;
    must(uv_thread_create(&thread, run_poster, &inbox), "uv_thread_create");
    operations = whole_bursts(operations);
    receive(&inbox, whole_bursts(warm_up(operations)));
    measure_begin();
    receive(&inbox, operations);
    measure_end(operations);
}

static uint64_t to_queue;

static void on_work(uv_work_t *work) {
}

static void on_worked(uv_work_t *work, int status) {
    must(status, "work");
    if (to_queue > 0) {
        to_queue--;
        must(uv_queue_work(work->loop, work, on_work, on_worked), "uv_queue_work");
    }
}

static void work_through(uv_work_t *works, int in_flight, uint64_t operations) {
    to_queue = operations;
    for (int index = 0; index < in_flight && to_queue > 0; index++) {
        to_queue--;
        must(uv_queue_work(uv_default_loop(), &works[index], on_work, on_worked), "uv_queue_work");
    }
    must(uv_run(uv_default_loop(), UV_RUN_DEFAULT), "uv_run");
}

static void measure_work(int in_flight, uint64_t operations) {
    static uv_work_t works[IN_FLIGHT];
    work_through(works, in_flight, warm_up(operations));
    measure_begin();
    work_through(works, in_flight, operations);
    measure_end(operations);
}

void bench_work(uint64_t operations) {
    measure_work(IN_FLIGHT, operations);
}

void bench_queue_work(uint64_t operations) {
    measure_work(1, operations);
}

// Look-ups that are under way at a time.
enum { LOOK_UPS = 10 };

static uint64_t to_look_up;

static void look_up(uv_getaddrinfo_t *request);

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *found) {
    must(status, "uv_getaddrinfo");
    uv_freeaddrinfo(found);
    look_up(request);
}

static void look_up(uv_getaddrinfo_t *request) {
    // As Node asks. Without hints the C library would ask the kernel for its interfaces as well.
    static const struct addrinfo hints = {.ai_family = AF_UNSPEC};
    if (to_look_up > 0) {
        to_look_up--;
        must(uv_getaddrinfo(uv_default_loop(), request, on_looked_up, "localhost", NULL, &hints), "uv_getaddrinfo");
    }
}

static void look_up_all(uint64_t operations) {
    static uv_getaddrinfo_t requests[LOOK_UPS];
    to_look_up = operations;
    for (int index = 0; index < LOOK_UPS; index++) {
        look_up(&requests[index]);
    }
    must(uv_run(uv_default_loop(), UV_RUN_DEFAULT), "uv_run");
}

void bench_getaddrinfo(uint64_t operations) {
    look_up_all(warm_up(operations));
    measure_begin();
    look_up_all(operations);
    measure_end(operations);
}
