/* The driver's fast path over rings of the 82574L: see burst.cdef. */
#pragma once

#ifdef NDEBUG
#error "the fast path is built with its assertions: -UNDEBUG"
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "burst.cdef"
