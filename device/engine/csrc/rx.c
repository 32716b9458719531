/*
 * The receive rings: descriptors from RDH up to RDT belong to the card (datasheet, Receive). A frame's whole way is
 * planned before a byte is stored; one that finds no descriptors waits in the packet buffer (fifo.h). Python twin:
 * device.engine.reference.receive.
 *
 * Invariants: nothing is stored beyond a buffer's programmed size; a descriptor is written back after its
 * buffers, DD in one store with what it announces; a frame costs at most one walk of the ring a try; frames are
 * stored in the order in which they came; nothing here transmits but PAUSE frames, which no loop carries, so a loop
 * does not recurse.
 */
#include "checksum.h"
#include "fifo.h"
#include "irq.h"
#include "receive.h"
#include "record.h"
#include "stats.h"
#include "timer.h"
#include "transmit.h"

#define LONGEST 1522u
#define LONGEST_LPE 16384u
#define SPLIT_BUFFERS RW_SPLIT_BUFFERS
#define PAUSE_OPCODE 1u
#define PAUSE_QUANTUM_NS 512ull
#define HEADER_SPLIT (1u << 15)

struct buffers {
    uint32_t size[SPLIT_BUFFERS], count;
    bool split;
};

struct arrival {
    const uint8_t *data; /* what is stored: the frame, and the FCS when it is kept */
    uint32_t size;
    uint32_t stripped; /* bytes of the frame alone */
    uint32_t vlan, status, header; /* header: bytes for a split descriptor's header buffer */
    struct rw_packet packet;
    struct rw_metadata meta;
};

RW_INLINE uint32_t at(uint32_t queue, uint32_t offset)
{
    return offset + queue * RW_QUEUE_STRIDE;
}

/* Descriptors that the card owns; none with a head or tail outside the ring. */
static uint32_t available(struct rw_card *card, uint32_t queue)
{
    const uint32_t count = rw_get(card, at(queue, RW_RDLEN0)) / RW_DESC_BYTES;
    const uint32_t head = rw_get(card, at(queue, RW_RDH0)), tail = rw_get_tail(card, at(queue, RW_RDT0));

    if (head >= count || tail >= count)
        return 0;
    return tail >= head ? tail - head : tail + count - head;
}

/* The length, with FCS, up to which a frame is not oversize. */
static uint32_t longest(struct rw_card *card)
{
    return rw_get(card, RW_RCTL) & (RW_RCTL_LPE | RW_RCTL_SBP) ? LONGEST_LPE : LONGEST;
}

bool rw_can_receive(rw_card *card)
{
    return rw_get(card, RW_RCTL) & RW_RCTL_EN && atomic_load_explicit(&card->mastering, memory_order_relaxed) &&
           (atomic_load_explicit(&card->link, memory_order_relaxed) || rw_looped(card)) &&
           (!rw_fifo_held(card) || rw_fifo_fits(card, longest(card) - RW_FCS_BYTES));
}

/* Whether a frame off the wire is heard, be there room for it or not. */
bool rw_rx_listening(struct rw_card *card)
{
    return rw_get(card, RW_RCTL) & RW_RCTL_EN && atomic_load_explicit(&card->link, memory_order_relaxed) &&
           !rw_looped(card);
}

static void buffers_of(struct rw_card *card, struct buffers *out)
{
    const uint32_t rctl = rw_get(card, RW_RCTL), control = rw_get(card, RW_PSRCTL);
    const uint32_t flexible = (rctl & RW_RCTL_FLXBUF) >> RW_RCTL_FLXBUF_SHIFT;
    const uint32_t size = 2048u >> ((rctl & RW_RCTL_BSIZE) >> RW_RCTL_BSIZE_SHIFT);

    out->split = rw_get(card, RW_RFCTL) & RW_RFCTL_EXTEN && (rctl & RW_RCTL_DTYP) == 1u << RW_RCTL_DTYP_SHIFT;
    out->count = out->split ? SPLIT_BUFFERS : 1;
    if (out->split) {
        out->size[0] = (control & 0x7f) * 128;
        out->size[1] = (control >> 8 & 0x3f) * 1024;
        out->size[2] = (control >> 16 & 0x3f) * 1024;
        out->size[3] = (control >> 24 & 0x3f) * 1024;
    } else if (flexible) {
        out->size[0] = flexible * 1024;
    } else { /* BSEX with BSIZE = 0 is reserved: it is taken as without BSEX */
        out->size[0] = rctl & RW_RCTL_BSEX && size < 2048 ? size * 16 : size;
    }
}

