/*
 * The receive packet buffer: frames that wait for descriptors or for DMA, first in, first out (datasheet, Packet
 * Buffer Allocation). Python twin: reference.buffer. rx_lock is held, but for `held`.
 */
#pragma once

#include "card.h"

/* A frame that waits; its bytes are behind this. */
struct rw_waiting {
    uint32_t size;   /* without its FCS */
    uint32_t status; /* what the MAC found: RW_RXS_PIF, RW_RXS_TST */
};

/* The bytes of the buffer that a frame takes: with its FCS, in whole lines. */
RW_INLINE uint32_t rw_fifo_charge(uint32_t size)
{
    return (size + RW_FCS_BYTES + RW_FIFO_LINE_BYTES - 1) & ~(RW_FIFO_LINE_BYTES - 1);
}

RW_INLINE uint32_t rw_fifo_held(const struct rw_card *card)
{
    return atomic_load(&card->fifo.held);
}

RW_INLINE uint32_t rw_fifo_capacity(struct rw_card *card)
{
    const uint32_t kib = rw_get(card, RW_PBA) & RW_PBA_RXA;

    return (kib < RW_FIFO_KIB ? kib : RW_FIFO_KIB) << 10;
}

/* Whether there is room for a frame of `size` bytes. */
RW_INLINE bool rw_fifo_fits(struct rw_card *card, uint32_t size)
{
    return rw_fifo_held(card) + rw_fifo_charge(size) <= rw_fifo_capacity(card);
}

/* Keep a frame behind the others. The caller knows that it fits. */
void rw_fifo_put(struct rw_card *card, const uint8_t *frame, uint32_t size, uint32_t status);
/* The frame that waits longest; NULL: none does. */
const struct rw_waiting *rw_fifo_first(const struct rw_card *card);
/* The one behind it in the buffer; NULL: it was the last. */
const struct rw_waiting *rw_fifo_next(const struct rw_card *card, const struct rw_waiting *waiting);
/* Take the first out. */
void rw_fifo_take(struct rw_card *card);
void rw_fifo_clear(struct rw_card *card);
