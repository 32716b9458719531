/*
 * What a build with -DRW_DEBUG checks and a plain one does not (the sanitizers' and the fuzzers' builds have it):
 *
 *   Guest memory is touched under a guard, and with no lock that was taken behind it.
 *
 * The memory may be gone (SIGBUS), and then the guard's jump would leave such a lock locked for ever. A lock that was
 * taken before the guard is released behind it, as always. So a header that decides something under a lock is copied
 * first and read in the copy: docs/decisions/0009.
 */
#pragma once

#include <pthread.h>

#include "guard.h"

#ifdef RW_DEBUG

extern RW_THREAD_LOCAL unsigned rw_locks_held; /* of this thread */

/* Abort, with a line that says why, where the rule does not hold. `strict`: without a guard, too. */
void rw_debug_touch(int strict);

static inline int rw_debug_lock(pthread_mutex_t *lock)
{
    const int result = pthread_mutex_lock(lock);

    rw_locks_held += !result;
    return result;
}

static inline int rw_debug_trylock(pthread_mutex_t *lock)
{
    const int result = pthread_mutex_trylock(lock);

    rw_locks_held += !result;
    return result;
}

static inline int rw_debug_unlock(pthread_mutex_t *lock)
{
    rw_locks_held--;
    return pthread_mutex_unlock(lock);
}

#define pthread_mutex_lock rw_debug_lock
#define pthread_mutex_trylock rw_debug_trylock
#define pthread_mutex_unlock rw_debug_unlock

#define RW_TOUCHES() rw_debug_touch(1)    /* guest memory is touched here */
#define RW_MAY_TOUCH() rw_debug_touch(0) /* the same, if it is not a buffer of ours */

#else

#define RW_TOUCHES() ((void)0)
#define RW_MAY_TOUCH() ((void)0)

#endif
