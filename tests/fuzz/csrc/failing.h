/* Calls of the C library that a target lets fail, once, in its own thread: failing.c. */
#pragma once

#include <stdint.h>

enum failing {
    FAIL_NOTHING,
    FAIL_MALLOC,
    FAIL_CALLOC,
    FAIL_REALLOC,
    FAIL_WRITE,
    FAIL_WRITEV,
    FAIL_READ,
    FAIL_READV,
    FAIL_SENDMSG,
    FAIL_RECVMSG,
    FAIL_THREAD,
    FAILINGS,
};

/* The call of that kind after `after` more of them fails with `error`. FAIL_NOTHING: none does. */
void fail_next(enum failing what, uint32_t after, int error);
