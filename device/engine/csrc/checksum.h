/* The Internet checksum (RFC 1071) and the Ethernet FCS. Python twin: device.checksum. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A one's complement sum under way: `odd` when an odd number of bytes went in. */
struct rw_sum {
    uint64_t value;
    bool odd;
};

void rw_sum_add(struct rw_sum *sum, const uint8_t *data, uint32_t length);
/* The 16-bit sum as a number; 0 only when nothing but zeros went in. */
uint32_t rw_sum_fold(const struct rw_sum *sum);
uint32_t rw_ones_sum(const uint8_t *data, uint32_t length, uint32_t initial);
/* Put the checksum of frame[start, end) at `where`; false when the numbers do not fit the frame. */
bool rw_sum_insert(uint8_t *frame, uint32_t size, uint32_t start, uint32_t end, uint32_t where, uint32_t add);
uint32_t rw_fcs(uint32_t before, const uint8_t *data, uint32_t length);