/* Lay the frame from `done` on into one descriptor's buffers; return the new `done`. */
static uint32_t fill(const struct rw_slot *slot, const struct buffers *buffers, uint32_t header, uint32_t done,
                     uint32_t size, uint32_t *lengths)
{
    for (uint32_t n = 0; n < buffers->count; n++) {
        const uint64_t address = slot->buffer[n];
        const uint32_t left = size - done;
        uint32_t take = buffers->size[n] < left ? buffers->size[n] : left;

        if (!address || (buffers->split && address & 1))
            take = 0;
        if (n == 0 && header) /* buffer 0 is for headers alone */
            take = done ? 0 : take < header ? take : header;
        lengths[n] = take;
        done += take;
    }
    return done;
}

static uint64_t ring_base(struct rw_card *card, uint32_t queue)
{
    return (uint64_t)rw_get(card, at(queue, RW_RDBAH0)) << 32 | rw_get(card, at(queue, RW_RDBAL0));
}

/* Choose descriptors for the frame; 0 when the ring's do not suffice, else how many. */
static uint32_t plan(struct rw_card *card, uint32_t queue, const struct arrival *arrival,
                     const struct buffers *buffers)
{
    const uint32_t units = buffers->split ? 2 : 1, count = rw_get(card, at(queue, RW_RDLEN0)) / RW_DESC_BYTES;
    const uint64_t base = ring_base(card, queue);
    uint32_t left = available(card, queue), index = rw_get(card, at(queue, RW_RDH0)), done = 0, slots = 0;
    uint32_t lengths[SPLIT_BUFFERS];

    while (done < arrival->size) {
        struct rw_slot *slot = &card->plan[slots];

        if (left < units || slots == RW_MOST_SLOTS)
            return 0;
        slots++;
        if (rw_dma_load(card, &card->rx_ring_cache, base + (uint64_t)RW_DESC_BYTES * index, slot->buffer,
                        RW_DESC_BYTES * units))
            memset(slot, 0, sizeof *slot); /* a ring outside memory reads as NULL buffers */
        done = fill(slot, buffers, arrival->header, done, arrival->size, lengths);
        left -= units;
        index = (index + units) % count;
    }
    return slots;
}

/* The 8 bytes that have DD, in one store behind everything before (docs/memory-model.md, pair 3). A mapping at an odd
 * address, which no VMM makes, gets no such promise. */
static void store_release(uint8_t *host, uint64_t value)
{
    if ((uintptr_t)host % sizeof value == 0)
        __atomic_store_n((uint64_t *)(void *)host, value, __ATOMIC_RELEASE);
    else
        memcpy(host, &value, sizeof value);
}

/* A descriptor as it is written back: `count` quadwords, of which `with_dd` is stored last. */
static void write_back(struct rw_card *card, uint64_t address, const uint64_t *words, uint32_t count,
                       uint32_t with_dd)
{
    uint8_t *host = rw_dma_place(card, &card->rx_ring_cache, address, 8ull * count, RW_DMA_WRITE);

    if (!host) {
        rw_dma_store(card, &card->rx_ring_cache, address, words, 8 * count);
        return;
    }
    RW_TOUCHES();
    for (uint32_t n = 0; n < count; n++)
        if (n != with_dd)
            memcpy(host + 8 * n, &words[n], 8);
    store_release(host + 8 * with_dd, words[with_dd]);
    if (card->recorder)
        rw_record_stored(card, address, words, 8 * count, true);
}

