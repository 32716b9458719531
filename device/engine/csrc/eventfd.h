/* Signals eventfds without ever waiting for one; see eventfd.c. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct rw_signaller {
    unsigned long context; /* of AIO; 0: there is none */
    int empty_fd; /* a file of no bytes, to be read */
};

void rw_signaller_init(struct rw_signaller *signaller);
void rw_signaller_end(struct rw_signaller *signaller);
/* Add 1 to `fd`. One thread at a time. */
void rw_signal(const struct rw_signaller *signaller, int fd);
