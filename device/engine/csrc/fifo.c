/*
 * The packet buffer's frames lie one behind the other in one block, which is twice as long as they can get: what is
 * left of them is moved to its front when its end is reached.
 */
#include "fifo.h"

#include <assert.h>

#include "receive.h"

#define ALIGNED 8u

_Static_assert(sizeof(struct rw_waiting) == ALIGNED, "frames begin where the next may begin");
/* A frame lies in no more than 8 bytes beyond its charge, which is 24 at least: 4/3 of it. */
_Static_assert(RW_FIFO_BLOCK >= 2 * 4 * (RW_FIFO_KIB << 10) / 3, "all frames, and as much again");

static uint32_t extent(uint32_t size)
{
    return (uint32_t)sizeof(struct rw_waiting) + ((size + ALIGNED - 1) & ~(ALIGNED - 1));
}

void rw_fifo_put(struct rw_card *card, const uint8_t *frame, uint32_t size, uint32_t status)
{
    struct rw_fifo *fifo = &card->fifo;
    const struct rw_waiting waiting = {size, status};

    if (fifo->end + extent(size) > RW_FIFO_BLOCK) {
        memmove(fifo->block, fifo->block + fifo->at, fifo->end - fifo->at);
        fifo->end -= fifo->at;
        fifo->at = 0;
    }
    memcpy(fifo->block + fifo->end, &waiting, sizeof waiting);
    memcpy(fifo->block + fifo->end + sizeof waiting, frame, size);
    fifo->end += extent(size);
    /* sequentially consistent, with a tail that is written: see rw_rx_frame_locked */
    atomic_store(&fifo->held, rw_fifo_held(card) + rw_fifo_charge(size));
}

const struct rw_waiting *rw_fifo_first(const struct rw_card *card)
{
    const struct rw_fifo *fifo = &card->fifo;

    return fifo->at < fifo->end ? (const struct rw_waiting *)(const void *)(fifo->block + fifo->at) : NULL;
}

const struct rw_waiting *rw_fifo_next(const struct rw_card *card, const struct rw_waiting *waiting)
{
    const uint8_t *const next = (const uint8_t *)waiting + extent(waiting->size);

    return next < card->fifo.block + card->fifo.end ? (const struct rw_waiting *)(const void *)next : NULL;
}

void rw_fifo_take(struct rw_card *card)
{
    struct rw_fifo *fifo = &card->fifo;
    const struct rw_waiting *first = rw_fifo_first(card);

    assert(first);
    atomic_store(&fifo->held, rw_fifo_held(card) - rw_fifo_charge(first->size));
    fifo->at += extent(first->size);
    if (fifo->at == fifo->end)
        fifo->at = fifo->end = 0;
}

void rw_fifo_clear(struct rw_card *card)
{
    card->fifo.at = card->fifo.end = 0;
    atomic_store(&card->fifo.held, 0);
}
