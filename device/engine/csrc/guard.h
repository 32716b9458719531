/*
 * Surviving a SIGBUS in guest memory: a client may truncate the file behind a mapping at any time.
 *
 *     struct rw_guard guard;
 *
 *     if (RW_GUARD(guard)) { ... a SIGBUS came: forget what was at hand; the guard is off ... }
 *     ... touch guest memory ...
 *     rw_guard_leave(&guard);
 *
 * Guards nest. Locals that change in between and are looked at afterwards are volatile (C11 7.13.2.1). A lock
 * taken in between is to be released before guest memory is touched, or to have a guard of its own inside: debug.h
 * asserts it.
 */
#pragma once

#include <setjmp.h>

struct rw_guard {
    struct rw_guard *outer;
#ifdef RW_DEBUG
    unsigned locks; /* that the thread held when the guard went on: debug.h */
#endif
    sigjmp_buf point;
};

/* Of the few bytes that the C library keeps for modules loaded later: no call to find them (ELF TLS, 4.3). */
#define RW_THREAD_LOCAL __attribute__((tls_model("initial-exec"))) _Thread_local

extern RW_THREAD_LOCAL struct rw_guard *volatile rw_guard_on;

void rw_guard_install(void);

#ifdef RW_DEBUG
extern RW_THREAD_LOCAL unsigned rw_locks_held;
#define RW_GUARD_LOCKS(guard) ((guard).locks = rw_locks_held)
#else
#define RW_GUARD_LOCKS(guard) ((void)0)
#endif

/* sigsetjmp has to be called in the frame that stays, hence a macro. */
#define RW_GUARD(guard)                                                                                \
    ((guard).outer = rw_guard_on, RW_GUARD_LOCKS(guard),                                                                      \
     sigsetjmp((guard).point, 0) ? (rw_guard_on = (guard).outer, 1) : (rw_guard_on = &(guard), 0))

static inline void rw_guard_leave(const struct rw_guard *guard)
{
    rw_guard_on = guard->outer;
}