static void finish_slot(struct rw_card *card, uint64_t address, const struct arrival *arrival,
                        const struct buffers *buffers, const uint32_t *lengths, bool first, bool last)
{
    const struct rw_metadata *meta = &arrival->meta;
    uint32_t status = RW_RXS_DD;
    uint64_t words[4];

    if (last)
        status |= arrival->status | meta->status | RW_RXS_EOP;
    if (!(rw_get(card, RW_RFCTL) & RW_RFCTL_EXTEN)) {
        /* the driver's buffer address stays: the card writes the second half alone */
        words[0] = lengths[0] | (uint64_t)meta->checksum << 16 | (uint64_t)(status & 0xff) << 32 |
                   (uint64_t)(last ? meta->errors : 0) << 40 | (uint64_t)arrival->vlan << 48;
        write_back(card, address + 8, words, 1, 0);
        return;
    }
    if (last)
        status |= meta->errors << 24;
    words[0] = meta->mrq | (uint64_t)meta->ip_id << 32 | (uint64_t)meta->checksum << 48;
    words[1] = status | (uint64_t)lengths[0] << 32 | (uint64_t)arrival->vlan << 48;
    if (!buffers->split) {
        write_back(card, address, words, 2, 1);
        return;
    }
    words[2] = (arrival->header && first && lengths[0] == arrival->header ? arrival->header | HEADER_SPLIT : 0) |
               (uint64_t)lengths[1] << 16 | (uint64_t)lengths[2] << 32 | (uint64_t)lengths[3] << 48;
    words[3] = 0;
    write_back(card, address, words, 4, 1);
}

bool rw_rx_ring_is_slow_locked(struct rw_card *card)
{
    return rw_dma_is_slow(card, ring_base(card, 0) + (uint64_t)RW_DESC_BYTES * rw_get(card, RW_RDH0));
}

bool rw_rx_ring_is_slow(struct rw_card *card)
{
    bool slow;

    if (atomic_load(&card->slow_used))
        return false; /* and it is known */
    pthread_mutex_lock(&card->rx_lock);
    slow = rw_rx_ring_is_slow_locked(card);
    pthread_mutex_unlock(&card->rx_lock);
    return slow;
}

static void store(struct rw_card *card, uint32_t queue, const struct arrival *arrival,
                  const struct buffers *buffers, uint32_t slots)
{
    const uint32_t units = buffers->split ? 2 : 1, count = rw_get(card, at(queue, RW_RDLEN0)) / RW_DESC_BYTES;
    const uint64_t base = ring_base(card, queue);
    uint32_t index = rw_get(card, at(queue, RW_RDH0)), done = 0;

    for (uint32_t n = 0; n < slots; n++) {
        const struct rw_slot *slot = &card->plan[n];
        uint32_t lengths[SPLIT_BUFFERS] = {0}, from = done;
        const bool first = done == 0;

        done = fill(slot, buffers, arrival->header, done, arrival->size, lengths);
        for (uint32_t b = 0; b < buffers->count; b++) {
            if (lengths[b]) /* a write that nothing covers is lost: being posted, the card does not notice */
                rw_dma_store(card, &card->rx_data_cache, slot->buffer[b], arrival->data + from, lengths[b]);
            from += lengths[b];
        }
        finish_slot(card, base + (uint64_t)RW_DESC_BYTES * index, arrival, buffers, lengths, first,
                    n + 1 == slots);
        index = (index + units) % count;
        rw_put_head(card, at(queue, RW_RDH0), index);
    }
    RW_COUNT(card, rx_descriptors, slots);
}

