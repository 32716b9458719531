/* Receive segment coalescing over a ring of the 82574L: see coalesce.cdef. */
#pragma once

#ifdef NDEBUG
#error "the fast path is built with its assertions: -UNDEBUG"
#endif

#include <stddef.h>
#include <stdint.h>

#include "coalesce.cdef"

/* The three steps of mp_rsc_burst: a test looks, and changes memory, between them. */
uint32_t mp_rsc_find(struct mp_rsc *rsc, uint32_t budget);
void mp_rsc_copy(struct mp_rsc *rsc, uint32_t units);
void mp_rsc_rearm(struct mp_rsc *rsc, uint32_t begin);
