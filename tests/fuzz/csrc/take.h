/* Bytes taken off an input; zeros when it has ended. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct input {
    const uint8_t *data;
    size_t left;
};

static inline uint32_t take(struct input *input, uint32_t bytes)
{
    uint32_t value = 0;

    for (uint32_t n = 0; n < bytes && input->left; n++, input->left--)
        value |= (uint32_t)*input->data++ << 8 * n;
    return value;
}