static uint32_t header_of(struct rw_card *card, const struct rw_packet *packet, uint32_t room)
{
    uint32_t header;

    if (!packet->version || (packet->fragment && rw_get(card, RW_RFCTL) & RW_RFCTL_IPFRSP_DIS))
        return 0;
    header = packet->payload ? packet->payload : packet->transport;
    return header <= room ? header : 0;
}

static void raise_for(struct rw_card *card, const struct arrival *arrival, uint32_t before,
                      struct rw_rx_outcome *outcome)
{
    const uint32_t queue = arrival->meta.queue;
    const uint32_t count = rw_get(card, at(queue, RW_RDLEN0)) / RW_DESC_BYTES;
    const uint32_t threshold = count >> (((rw_get(card, RW_RCTL) & RW_RCTL_RDMTS) >> RW_RCTL_RDMTS_SHIFT) + 1);

    outcome->delayable |= RW_ICS_RXT0 | RW_RXQ(queue);
    if (before > threshold && threshold >= available(card, queue))
        outcome->now |= RW_ICS_RXDMT0;
    if (arrival->stripped + RW_FCS_BYTES <= rw_get(card, RW_RSRPD))
        outcome->now |= RW_ICS_SRPD;
    if (arrival->meta.ack && rw_get(card, RW_RAID))
        outcome->delayable |= RW_ICS_ACK;
    else if (arrival->meta.ack)
        outcome->now |= RW_ICS_ACK;
    outcome->stored = true;
}

/* Whether a buffer of the plan is where only Python reaches, and this thread may not wait for it now (rw_slow). */
static bool is_for_later(struct rw_card *card, uint32_t slots, uint32_t buffers)
{
    if (rw_slow_mode != RW_SLOW_LATER && (rw_slow_mode != RW_SLOW_ASKING || atomic_load(&card->slow_used)))
        return false;
    for (uint32_t n = 0; n < slots && !rw_slow_wanted; n++)
        for (uint32_t b = 0; b < buffers; b++)
            rw_slow_wanted |= rw_dma_is_slow(card, card->plan[n].buffer[b]);
    return rw_slow_wanted;
}

/* Strip an accepted frame and find what its descriptors will say. The frame is changed in place: see unstrip. */
static void describe(struct rw_card *card, uint8_t *frame, uint32_t size, uint32_t status, struct arrival *out)
{
    const uint32_t crc = rw_get(card, RW_RCTL) & RW_RCTL_SECRC ? 0 : RW_FCS_BYTES;

    out->vlan = 0;
    out->status = status;
    out->stripped = size;
    if (crc) {
        const uint32_t fcs = rw_fcs(0, frame, size);

        for (uint32_t n = 0; n < RW_FCS_BYTES; n++)
            frame[size + n] = (uint8_t)(fcs >> 8 * n);
    }
    if (rw_get(card, RW_CTRL) & RW_CTRL_VME && rw_tagged(card, frame, size)) {
        out->vlan = rw_be16(frame, size, 14);
        out->status |= RW_RXS_VP;
        memmove(frame + RW_TAG_BYTES, frame, 12);
        frame += RW_TAG_BYTES;
        out->stripped -= RW_TAG_BYTES;
    }
    rw_packet_parse(frame, out->stripped, rw_get(card, RW_VET), &out->packet);
    rw_describe(card, frame, out->stripped, crc, &out->packet, &out->meta);
    out->data = frame;
    out->size = out->stripped + crc;
}

/* Put a tag back that describe took out. `frame` is as it was given to it. */
static void unstrip(struct rw_card *card, uint8_t *frame, const struct arrival *arrival)
{
    const uint32_t type = rw_get(card, RW_VET);

    if (!(arrival->status & RW_RXS_VP))
        return;
    memmove(frame, frame + RW_TAG_BYTES, 12);
    frame[12] = (uint8_t)(type >> 8);
    frame[13] = (uint8_t)type;
    frame[14] = (uint8_t)(arrival->vlan >> 8);
    frame[15] = (uint8_t)arrival->vlan;
}

