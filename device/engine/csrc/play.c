/*
 * A recording of this engine played again by C: an input goes in, and each outcome has to be the recording's next,
 * in its order and its pieces. Python twin: device.trace.player, which forgives another order and other pieces, and
 * is asked (device.trace.native_player) when this one finds a difference.
 *
 * Inputs that only Python can do (configuration space, PHY, resets) end a run; Python does them and calls again.
 * A recording is a file that anybody may have made: no length in it is believed before it is checked; every
 * block was surveyed (rw_records_survey) before its place comes here.
 */
#include "play.h"

#include <endian.h>
#include <stdlib.h>

#include "digest.h"
#include "record.h"
#include "transmit.h"

#define HEADER_BYTES 16u

struct record {
    uint32_t kind, which, amount, length;
    uint64_t value;
    const uint8_t *data;
};

struct rw_play {
    struct rw_card *card;
    const uint8_t *file;
    const uint64_t *starts, *lengths; /* of blocks, in the file */
    uint32_t blocks;
    uint32_t block; /* the place of the next record */
    uint64_t at;
    bool held, differs;
    struct rw_play_status status;
};

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

int64_t rw_records_survey(const uint8_t *records, size_t length, uint32_t *last)
{
    int64_t count = 0;

    *last = 0;
    while (length) {
        uint32_t data;

        if (length < HEADER_BYTES)
            return -1;
        data = get32(records + 4);
        if (data > length - HEADER_BYTES)
            return -1;
        *last = records[0];
        records += HEADER_BYTES + data;
        length -= HEADER_BYTES + data;
        count++;
    }
    return count;
}

/* -- where we are -------------------------------------------------------------------------------------------- */

/* The next record, not taken; false at the recording's end. */
static bool peek(struct rw_play *play, struct record *out)
{
    const uint8_t *at;

    while (play->block < play->blocks && play->at >= play->lengths[play->block]) {
        play->block++;
        play->at = 0;
    }
    if (play->block >= play->blocks || play->lengths[play->block] - play->at < HEADER_BYTES)
        return false;
    at = play->file + play->starts[play->block] + play->at;
    out->kind = at[0];
    out->which = at[1];
    out->amount = get16(at + 2);
    out->length = get32(at + 4);
    out->value = get64(at + 8);
    out->data = at + HEADER_BYTES;
    return out->length <= play->lengths[play->block] - play->at - HEADER_BYTES;
}

static void take(struct rw_play *play, const struct record *record)
{
    play->at += HEADER_BYTES + record->length;
}

static bool is_input(const struct record *record)
{
    return record->kind >= 1 && record->kind < 16;
}

static bool is_outcome(const struct record *record)
{
    return record->kind >= 16 && record->kind < 32;
}

/* The next outcome of the input at hand, if it is of a kind; it is taken. */
static bool expect(struct rw_play *play, uint32_t kind, struct record *out)
{
    if (!play->differs && peek(play, out) && out->kind == kind) {
        take(play, out);
        return true;
    }
    return false;
}

static void judge(struct rw_play *play, bool same)
{
    play->differs |= !same;
}

/* -- outcomes ------------------------------------------------------------------------------------------------ */

static int read_memory(struct rw_play *play, uint64_t address, uint32_t length, void *data)
{
    struct record found;

    if (expect(play, RW_REC_DMA_READ, &found)) {
        judge(play, found.value == address && found.length == length);
        if (play->differs)
            return 1;
        memcpy(data, found.data, length);
        return 0;
    }
    judge(play, expect(play, RW_REC_DMA_READ_FAULT, &found) && found.value == address && found.length == 4 &&
                    get32(found.data) == length);
    return 1;
}

static int write_memory(struct rw_play *play, uint64_t address, uint32_t length, const void *data)
{
    struct record found;

    if (expect(play, RW_REC_DMA_WRITE, &found)) {
        judge(play, found.value == address && found.length == length && !memcmp(found.data, data, length));
        return 0;
    }
    if (expect(play, RW_REC_DMA_WRITE_SUM, &found)) {
        judge(play, found.value == address && found.length == 12 && get32(found.data) == length &&
                        get64(found.data + 4) == rw_digest_of(data, length));
        return 0;
    }
    judge(play, expect(play, RW_REC_DMA_WRITE_FAULT, &found) && found.value == address && found.length == 4 &&
                    get32(found.data) == length);
    return 1;
}

static int memory(void *context, uint64_t address, uint32_t length, void *data, int write)
{
    return write ? write_memory(context, address, length, data) : read_memory(context, address, length, data);
}

void rw_play_frame(struct rw_card *card, const struct rw_frame *frame, const struct rw_offload *offload)
{
    struct rw_play *play = card->play;
    struct rw_digest digest;
    struct record found;
    uint8_t said[RW_OFFLOAD_BYTES];

    rw_digest_begin(&digest);
    for (uint32_t n = 0; n < frame->count; n++)
        rw_digest_add(&digest, frame->piece[n].base, frame->piece[n].length);
    play->status.frames_sent += rw_frames_of(frame->size, offload);
    if (!expect(play, RW_REC_FRAME_SUM, &found)) {
        judge(play, false);
        return;
    }
    judge(play, found.length == (offload ? 4 + RW_OFFLOAD_BYTES : 4) && found.which == (offload != NULL) &&
                    found.value == rw_digest_end(&digest) && get32(found.data) == digest.total);
    if (offload && !play->differs) {
        rw_record_offload(said, offload);
        judge(play, !memcmp(said, found.data + 4, sizeof said));
    }
}

