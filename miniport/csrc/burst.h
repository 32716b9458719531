/* The driver's fast path over rings of the 82574L: see burst.cdef. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "burst.cdef"