/* Choose descriptors for a frame that was described; 0: its ring's do not suffice. */
static uint32_t plan_for(struct rw_card *card, struct arrival *arrival, struct buffers *buffers)
{
    buffers_of(card, buffers);
    arrival->header = buffers->split ? header_of(card, &arrival->packet, buffers->size[0]) : 0;
    return plan(card, arrival->meta.queue, arrival, buffers);
}

/* Fill the planned buffers. `size`: of the frame as it came. */
static void fill_plan(struct rw_card *card, const struct arrival *arrival, const struct buffers *buffers,
                      uint32_t slots, uint32_t size, struct rw_rx_outcome *outcome)
{
    const uint32_t before = available(card, arrival->meta.queue);

    store(card, arrival->meta.queue, arrival, buffers, slots);
    RW_COUNT(card, frames_received, 1);
    RW_COUNT(card, octets_received, size + RW_FCS_BYTES);
    raise_for(card, arrival, before, outcome);
}

/* Count a frame that finds no descriptors. False: there is no room in the buffer either, and it is lost. */
static bool waits(struct rw_card *card, uint32_t size, struct rw_rx_outcome *outcome)
{
    if (rw_fifo_charge(size) <= rw_fifo_capacity(card))
        rw_tally(card, RW_RNBC, 1);
    if (rw_fifo_fits(card, size))
        return true;
    rw_tally(card, RW_MPC, 1);
    outcome->now |= RW_ICS_RXO;
    outcome->overflowed = true;
    return false;
}

/* Store an accepted frame, or keep it in the buffer. */
static void take(struct rw_card *card, uint8_t *frame, uint32_t size, uint32_t status,
                 struct rw_rx_outcome *outcome)
{
    const enum rw_cast cast = rw_cast_of(frame, size);
    const bool mastering = atomic_load_explicit(&card->mastering, memory_order_relaxed);
    struct arrival arrival;
    struct buffers buffers;
    uint32_t tail, slots = 0;

    if (!mastering && rw_wake_armed(card)) {
        rw_wake_consider(card, frame, size, !(status & RW_RXS_PIF));
        return;
    }
    describe(card, frame, size, status, &arrival);
    tail = rw_get_tail(card, at(arrival.meta.queue, RW_RDT0));
    if (mastering && !rw_fifo_held(card) && rw_fifo_fits(card, size))
        slots = plan_for(card, &arrival, &buffers);
    if (!slots && !waits(card, size, outcome))
        return;
    if (rw_stamp_received(card, arrival.data, arrival.stripped, &arrival.packet)) {
        arrival.status |= RW_RXS_TST;
        status |= RW_RXS_TST;
    }
    rw_stats_received(card, cast, size + RW_FCS_BYTES);
    if (slots) {
        fill_plan(card, &arrival, &buffers, slots, size, outcome);
        return;
    }
    unstrip(card, frame, &arrival);
    outcome->kept = !rw_fifo_held(card);
    outcome->queue = arrival.meta.queue;
    outcome->tail = tail;
    outcome->filled = true;
    rw_fifo_put(card, frame, size, status);
}

/* Store the frame that waits longest. False: there are no descriptors for it. */
static __attribute__((noinline)) bool deliver_first(struct rw_card *card, const struct rw_waiting *first,
                                                    struct rw_rx_outcome *outcome)
{
    struct rw_guard guard;
    struct arrival arrival;
    struct buffers buffers;
    uint32_t slots;

    if (RW_GUARD(guard)) { /* as for a frame at hand: it is lost */
        RW_COUNT(card, sigbus, 1);
        rw_fault(card, 0, 0, true);
        rw_fifo_take(card);
        return true;
    }
    memcpy(card->rx_frame, first + 1, first->size);
    describe(card, card->rx_frame, first->size, first->status, &arrival);
    slots = plan_for(card, &arrival, &buffers);
    if (rw_slow_wanted || is_for_later(card, slots, buffers.count))
        slots = 0;
    if (slots)
        fill_plan(card, &arrival, &buffers, slots, first->size, outcome);
    rw_guard_leave(&guard);
    if (!slots)
        return false;
    outcome->drained = true;
    rw_fifo_take(card);
    return true;
}

