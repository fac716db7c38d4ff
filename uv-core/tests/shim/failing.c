/* Makes system calls fail for a test, preloaded. The file named by FAILING says which: its name, the error, how often
 * (below zero: always, and counted downwards), the process (0: every one), and how many calls go well before. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The error with which the call is to fail now, or 0. */
static int failure(const char *call) {
  char text[128] = {0}, name[32];
  int error, times, pid, good, saved = errno;
  const char *path = getenv("FAILING");
  int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) { errno = saved; return 0; }
  int known = read(file, text, sizeof text - 1) > 0 &&
              sscanf(text, "%31s %d %d %d %d", name, &error, &times, &pid, &good) == 5;
  int fails = known && times != 0 && strcmp(name, call) == 0 && (pid == 0 || pid == getpid());
  if (fails) {
    fails = good == 0;
    if (fails) times--; else good--;
    int length = snprintf(text, sizeof text, "%-16s %4d %9d %9d %9d\n", name, error, times, pid, good);
    if (pwrite(file, text, length, 0) < 0) abort();
  }
  close(file);
  errno = saved;
  return fails ? error : 0;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(real))dlsym(RTLD_NEXT, #name)
#define FAIL(call) do { int error = failure(call); if (error) { errno = error; return -1; } } while (0)

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
  REAL(accept4);
  FAIL("accept4");
  return real(fd, address, length, flags);
}

int socket(int domain, int type, int protocol) {
  REAL(socket);
  FAIL("socket");
  return real(domain, type, protocol);
}

int connect(int fd, const struct sockaddr *address, socklen_t length) {
  REAL(connect);
  FAIL("connect");
  return real(fd, address, length);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length) {
  REAL(setsockopt);
  FAIL("setsockopt");
  return real(fd, level, name, value, length);
}

ssize_t send(int fd, const void *data, size_t length, int flags) {
  REAL(send);
  FAIL("send");
  return real(fd, data, length, flags);
}

ssize_t sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *address, socklen_t size) {
  REAL(sendto);
  FAIL("sendto");
  return real(fd, data, length, flags, address, size);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  REAL(sendmsg);
  FAIL(message->msg_controllen > 0 ? "sendmsg+fds" : "sendmsg");
  return real(fd, message, flags);
}

ssize_t recv(int fd, void *data, size_t length, int flags) {
  REAL(recv);
  FAIL("recv");
  return real(fd, data, length, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
  REAL(recvmsg);
  FAIL("recvmsg");
  return real(fd, message, flags);
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
  REAL(sendmmsg);
  FAIL("sendmmsg");
  return real(fd, messages, count, flags);
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout) {
  REAL(recvmmsg);
  FAIL("recvmmsg");
  return real(fd, messages, count, flags, timeout);
}

int poll(struct pollfd *fds, nfds_t count, int timeout) {
  REAL(poll);
  FAIL("poll");
  return real(fds, count, timeout);
}

int waitid(idtype_t type, id_t id, siginfo_t *info, int options) {
  REAL(waitid);
  FAIL("waitid");
  return real(type, id, info, options);
}

int epoll_ctl(int poll, int operation, int fd, struct epoll_event *event) {
  REAL(epoll_ctl);
  FAIL("epoll_ctl");
  return real(poll, operation, fd, event);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
  REAL(pthread_create);
  int error = failure("pthread_create");
  return error ? error : real(thread, attributes, start, argument);
}
