/* The SIGBUS handler behind guard.h. One for the process; what is not ours goes to whoever was there before. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "card.h"

RW_THREAD_LOCAL struct rw_guard *volatile rw_guard_on;

static struct sigaction before;

#ifdef RW_DEBUG

RW_THREAD_LOCAL unsigned rw_locks_held;

static void broken(const char *line)
{
    const ssize_t said = write(STDERR_FILENO, line, strlen(line));

    (void)said;
    abort();
}

void rw_debug_touch(int strict)
{
    if (rw_guard_on && rw_locks_held != rw_guard_on->locks)
        broken("RW_DEBUG: guest memory is touched under a lock that its guard would not release\n");
    if (strict && !rw_guard_on)
        broken("RW_DEBUG: guest memory is touched without a guard\n");
}

#endif

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    if (rw_guard_on) {
        RW_MAY_TOUCH();
        siglongjmp(rw_guard_on->point, 1);
    }
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    } else { /* a bug, or a SIGBUS sent by hand: die of it, as without us */
        signal(SIGBUS, SIG_DFL);
        raise(SIGBUS);
    }
}

static void install(void)
{
    /* SA_NODEFER: the jump out of the handler leaves the signal mask as it is */
    struct sigaction ours = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};

    sigemptyset(&ours.sa_mask);
    sigaction(SIGBUS, &ours, &before);
}

void rw_guard_install(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, install);
}