void rw_rx_deliver_locked(struct rw_card *card, struct rw_rx_outcome *outcome)
{
    const struct rw_waiting *first;

    if (!(rw_get(card, RW_RCTL) & RW_RCTL_EN) || !atomic_load_explicit(&card->mastering, memory_order_relaxed))
        return;
    while ((first = rw_fifo_first(card)) && deliver_first(card, first, outcome))
        ;
}

static bool same_address(struct rw_card *card, const uint8_t *address, uint32_t low, uint32_t high, uint32_t mask)
{
    const uint32_t first = address[0] | (uint32_t)address[1] << 8 | (uint32_t)address[2] << 16 |
                           (uint32_t)address[3] << 24;

    return first == rw_get(card, low) && (address[4] | (uint32_t)address[5] << 8) == (rw_get(card, high) & mask);
}

static void pause(struct rw_card *card, uint32_t quanta)
{
    pthread_mutex_lock(&card->irq_lock);
    atomic_store(&card->paused_until, rw_now(card) + quanta * PAUSE_QUANTUM_NS);
    rw_timer_set_locked(card);
    pthread_mutex_unlock(&card->irq_lock);
}

/* Obey and count a MAC control frame; tell whether it ends here (RCTL.PMCF, DPF). */
static bool control(struct rw_card *card, const uint8_t *frame, uint32_t size)
{
    const uint32_t rctl = rw_get(card, RW_RCTL);
    const uint32_t quanta = rw_be16(frame, size, 16);

    if (!same_address(card, frame, RW_FCAL, RW_FCAH, UINT32_MAX) &&
        !same_address(card, frame, RW_RAL, RW_RAH, 0xffff))
        return !(rctl & RW_RCTL_PMCF);
    if (rw_be16(frame, size, 14) != PAUSE_OPCODE) {
        rw_tally(card, RW_FCRUC, 1);
        return !(rctl & RW_RCTL_PMCF);
    }
    rw_tally(card, quanta ? RW_XOFFRXC : RW_XONRXC, 1);
    if (rw_get(card, RW_CTRL) & RW_CTRL_RFCE)
        pause(card, quanta);
    return rctl & RW_RCTL_DPF || !(rctl & RW_RCTL_PMCF);
}

static void arrive(struct rw_card *card, uint8_t *frame, uint32_t size, struct rw_rx_outcome *outcome)
{
    const uint32_t rctl = rw_get(card, RW_RCTL), length = size + RW_FCS_BYTES, type = rw_get(card, RW_FCT);
    bool exact;

    if (!(rctl & RW_RCTL_EN))
        return;
    rw_stats_seen(card, length);
    if (size < RW_MIN_FRAME) {
        rw_tally(card, RW_RUC, 1);
        if (!(rctl & RW_RCTL_SBP) || size < RW_ETH_BYTES)
            return;
    }
    if (length > longest(card)) {
        rw_tally(card, RW_ROC, 1);
        return;
    }
    if (type && rw_be16(frame, size, 12) == type && control(card, frame, size))
        return;
    if (rw_filter(card, frame, size, &exact))
        take(card, frame, size, exact ? 0 : RW_RXS_PIF, outcome);
}

/* Make a checksum whole that is known to be good (Offload.needs_csum). */
static void complete(uint8_t *frame, uint32_t size, const struct rw_offload *offload)
{
    const uint32_t where = (uint32_t)offload->csum_start + offload->csum_offset;

    rw_sum_insert(frame, size, offload->csum_start, size, where, 0);
}

