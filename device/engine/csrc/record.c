/*
 * The recorder: one order for all inputs, and a record of each and of what came of it (device.trace.records).
 * Python twin: device.trace.card, for an engine that is called by one thread.
 *
 * Inputs are what threads do to a running card: accesses of the pump, frames off the wire, the passing of time; and
 * what Python does, between rw_record_enter and rw_record_leave. Each begins with the time, at which the timers that
 * are due fire and transmission goes on, as `Card.advance` does it.
 *
 * What comes of an input is written down by outcome.c; a wire that is full by backlog.c.
 */
#include "recorder.h"

#include <endian.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "irq.h"
#include "receive.h"
#include "threads.h"
#include "timer.h"
#include "transmit.h"

#define HEADER_BYTES 16u
#define NEEDS_CSUM 1u
#define ECN 2u

static RW_THREAD_LOCAL uint32_t inside; /* enters of this thread */

/* -- records ------------------------------------------------------------------------------------------------- */

uint8_t *rw_recorder_record(struct rw_recorder *recorder, uint32_t kind, uint32_t which, uint32_t amount,
                            uint64_t value, uint32_t length)
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

void rw_recorder_data(struct rw_recorder *recorder, uint32_t kind, uint32_t which, uint64_t value,
                      const void *data, uint32_t length)
{
    uint8_t *at = rw_recorder_record(recorder, kind, which, 0, value, length);

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

bool rw_recorder_listening(struct rw_card *card)
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
    rw_recorder_data(recorder, RW_REC_END, 0, 0, reason, (uint32_t)strlen(reason));
    recorder->ended = true;
    rw_tape_flush(recorder->tape);
}

void rw_recorder_hold(struct rw_card *card, bool held)
{
    struct rw_recorder *recorder = card->recorder;

    rw_recorder_record(recorder, RW_REC_HOLD, held, 0, 0, 0);
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
    rw_recorder_record(recorder, RW_REC_ADVANCE, 1, 0, now, 0);
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
            rw_recorder_hold(card, true);
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
    uint8_t *at = rw_recorder_record(card->recorder, kind, which, amount, value, length);

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
    rw_recorder_record(card->recorder, RW_REC_READ, 0, sizeof value, offset, 0);
    value = rw_read(card, offset);
    stored = htole32(value);
    rw_recorder_data(card->recorder, RW_REC_ANSWER, 0, 0, &stored, sizeof stored);
    rw_record_leave(card);
    return value;
}

void rw_record_write(struct rw_card *card, uint32_t offset, uint32_t value)
{
    const uint32_t stored = htole32(value);

    rw_record_enter(card);
    rw_recorder_data(card->recorder, RW_REC_WRITE, 0, offset, &stored, sizeof stored);
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
    at = rw_recorder_record(card->recorder, RW_REC_RECEIVE, work != NULL, 0, 0, prefix + length);
    if (at && work)
        rw_record_offload(at, work);
    if (at)
        memcpy(at + prefix, card->rx_frame, length);
    pthread_mutex_lock(&card->rx_lock);
    rw_rx_frame_locked(card, card->rx_frame, length, work, &outcome);
    pthread_mutex_unlock(&card->rx_lock);
    rw_rx_announce(card, &outcome);
    rw_recorder_record(card->recorder, RW_REC_STORED, outcome.stored, 0, 0, 0);
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

void rw_record_tick(struct rw_card *card)
{
    rw_record_enter(card);
    rw_record_leave(card);
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
    recorder->backlog = malloc(RW_BACKLOG_BYTES);
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
