/* The C core's public face. The declarations are in core.cdef, which cffi reads too. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core.cdef"
