/* The parts of the transmit side in each other's sight. tx_lock is held throughout. */
#pragma once

#include "card.h"
#include "frame.h"
#include "timer.h"

#define RW_TXD_DTYP (0xfu << 20) /* of the doubleword at 8 of a descriptor, as RW_TXD_EOP and its kin are */
#define RW_TXD_STAMP (1u << 4) /* of the doubleword at 12 */

/* tx.c: whether a queue has descriptors for the card */
bool rw_tx_waits(struct rw_card *card);

/* segment.c */
uint32_t rw_sum_end(uint32_t last, uint32_t size);
void rw_put_checksums(uint8_t *frame, uint32_t size, const struct rw_context *context, uint32_t options,
                      uint32_t add);
bool rw_left_to_wire(uint32_t size, const struct rw_context *context, struct rw_offload *offload);
bool rw_segments_valid(uint32_t size, const struct rw_context *context);
bool rw_passes_whole(uint32_t size, const struct rw_context *context, uint32_t options);
void rw_whole_header(uint8_t *head, uint32_t head_size, uint32_t size, const struct rw_context *context,
                     uint32_t options, struct rw_offload *offload);
/* Build segment `index` at `to`, HDRLEN and MSS bytes long at most; return its size. */
uint32_t rw_cut(const struct rw_frame *frame, const struct rw_context *context, uint32_t options, uint32_t index,
                uint8_t *to);
uint32_t rw_segment_count(uint32_t size, const struct rw_context *context);

/* Whether the batch has lasted as long as one may. Looks at the clock now and then. */
static inline bool rw_tx_late(struct rw_card *card)
{
    const uint32_t units = card->tx_done + card->tx_work;

    if (!card->tx_late && card->tx_until && units >= card->tx_look) {
        card->tx_look = units + RW_SLICE_LOOK;
        card->tx_late = rw_now(card) >= card->tx_until;
    }
    return card->tx_late;
}

/* leave.c: false when the wire is blocked, or the batch late in a segmented frame (tx_cut): nothing was counted, and the frame's end is to be done again */
bool rw_finish(struct rw_card *card, struct rw_txq *queue, uint32_t low, uint32_t high);
bool rw_looped(struct rw_card *card);

/* tx.c: raise what rw_run_owing left to be raised */
void rw_tx_announce_locked(struct rw_card *card);

/* tx.c; irq_lock may be held too */
void rw_tx_reset_locked(struct rw_card *card);
