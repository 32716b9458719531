/*
 * The recorder: one order for all inputs, and a record of each and of what came of it (device.trace.records).
 * Python twin: device.trace.card, for an engine that is called by one thread.
 *
 * Inputs are what threads do to a running card: accesses of the pump, frames off the wire, the passing of time; and
 * what Python does, between rw_record_enter and rw_record_leave. Each begins with the time, at which the timers that
 * are due fire and transmission goes on, as `Card.advance` does it.
 *
 * A wire that is full (EAGAIN) keeps frames in a backlog, because a replay's wire is never full: the input at
 * hand ends as if it had room, and then the transmitter is held until the backlog is empty. Both are inputs (HOLD).
 */
#include "record.h"

#include <endian.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "digest.h"
#include "irq.h"
#include "receive.h"
#include "threads.h"
#include "timer.h"
#include "transmit.h"

#define HEADER_BYTES 16u
#define WHOLE_WRITE 64u /* a DMA write up to this length is kept as it is, a longer one as its digest */
#define BACKLOG_BYTES (16u << 20)
#define NEEDS_CSUM 1u
#define ECN 2u

struct rw_recorder {
    pthread_mutex_t order;
    _Atomic int waiters; /* somebody wants the order lock: the wire's thread lets it pass */
    uint32_t depth;      /* order lock: enters without their leave */
    struct rw_tape *tape;
    uint64_t limit;
    bool ended, held;
    struct rw_record_status status;
    uint8_t *backlog; /* frames that a full wire did not take: struct waiting and its bytes, one behind the other */
    uint32_t backlog_at, backlog_end;
};

struct waiting {
    uint32_t length;
    bool offloaded;
    struct rw_offload offload;
};

static RW_THREAD_LOCAL uint32_t inside; /* enters of this thread */

/* -- records ------------------------------------------------------------------------------------------------- */

/* A record's header; returns where its data go, NULL when the recording has ended. */
static uint8_t *record(struct rw_recorder *recorder, uint32_t kind, uint32_t which, uint32_t amount, uint64_t value,
                       uint32_t length)
{
    uint8_t *at = recorder->ended ? NULL : rw_tape_room(recorder->tape, HEADER_BYTES + length);
    const uint16_t amount_le = htole16((uint16_t)amount);
    const uint32_t length_le = htole32(length);
    const uint64_t value_le = htole64(value);

    if (!at)
        return NULL;
    recorder->status.records++;
    at[0] = (uint8_t)kind;
    at[1] = (uint8_t)which;
    memcpy(at + 2, &amount_le, sizeof amount_le);
    memcpy(at + 4, &length_le, sizeof length_le);
    memcpy(at + 8, &value_le, sizeof value_le);
    return at + HEADER_BYTES;
}

static void record_data(struct rw_recorder *recorder, uint32_t kind, uint32_t which, uint64_t value,
                        const void *data, uint32_t length)
{
    uint8_t *at = record(recorder, kind, which, 0, value, length);

    if (at && length)
        memcpy(at, data, length);
}

static void put16(uint8_t *at, uint16_t value)
{
    value = htole16(value);
    memcpy(at, &value, sizeof value);
}

void rw_record_offload(uint8_t *at, const struct rw_offload *offload)
{
    put16(at, offload->csum_start);
    put16(at + 2, offload->csum_offset);
    at[4] = (uint8_t)((offload->needs_csum ? NEEDS_CSUM : 0) | (offload->ecn ? ECN : 0));
    at[5] = offload->gso;
    put16(at + 6, offload->hdr_len);
    put16(at + 8, offload->gso_size);
    put16(at + 10, 0);
}

/* Whether outcomes of this thread are an input's; what is done between inputs (a ring looked at) is nobody's. */
static bool listening(struct rw_card *card)
{
    return inside && !card->recorder->ended;
}

/* -- order and time ------------------------------------------------------------------------------------------ */