void rw_play_signal(struct rw_card *card, uint32_t kind, uint64_t value)
{
    struct rw_play *play = card->play;
    struct record found;

    play->status.interrupts += kind == RW_MESSAGE || value;
    judge(play, expect(play, kind == RW_MESSAGE ? RW_REC_SIGNAL : RW_REC_LEVEL, &found) && found.which == value);
}

/* -- inputs -------------------------------------------------------------------------------------------------- */

static void work(struct rw_play *play)
{
    if (!play->held)
        play->status.descriptors += rw_run(play->card);
}

static bool register_of_ours(const struct record *given, uint32_t count)
{
    return given->which == 0 && count == 4 && given->value < RW_BAR_BYTES && given->value % 4 == 0 &&
           rw_regs[given->value / 4].owner == RW_OWN_ENGINE;
}

static void play_read(struct rw_play *play, const struct record *given)
{
    const uint32_t value = rw_read(play->card, (uint32_t)given->value);
    struct record found;

    judge(play, expect(play, RW_REC_ANSWER, &found) && found.length == 4 && get32(found.data) == value);
}

static void play_write(struct rw_play *play, const struct record *given)
{
    rw_write(play->card, (uint32_t)given->value, get32(given->data));
    if (rw_record_makes_work(rw_regs[given->value / 4].canonical * 4u))
        work(play);
}

static void play_frame(struct rw_play *play, const struct record *given)
{
    const uint32_t prefix = given->which ? RW_OFFLOAD_BYTES : 0;
    struct rw_offload offload = {0};
    struct record found;
    bool stored;

    if (given->length < prefix) {
        judge(play, false);
        return;
    }
    if (prefix) {
        offload.csum_start = get16(given->data);
        offload.csum_offset = get16(given->data + 2);
        offload.needs_csum = given->data[4] & 1;
    }
    stored = rw_receive(play->card, given->data + prefix, given->length - prefix, prefix ? &offload : NULL);
    judge(play, expect(play, RW_REC_STORED, &found) && found.which == stored);
}

/* One input that is ours; false: it is not, and nothing was done. */
static bool play_input(struct rw_play *play, const struct record *given)
{
    switch (given->kind) {
    case RW_REC_ADVANCE:
        if (!given->which)
            return false;
        take(play, given);
        play->status.time_ns = given->value;
        rw_advance(play->card, given->value);
        work(play);
        return true;
    case RW_REC_READ:
        if (!register_of_ours(given, given->amount))
            return false;
        take(play, given);
        play_read(play, given);
        return true;
    case RW_REC_WRITE:
        if (!register_of_ours(given, given->length))
            return false;
        take(play, given);
        play_write(play, given);
        return true;
    case RW_REC_RECEIVE:
        take(play, given);
        play_frame(play, given);
        return true;
    case RW_REC_HOLD:
        take(play, given);
        play->held = given->which;
        work(play);
        return true;
    default:
        return false;
    }
}

static int run(struct rw_play *play)
{
    struct record next;

    for (;;) {
        if (!peek(play, &next) || next.kind == RW_REC_END)
            return RW_PLAY_END;
        if (!is_input(&next)) { /* a note; or what the card did when it was powered on, which it did again */
            if (is_outcome(&next) && play->status.inputs)
                return RW_PLAY_DIFFERS;
            take(play, &next);
            continue;
        }
        if (!play_input(play, &next))
            return RW_PLAY_FOREIGN;
        if (play->differs)
            return RW_PLAY_DIFFERS;
        play->status.inputs++;
    }
}

rw_play *rw_play_new(rw_card *card, const uint8_t *file, const uint64_t *starts, const uint64_t *lengths,
                     uint32_t blocks)
{
    struct rw_play *play = calloc(1, sizeof *play);

    if (!play)
        return NULL;
    play->card = card;
    play->file = file;
    play->starts = starts;
    play->lengths = lengths;
    play->blocks = blocks;
    return play;
}

void rw_play_free(rw_play *play)
{
    free(play);
}

/* Play from a place on; the status says where it ended. The card is called by nobody else meanwhile. */
int rw_play_run(rw_play *play, uint32_t block, uint64_t at, struct rw_play_status *out)
{
    struct rw_card *card = play->card;
    const rw_slow_dma slow = card->slow;
    void *const context = card->slow_context;
    int result;

    play->block = block;
    play->at = at;
    rw_dma_slow(card, memory, play);
    card->play = play;
    result = run(play);
    card->play = NULL;
    rw_dma_slow(card, slow, context);
    play->status.held = play->held;
    play->status.block = play->block;
    play->status.at = play->at;
    *out = play->status;
    return result;
}