static void off_the_wire(struct rw_card *card, uint8_t *frame, uint32_t size, const struct rw_offload *offload,
                         struct rw_rx_outcome *outcome)
{
    if (offload && offload->needs_csum)
        complete(frame, size, offload);
    if (size < RW_MIN_FRAME) { /* as its sender's MAC would have */
        memset(frame + size, 0, RW_MIN_FRAME - size);
        size = RW_MIN_FRAME;
    }
    arrive(card, frame, size, outcome);
}

/* A tail may have moved since the buffer's first frame was planned for. Whoever writes a tail looks at `held` next, and
 * this is the other way round: one of us sees the other. */
static void look_again(struct rw_card *card, struct rw_rx_outcome *outcome)
{
    if (outcome->kept && atomic_load(&card->reg[at(outcome->queue, RW_RDT0) / 4]) != outcome->tail)
        rw_rx_deliver_locked(card, outcome);
}

void rw_rx_frame_locked(struct rw_card *card, uint8_t *frame, uint32_t size, const struct rw_offload *offload,
                        struct rw_rx_outcome *outcome)
{
    struct rw_guard guard;

    if (!atomic_load_explicit(&card->link, memory_order_relaxed) || rw_looped(card) || size < RW_ETH_BYTES)
        return;
    if (RW_GUARD(guard)) { /* the frame is lost, and the descriptor that it was for is not written back */
        RW_COUNT(card, sigbus, 1);
        rw_fault(card, 0, 0, true);
        return;
    }
    outcome->kept = false;
    off_the_wire(card, frame, size, offload, outcome);
    rw_guard_leave(&guard);
    look_again(card, outcome);
}

/* No lock is held but, in a loop, tx_lock. */
static void interrupt(struct rw_card *card, const struct rw_rx_outcome *outcome)
{
    if (outcome->now)
        rw_raise(card, outcome->now);
    if (outcome->stored)
        rw_irq_delay_receive(card, outcome->delayable);
}

/* Raise what the frames of a batch raised, and let the link partner follow the buffer. No lock is held. */
void rw_rx_announce(struct rw_card *card, const struct rw_rx_outcome *outcome)
{
    interrupt(card, outcome);
    rw_flow_follow(card, outcome);
}

void rw_rx_deliver(struct rw_card *card)
{
    struct rw_rx_outcome outcome = {0};

    if (!rw_fifo_held(card))
        return;
    atomic_fetch_add(&card->rx_waiters, 1);
    pthread_mutex_lock(&card->rx_lock);
    atomic_fetch_sub(&card->rx_waiters, 1);
    rw_rx_deliver_locked(card, &outcome);
    pthread_mutex_unlock(&card->rx_lock);
    rw_rx_announce(card, &outcome);
}

bool rw_receive(rw_card *card, const uint8_t *frame, uint32_t length, const struct rw_offload *offload)
{
    struct rw_rx_outcome outcome = {0};

    pthread_mutex_lock(&card->rx_lock);
    if (length > RW_SCRATCH_BYTES - RW_MIN_FRAME) /* longer than anything that passes: its length is counted */
        rw_rx_frame_locked(card, card->rx_frame, length, NULL, &outcome);
    else {
        memcpy(card->rx_frame, frame, length);
        rw_rx_frame_locked(card, card->rx_frame, length, offload, &outcome);
    }
    pthread_mutex_unlock(&card->rx_lock);
    rw_rx_announce(card, &outcome);
    return outcome.stored;
}

void rw_rx_loop(struct rw_card *card, uint8_t *frame, uint32_t size)
{
    struct rw_rx_outcome outcome = {0};

    struct rw_guard guard;

    pthread_mutex_lock(&card->rx_lock);
    if (RW_GUARD(guard)) {
        RW_COUNT(card, sigbus, 1);
        rw_fault(card, 0, 0, true);
    } else {
        arrive(card, frame, size, &outcome);
        rw_guard_leave(&guard);
        look_again(card, &outcome);
    }
    pthread_mutex_unlock(&card->rx_lock);
    interrupt(card, &outcome);
    rw_flow_follow_locked(card, &outcome);
}