static uint64_t monotonic_ns(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static void lock_order(struct rw_recorder *recorder)
{
    atomic_fetch_add(&recorder->waiters, 1);
    pthread_mutex_lock(&recorder->order);
    atomic_fetch_sub(&recorder->waiters, 1);
}

static void end(struct rw_recorder *recorder, const char *reason)
{
    if (recorder->ended)
        return;
    record_data(recorder, RW_REC_END, 0, 0, reason, (uint32_t)strlen(reason));
    recorder->ended = true;
    rw_tape_flush(recorder->tape);
}

static void hold(struct rw_card *card, bool held)
{
    struct rw_recorder *recorder = card->recorder;

    record(recorder, RW_REC_HOLD, held, 0, 0, 0);
    recorder->held = held;
    atomic_store(&card->tx_blocked, held);
}

/* Time passes up to now: what rw_advance does, and the transmitter goes on if it can. */
static void begin(struct rw_card *card)
{
    struct rw_recorder *recorder = card->recorder;
    uint64_t now = monotonic_ns();

    if (recorder->limit && rw_tape_bytes(recorder->tape) >= recorder->limit)
        end(recorder, "the limit was reached");
    recorder->status.inputs++;
    recorder->status.lost += recorder->ended;
    if (recorder->held)
        atomic_store(&card->tx_blocked, true); /* a reset forgets it */
    pthread_mutex_lock(&card->irq_lock);
    if (now < atomic_load(&card->now))
        now = atomic_load(&card->now);
    record(recorder, RW_REC_ADVANCE, 1, 0, now, 0);
    rw_timer_fire_locked(card, now);
    pthread_mutex_unlock(&card->irq_lock);
    if (rw_tx_waits(card))
        rw_run(card);
}

uint64_t rw_record_enter(rw_card *card)
{
    struct rw_recorder *recorder = card->recorder;

    lock_order(recorder);
    inside++;
    if (!recorder->depth++)
        begin(card);
    return atomic_load(&card->now);
}

void rw_record_leave(rw_card *card)
{
    struct rw_recorder *recorder = card->recorder;
    bool wake = false;

    if (!--recorder->depth) {
        if (recorder->backlog_end && !recorder->held) {
            hold(card, true);
            wake = true;
        }
        if (rw_tape_flush_due(recorder->tape))
            rw_tape_flush(recorder->tape);
    }
    inside--;
    pthread_mutex_unlock(&recorder->order);
    if (wake)
        rw_wake(card);
}

void rw_record_put(rw_card *card, uint32_t kind, uint32_t which, uint32_t amount, uint64_t value,
                   const uint8_t *data, uint32_t length)
{
    uint8_t *at = record(card->recorder, kind, which, amount, value, length);

    if (at && length)
        memcpy(at, data, length);
}

/* -- inputs -------------------------------------------------------------------------------------------------- */

/* Writes after which the transmitter looks for work: device.card. (CTRL is Python's.) */
bool rw_record_makes_work(uint32_t offset)
{
    switch (offset) {
    case RW_TDT0:
    case RW_TDT1:
    case RW_TDH0:
    case RW_TDH1:
    case RW_TDLEN0:
    case RW_TDLEN1:
    case RW_TARC0:
    case RW_TARC1:
    case RW_TCTL:
    case RW_RCTL:
        return true;
    default:
        return false;
    }
}

uint32_t rw_record_read(struct rw_card *card, uint32_t offset)
{
    uint32_t value, stored;

    rw_record_enter(card);
    record(card->recorder, RW_REC_READ, 0, sizeof value, offset, 0);
    value = rw_read(card, offset);
    stored = htole32(value);
    record_data(card->recorder, RW_REC_ANSWER, 0, 0, &stored, sizeof stored);
    rw_record_leave(card);
    return value;
}

void rw_record_write(struct rw_card *card, uint32_t offset, uint32_t value)
{
    const uint32_t stored = htole32(value);

    rw_record_enter(card);
    record_data(card->recorder, RW_REC_WRITE, 0, offset, &stored, sizeof stored);
    rw_write(card, offset, value);
    if (rw_record_makes_work(rw_regs[offset / 4].canonical * 4u))
        rw_run(card);
    rw_record_leave(card);
}

static void frame_came(struct rw_card *card, uint32_t length, const struct rw_offload *offload)
{
    const struct rw_offload *work = offload->needs_csum ? offload : NULL;
    const uint32_t prefix = work ? RW_OFFLOAD_BYTES : 0;
    struct rw_rx_outcome outcome = {0};
    uint8_t *at;

    rw_record_enter(card);
    at = record(card->recorder, RW_REC_RECEIVE, work != NULL, 0, 0, prefix + length);
    if (at && work)
        rw_record_offload(at, work);
    if (at)
        memcpy(at + prefix, card->rx_data, length);
    pthread_mutex_lock(&card->rx_lock);
    rw_rx_frame_locked(card, card->rx_data, length, work, &outcome);
    pthread_mutex_unlock(&card->rx_lock);
    rw_rx_announce(card, &outcome);
    if (outcome.missed)
        rw_flow_missed(card);
    record(card->recorder, RW_REC_STORED, outcome.stored, 0, 0, 0);
    RW_COUNT(card, rx_batches, 1);
    rw_record_leave(card);
}

bool rw_record_frame(struct rw_card *card)
{
    struct rw_recorder *recorder = card->recorder;
    struct rw_offload offload;
    int32_t length = 0;

    while (atomic_load_explicit(&recorder->waiters, memory_order_relaxed))
        sched_yield();
    lock_order(recorder);
    pthread_mutex_lock(&card->rx_lock);
    if (rw_rx_wanted(card))
        length = rw_wire_read(card, &offload);
    pthread_mutex_unlock(&card->rx_lock);
    if (length > 0)
        frame_came(card, (uint32_t)length, &offload);
    pthread_mutex_unlock(&recorder->order);
    return length > 0;
}

void rw_record_starve(struct rw_card *card)
{
    rw_record_enter(card);
    record(card->recorder, RW_REC_STARVE, 0, 0, 0, 0);
    rw_flow_missed(card);
    rw_record_leave(card);
}

void rw_record_tick(struct rw_card *card)
{
    rw_record_enter(card);
    rw_record_leave(card);
}

/* -- the wire ------------------------------------------------------------------------------------------------ */

static void digest_of(const struct rw_fragment *frag, uint32_t count, uint64_t *value, uint32_t *length)
{
    struct rw_digest digest;

    rw_digest_begin(&digest);
    for (uint32_t n = 0; n < count; n++)
        rw_digest_add(&digest, frag[n].base, frag[n].length);
    *value = rw_digest_end(&digest);
    *length = (uint32_t)digest.total;
}

static void keep_waiting(struct rw_card *card, const struct rw_fragment *frag, uint32_t count,
                         const struct rw_offload *offload)
{
    struct rw_recorder *recorder = card->recorder;
    struct waiting waiting = {.offloaded = offload != NULL};
    uint8_t *at = recorder->backlog + recorder->backlog_end;

    for (uint32_t n = 0; n < count; n++)
        waiting.length += frag[n].length;
    if (recorder->backlog_end + sizeof waiting + waiting.length > BACKLOG_BYTES) {
        RW_COUNT(card, wire_lost, 1);
        return;
    }
    if (offload)
        waiting.offload = *offload;
    memcpy(at, &waiting, sizeof waiting);
    at += sizeof waiting;
    for (uint32_t n = 0; n < count; n++) {
        memcpy(at, frag[n].base, frag[n].length);
        at += frag[n].length;
    }
    recorder->backlog_end += (uint32_t)sizeof waiting + waiting.length;
}

enum rw_sent rw_record_send(struct rw_card *card, const struct rw_fragment *frag, uint32_t count,
                            const struct rw_offload *offload)
{
    struct rw_recorder *recorder = card->recorder;
    uint64_t value;
    uint32_t length;
    uint8_t *at;

    if (listening(card)) {
        uint8_t said[4 + RW_OFFLOAD_BYTES];

        digest_of(frag, count, &value, &length);
        length = htole32(length);
        memcpy(said, &length, sizeof length);
        if (offload)
            rw_record_offload(said + sizeof length, offload);
        at = record(recorder, RW_REC_FRAME_SUM, offload != NULL, 0, value, offload ? sizeof said : 4);
        if (at)
            memcpy(at, said, offload ? sizeof said : 4);
    }
    if (recorder->backlog_end || rw_wire_send_now(card, frag, count, offload) == RW_BLOCKED) {
        keep_waiting(card, frag, count, offload);
        RW_COUNT(card, wire_blocked, 1);
    }
    return RW_SENT;
}

/* Give the wire what waits, until it is full again. */
static void send_backlog(struct rw_card *card)
{
    struct rw_recorder *recorder = card->recorder;

    while (recorder->backlog_at < recorder->backlog_end) {
        struct rw_fragment whole;
        struct waiting waiting;

        memcpy(&waiting, recorder->backlog + recorder->backlog_at, sizeof waiting);
        whole = (struct rw_fragment){recorder->backlog + recorder->backlog_at + sizeof waiting, waiting.length};
        if (rw_wire_send_now(card, &whole, 1, waiting.offloaded ? &waiting.offload : NULL) == RW_BLOCKED)
            return;
        recorder->backlog_at += (uint32_t)sizeof waiting + waiting.length;
    }
    recorder->backlog_at = recorder->backlog_end = 0;
}

void rw_record_writable(struct rw_card *card)
{
    struct rw_recorder *recorder = card->recorder;
    bool empty;

    rw_record_enter(card);
    pthread_mutex_lock(&card->tx_lock);
    send_backlog(card);
    empty = !recorder->backlog_end && rw_wire_flush(card);
    pthread_mutex_unlock(&card->tx_lock);
    if (empty && recorder->held) {
        hold(card, false);
        rw_run(card);
    } else if (empty) {
        atomic_store(&card->tx_blocked, false);
    }
    rw_record_leave(card);
}

/* -- outcomes ------------------------------------------------------------------------------------------------ */

static void fault(struct rw_card *card, uint32_t kind, uint64_t address, uint32_t length, bool tried)
{
    const uint32_t length_le = htole32(length);

    record_data(card->recorder, kind, tried, address, &length_le, sizeof length_le);
}

void rw_record_loaded(struct rw_card *card, uint64_t address, const void *data, uint32_t length, bool done,
                      bool tried)
{
    if (!length || !listening(card))
        return;
    if (done)
        record_data(card->recorder, RW_REC_DMA_READ, 0, address, data, length);
    else
        fault(card, RW_REC_DMA_READ_FAULT, address, length, tried);
}

void rw_record_stored(struct rw_card *card, uint64_t address, const void *data, uint32_t length, bool done)
{
    uint64_t value;
    uint8_t *at;

    if (!length || !listening(card))
        return;
    if (!done) {
        fault(card, RW_REC_DMA_WRITE_FAULT, address, length, false);
    } else if (length <= WHOLE_WRITE) {
        record_data(card->recorder, RW_REC_DMA_WRITE, 0, address, data, length);
    } else {
        at = record(card->recorder, RW_REC_DMA_WRITE_SUM, 0, 0, address, 12);
        if (!at)
            return;
        length = htole32(length);
        value = htole64(rw_digest_of(data, le32toh(length)));
        memcpy(at, &length, sizeof length);
        memcpy(at + sizeof length, &value, sizeof value);
    }
}

void rw_record_message(struct rw_card *card, uint32_t vector)
{
    if (listening(card))
        record(card->recorder, RW_REC_SIGNAL, vector, 0, 0, 0);
}

void rw_record_line(struct rw_card *card, bool level)
{
    if (listening(card))
        record(card->recorder, RW_REC_LEVEL, level, 0, 0, 0);
}

/* -- a recorder's life --------------------------------------------------------------------------------------- */

static void free_recorder(struct rw_recorder *recorder)
{
    pthread_mutex_destroy(&recorder->order);
    free(recorder->backlog);
    free(recorder);
}

int rw_record_start(rw_card *card, int fd, uint64_t limit_bytes)
{
    struct rw_recorder *recorder = calloc(1, sizeof *recorder);
    pthread_mutexattr_t attributes;

    if (!recorder)
        return -ENOMEM;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&recorder->order, &attributes);
    pthread_mutexattr_destroy(&attributes);
    recorder->limit = limit_bytes;
    recorder->backlog = malloc(BACKLOG_BYTES);
    recorder->tape = recorder->backlog ? rw_tape_new(fd) : NULL;
    if (!recorder->tape) {
        free_recorder(recorder);
        return -ENOMEM;
    }
    card->recorder = recorder;
    return 0;
}

void rw_record_status_of(rw_card *card, struct rw_record_status *out)
{
    struct rw_recorder *recorder = card->recorder;

    lock_order(recorder);
    recorder->status.bytes = rw_tape_bytes(recorder->tape);
    recorder->status.waits = rw_tape_waits(recorder->tape);
    recorder->status.error = rw_tape_error(recorder->tape);
    *out = recorder->status;
    pthread_mutex_unlock(&recorder->order);
}

int rw_record_stop(rw_card *card, const char *reason)
{
    struct rw_recorder *recorder = card->recorder;
    int result;

    if (!recorder)
        return 0;
    end(recorder, reason);
    result = rw_tape_close(recorder->tape);
    card->recorder = NULL;
    free_recorder(recorder);
    return result;
}
