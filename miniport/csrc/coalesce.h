/* Receive segment coalescing over a ring of the 82574L: see coalesce.cdef. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "coalesce.cdef"
