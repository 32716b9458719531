/* The parts of the receive side in each other's sight. rx_lock is held where a name says so. */
#pragma once

#include "card.h"
#include "packet.h"

/* What the descriptors say of a frame besides where it lies: reference.metadata.Metadata. */
struct rw_metadata {
    uint32_t status, errors, checksum, ip_id, mrq, queue;
    bool ack;
};

/* What frames of a batch raised, and what became of the packet buffer. */
struct rw_rx_outcome {
    uint32_t now, delayable;
    bool stored;
    bool filled, drained, overflowed; /* a frame went into the buffer, out of it, or found no room in it */
    bool kept;           /* the last frame is the buffer's first; its ring ended at this tail: */
    uint32_t queue, tail;
};

/* filter.c */
bool rw_tagged(struct rw_card *card, const uint8_t *frame, uint32_t size);
bool rw_filter(struct rw_card *card, const uint8_t *frame, uint32_t size, bool *exact);
/* rss.c */
struct rw_rss {
    uint32_t hash, type, queue;
};
bool rw_rss_enabled(struct rw_card *card);
void rw_rss_choose(struct rw_card *card, const uint8_t *frame, const struct rw_packet *packet, struct rw_rss *out);
/* metadata.c: `size` bytes of frame, then `crc` bytes of FCS that are stored with it */
void rw_describe(struct rw_card *card, const uint8_t *frame, uint32_t size, uint32_t crc,
                 const struct rw_packet *packet, struct rw_metadata *out);
/* clock.c */
bool rw_stamp_received(struct rw_card *card, const uint8_t *frame, uint32_t size, const struct rw_packet *packet);

/* wake.c: size is RW_MIN_FRAME at least, and the frame passed the filters */
bool rw_wake_armed(struct rw_card *card);
void rw_wake_consider(struct rw_card *card, const uint8_t *frame, uint32_t size, bool exact);

/* rx.c. The frame is in private memory, is changed in place, and needs RW_FCS_BYTES of room behind it, or
 * RW_MIN_FRAME in all. */
bool rw_rx_listening(struct rw_card *card);
void rw_rx_frame_locked(struct rw_card *card, uint8_t *frame, uint32_t size, const struct rw_offload *offload,
                        struct rw_rx_outcome *outcome);
/* Store what waits in the packet buffer, as far as there are descriptors. */
void rw_rx_deliver_locked(struct rw_card *card, struct rw_rx_outcome *outcome);
/* The same, with its announcement: descriptors may have come. No lock is held. */
void rw_rx_deliver(struct rw_card *card);
void rw_rx_announce(struct rw_card *card, const struct rw_rx_outcome *outcome);
/* Whether the receive ring is where only Python reaches, and the pump does not know yet. Takes rx_lock. */
bool rw_rx_ring_is_slow(struct rw_card *card);
bool rw_rx_ring_is_slow_locked(struct rw_card *card);
/* A transmitted frame comes back. Takes rx_lock. */
void rw_rx_loop(struct rw_card *card, uint8_t *frame, uint32_t size);

/* flow.c: tx_lock is held where a name says so */
void rw_flow_follow(struct rw_card *card, const struct rw_rx_outcome *outcome);
void rw_flow_follow_locked(struct rw_card *card, const struct rw_rx_outcome *outcome);
void rw_flow_send_locked(struct rw_card *card, uint32_t quanta);
