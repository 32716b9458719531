/* See failing.h. The core's calls come here by the linker's --wrap (lab.trials.fuzz.libfuzzer.WRAPPED). */
#include "failing.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

static _Thread_local struct {
    enum failing what;
    uint32_t after;
    int error;
} next;

void fail_next(enum failing what, uint32_t after, int error)
{
    next.what = what;
    next.after = after;
    next.error = error;
}

/* As Python does: a wire that is gone is an error, not a signal. */
static __attribute__((constructor)) void no_sigpipe(void)
{
    signal(SIGPIPE, SIG_IGN);
}

static bool fails(enum failing what)
{
    if (next.what != what || next.after--)
        return false;
    next.what = FAIL_NOTHING;
    errno = next.error;
    return true;
}

#define WRAP(kind, type, name, failed, parameters, arguments)                                          \
    type __real_##name parameters;                                                                     \
    type __wrap_##name parameters;                                                                     \
    type __wrap_##name parameters { return fails(kind) ? (failed) : __real_##name arguments; }

WRAP(FAIL_MALLOC, void *, malloc, NULL, (size_t size), (size))
WRAP(FAIL_CALLOC, void *, calloc, NULL, (size_t count, size_t size), (count, size))
WRAP(FAIL_REALLOC, void *, realloc, NULL, (void *old, size_t size), (old, size))
WRAP(FAIL_WRITE, ssize_t, write, -1, (int fd, const void *from, size_t size), (fd, from, size))
WRAP(FAIL_WRITEV, ssize_t, writev, -1, (int fd, const struct iovec *iov, int count), (fd, iov, count))
WRAP(FAIL_READ, ssize_t, read, -1, (int fd, void *to, size_t size), (fd, to, size))
WRAP(FAIL_READV, ssize_t, readv, -1, (int fd, const struct iovec *iov, int count), (fd, iov, count))
WRAP(FAIL_SENDMSG, ssize_t, sendmsg, -1, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
WRAP(FAIL_RECVMSG, ssize_t, recvmsg, -1, (int fd, struct msghdr *message, int flags), (fd, message, flags))
WRAP(FAIL_THREAD, int, pthread_create, EAGAIN,
     (pthread_t *thread, const pthread_attr_t *how, void *(*body)(void *), void *argument),
     (thread, how, body, argument))
