/* The statistics registers that count frames (datasheet, Statistics Registers). Python twin: device.statistics. */
#pragma once

#include "card.h"

RW_INLINE void rw_tally(struct rw_card *card, uint32_t where, uint32_t amount)
{
    const uint32_t value = rw_get(card, where);

    rw_put(card, where, value + amount < value ? UINT32_MAX : value + amount);
}

RW_INLINE void rw_tally64(struct rw_card *card, uint32_t low, uint64_t amount)
{
    const uint64_t value = (uint64_t)rw_get(card, low + 4) << 32 | rw_get(card, low);
    const uint64_t sum = value + amount < value ? UINT64_MAX : value + amount;

    rw_put(card, low, (uint32_t)sum);
    rw_put(card, low + 4, (uint32_t)(sum >> 32));
}

/* Which of the six size counters counts a frame of `length` >= 64 bytes, FCS included. */
RW_INLINE uint32_t rw_size_class(uint32_t length)
{
    if (length >= 1024)
        return 5;
    return length == 64 ? 0 : 26u - (uint32_t)__builtin_clz(length);
}

enum rw_cast { RW_UNICAST, RW_MULTICAST, RW_BROADCAST };

RW_INLINE enum rw_cast rw_cast_of(const uint8_t *destination, uint32_t length)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (!(destination[0] & 1))
        return RW_UNICAST;
    return length >= 6 && !memcmp(destination, broadcast, 6) ? RW_BROADCAST : RW_MULTICAST;
}

/* Count `frames` frames of `length` bytes (FCS included) that left. tx_lock is held. */
RW_INLINE void rw_stats_sent(struct rw_card *card, enum rw_cast cast, uint32_t length, uint32_t frames)
{
    const uint64_t octets = (uint64_t)length * frames;

    rw_tally(card, RW_GPTC, frames);
    rw_tally(card, RW_TPT, frames);
    rw_tally64(card, RW_GOTCL, octets);
    rw_tally64(card, RW_TOTL, octets);
    if (length >= RW_MIN_FRAME + RW_FCS_BYTES)
        rw_tally(card, RW_PTC64 + 4 * rw_size_class(length), frames);
    if (cast != RW_UNICAST)
        rw_tally(card, cast == RW_BROADCAST ? RW_BPTC : RW_MPTC, frames);
    RW_COUNT(card, frames_sent, frames);
    RW_COUNT(card, octets_sent, octets);
}

/* Count a good frame that passed the filters and has room. rx_lock is held. */
RW_INLINE void rw_stats_received(struct rw_card *card, enum rw_cast cast, uint32_t length)
{
    rw_tally(card, RW_GPRC, 1);
    rw_tally64(card, RW_GORCL, length);
    if (length >= RW_MIN_FRAME + RW_FCS_BYTES)
        rw_tally(card, RW_PRC64 + 4 * rw_size_class(length), 1);
    if (cast != RW_UNICAST)
        rw_tally(card, cast == RW_BROADCAST ? RW_BPRC : RW_MPRC, 1);
}

/* Count a frame that arrived, whatever the filters say of it. rx_lock is held. */
RW_INLINE void rw_stats_seen(struct rw_card *card, uint32_t length)
{
    rw_tally(card, RW_TPR, 1);
    rw_tally64(card, RW_TORL, length);
}
