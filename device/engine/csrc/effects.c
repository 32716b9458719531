/*
 * What left the card, for a caller that has no descriptors attached: device.effects as records in a buffer.
 * It grows, so it is not for the hot path: with descriptors attached nothing comes here.
 */
#include <stdlib.h>

#include "card.h"
#include "play.h"

/* Make room for `length` more bytes and return where they go; the caller adds them to the length. */
static uint8_t *room_for(struct rw_buffer *buffer, size_t length)
{
    if (buffer->length + length > buffer->room) {
        size_t room = buffer->room ? buffer->room : 65536;
        uint8_t *more;

        while (room < buffer->length + length)
            room *= 2;
        more = realloc(buffer->bytes, room);
        if (!more)
            return NULL;
        buffer->bytes = more;
        buffer->room = room;
    }
    return buffer->bytes + buffer->length;
}

static void record(struct rw_card *card, const struct rw_effect *effect)
{
    uint8_t *at;

    pthread_mutex_lock(&card->effect_lock);
    at = room_for(&card->effects, sizeof *effect);
    if (at) {
        memcpy(at, effect, sizeof *effect);
        card->effects.length += sizeof *effect;
    }
    pthread_mutex_unlock(&card->effect_lock);
}

/* Without the lock, because it reads guest memory under a guard; frames become effects only where there is one
 * caller and no thread of ours. */
void rw_effect_frame(struct rw_card *card, const struct rw_frame *frame, const struct rw_offload *offload)
{
    struct rw_effect effect;
    size_t padded;
    uint8_t *at;

    if (card->play) {
        rw_play_frame(card, frame, offload);
        return;
    }
    memset(&effect, 0, sizeof effect);
    effect.kind = RW_FRAME_SENT;
    effect.length = frame->size;
    if (offload) {
        effect.offloaded = true;
        effect.offload = *offload;
    }
    padded = (effect.length + 7u) & ~(size_t)7;
    at = room_for(&card->effects, sizeof effect + padded);
    if (!at)
        return;
    memcpy(at, &effect, sizeof effect);
    at += sizeof effect;
    rw_frame_copy(frame, 0, at, frame->size);
    card->effects.length += sizeof effect + padded;
}

void rw_effect(struct rw_card *card, uint32_t kind, uint64_t value)
{
    struct rw_effect effect;

    if (card->play && kind != RW_WAKE) {
        rw_play_signal(card, kind, value);
        return;
    }
    memset(&effect, 0, sizeof effect);
    effect.kind = kind;
    effect.address = value;
    record(card, &effect);
}

void rw_fault(struct rw_card *card, uint64_t address, uint32_t length, bool write)
{
    struct rw_effect effect;

    atomic_fetch_add_explicit(&card->account.faults, 1, memory_order_relaxed);
    if (card->live || card->play)
        return; /* a guest can make millions: they are counted */
    memset(&effect, 0, sizeof effect);
    effect.kind = RW_FAULT;
    effect.address = address;
    effect.size = length;
    effect.write = write;
    record(card, &effect);
}

const uint8_t *rw_effects(rw_card *card, size_t *length)
{
    *length = card->effects.length;
    return card->effects.bytes;
}

void rw_effects_forget(rw_card *card)
{
    pthread_mutex_lock(&card->effect_lock);
    card->effects.length = 0;
    pthread_mutex_unlock(&card->effect_lock);
}
