/*
 * The wire of a recorded card. One that is full (EAGAIN) keeps frames in a backlog, because a replay's wire is never
 * full: the input at hand ends as if it had room, and then the transmitter is held until the backlog is empty. Both
 * are inputs (HOLD). What does not fit into the backlog is lost, as on a cable whose other end drops.
 */
#include <endian.h>

#include "digest.h"
#include "recorder.h"

struct waiting {
    uint32_t length;
    bool offloaded;
    struct rw_offload offload;
};

static void digest_of(const struct rw_frame *frame, uint64_t *value, uint32_t *length)
{
    struct rw_digest digest;

    rw_digest_begin(&digest);
    for (uint32_t n = 0; n < frame->count; n++)
        rw_digest_add(&digest, frame->piece[n].base, frame->piece[n].length);
    *value = rw_digest_end(&digest);
    *length = (uint32_t)digest.total;
}

static void keep_waiting(struct rw_card *card, const struct rw_frame *frame, const struct rw_offload *offload)
{
    struct rw_recorder *recorder = card->recorder;
    struct waiting waiting = {.length = frame->size, .offloaded = offload != NULL};
    uint8_t *at = recorder->backlog + recorder->backlog_end;

    if (recorder->backlog_end + sizeof waiting + waiting.length > RW_BACKLOG_BYTES) {
        RW_COUNT(card, wire_lost, 1);
        return;
    }
    if (offload)
        waiting.offload = *offload;
    memcpy(at, &waiting, sizeof waiting);
    rw_frame_copy(frame, 0, at + sizeof waiting, frame->size);
    recorder->backlog_end += (uint32_t)sizeof waiting + waiting.length;
}

enum rw_sent rw_record_send(struct rw_card *card, struct rw_frame *frame, const struct rw_offload *offload)
{
    struct rw_recorder *recorder = card->recorder;
    uint64_t value;
    uint32_t length;
    uint8_t *at;

    if (rw_recorder_listening(card)) {
        uint8_t said[4 + RW_OFFLOAD_BYTES];

        digest_of(frame, &value, &length);
        length = htole32(length);
        memcpy(said, &length, sizeof length);
        if (offload)
            rw_record_offload(said + sizeof length, offload);
        at = rw_recorder_record(recorder, RW_REC_FRAME_SUM, offload != NULL, 0, value, offload ? sizeof said : 4);
        if (at)
            memcpy(at, said, offload ? sizeof said : 4);
    }
    if (recorder->backlog_end || rw_wire_send_now(card, frame, offload) == RW_BLOCKED) {
        keep_waiting(card, frame, offload);
        RW_COUNT(card, wire_blocked, 1);
    }
    return RW_SENT;
}

/* Give the wire what waits, until it is full again. */
static void send_backlog(struct rw_card *card)
{
    struct rw_recorder *recorder = card->recorder;

    while (recorder->backlog_at < recorder->backlog_end) {
        struct rw_frame whole;
        struct waiting waiting;

        memcpy(&waiting, recorder->backlog + recorder->backlog_at, sizeof waiting);
        rw_frame_of(&whole, recorder->backlog + recorder->backlog_at + sizeof waiting, waiting.length);
        if (rw_wire_send_now(card, &whole, waiting.offloaded ? &waiting.offload : NULL) == RW_BLOCKED)
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
        rw_recorder_hold(card, false);
        rw_run(card);
    } else if (empty) {
        atomic_store(&card->tx_blocked, false);
    }
    rw_record_leave(card);
}
