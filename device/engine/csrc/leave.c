/*
 * A whole frame leaves: offloads, VLAN tag, padding, statistics, then the wire, the loop or the effects.
 * Guest memory is not copied but for what is changed: a header, or a frame whose checksum is ours to make.
 * Python twin: Transmitter._finish and below in device.engine.reference.transmit.
 */
#include "checksum.h"
#include "clock.h"
#include "receive.h"
#include "stats.h"
#include "timer.h"
#include "transmit.h"

#define ADDRESSES 12u /* the VLAN tag goes behind them */

void rw_frame_add(struct rw_frame *frame, const uint8_t *base, uint32_t length)
{
    if (!length)
        return;
    frame->frag[frame->count++] = (struct rw_fragment){base, length};
    frame->size += length;
}

void rw_frame_copy(const struct rw_frame *frame, uint32_t at, uint8_t *to, uint32_t length)
{
    for (uint32_t n = 0; n < frame->count && length; n++) {
        const struct rw_fragment *piece = &frame->frag[n];
        uint32_t part;

        if (at >= piece->length) {
            at -= piece->length;
            continue;
        }
        part = piece->length - at < length ? piece->length - at : length;
        memcpy(to, piece->base + at, part);
        to += part;
        length -= part;
        at = 0;
    }
}

void rw_frame_behind(const struct rw_frame *frame, uint32_t length, const uint8_t *head, struct rw_frame *out)
{
    uint32_t skip = length;

    out->count = out->size = 0;
    rw_frame_add(out, head, length);
    for (uint32_t n = 0; n < frame->count; n++) {
        const struct rw_fragment *piece = &frame->frag[n];
        const uint32_t part = skip < piece->length ? skip : piece->length;

        skip -= part;
        rw_frame_add(out, piece->base + part, piece->length - part);
    }
}

static void linear(struct rw_frame *frame, uint8_t *scratch)
{
    const uint32_t size = frame->size;

    rw_frame_copy(frame, 0, scratch, size);
    frame->count = frame->size = 0;
    rw_frame_add(frame, scratch, size);
}

bool rw_looped(struct rw_card *card)
{
    return atomic_load_explicit(&card->loopback, memory_order_relaxed) ||
           (rw_get(card, RW_RCTL) & RW_RCTL_LBM) == 1u << RW_RCTL_LBM_SHIFT;
}

static void count(struct rw_card *card, enum rw_cast cast, uint32_t size, const struct rw_offload *offload)
{
    uint32_t payload, full, rest;

    if (!offload || !offload->gso) {
        rw_stats_sent(card, cast, size + RW_FCS_BYTES, 1);
        return;
    }
    payload = size - offload->hdr_len;
    full = payload / offload->gso_size;
    rest = payload % offload->gso_size;
    if (full)
        rw_stats_sent(card, cast, offload->hdr_len + offload->gso_size + RW_FCS_BYTES, full);
    if (rest)
        rw_stats_sent(card, cast, offload->hdr_len + rest + RW_FCS_BYTES, 1);
}

static bool send(struct rw_card *card, struct rw_frame *frame, const struct rw_offload *offload)
{
    uint8_t destination[6] = {0};
    enum rw_cast cast;

    rw_frame_copy(frame, 0, destination, frame->size < 6 ? frame->size : 6);
    cast = rw_cast_of(destination, frame->size);
    if (rw_looped(card)) {
        const uint32_t size = frame->size;

        card->tx_work += RW_WORK_LOOPED;
        count(card, cast, size, offload);
        rw_frame_copy(frame, 0, card->loop, size);
        rw_rx_loop(card, card->loop, size);
        return true;
    }
    if (card->wire_attached || card->live) { /* without a wire, and threads: into the void */
        if (rw_wire_send(card, frame->frag, frame->count, offload) == RW_BLOCKED)
            return false;
    } else {
        rw_effect_frame(card, frame->frag, frame->count, offload);
    }
    count(card, cast, frame->size, offload);
    return true;
}

/* Tag and pad the frame, then send it. */
static bool leave(struct rw_card *card, struct rw_frame *frame, struct rw_offload *offload, uint32_t low,
                  uint32_t high)
{
    static const uint8_t zeros[RW_MIN_FRAME];
    struct rw_frame tagged;
    uint8_t head[ADDRESSES + RW_TAG_BYTES];

    if (low & RW_TXD_VLE && rw_get(card, RW_CTRL) & RW_CTRL_VME && frame->size >= ADDRESSES) {
        const uint32_t vet = rw_get(card, RW_VET);
        struct rw_frame rest;

        rw_frame_copy(frame, 0, head, ADDRESSES);
        head[12] = (uint8_t)(vet >> 8);
        head[13] = (uint8_t)vet;
        head[14] = (uint8_t)(high >> 24);
        head[15] = (uint8_t)(high >> 16);
        rw_frame_behind(frame, ADDRESSES, head, &rest);
        tagged.count = tagged.size = 0;
        rw_frame_add(&tagged, head, sizeof head);
        for (uint32_t n = 1; n < rest.count; n++)
            rw_frame_add(&tagged, rest.frag[n].base, rest.frag[n].length);
        frame = &tagged;
        if (offload) {
            offload->csum_start = (uint16_t)(offload->csum_start + RW_TAG_BYTES);
            if (offload->gso)
                offload->hdr_len = (uint16_t)(offload->hdr_len + RW_TAG_BYTES);
        }
    }
    if (frame->size < RW_MIN_FRAME && rw_get(card, RW_TCTL) & RW_TCTL_PSP)
        rw_frame_add(frame, zeros, RW_MIN_FRAME - frame->size);
    if (!frame->size)
        return true;
    return send(card, frame, offload);
}

/* Put the IP checksum in, and leave TCP's or UDP's to the wire where it can take it. */
static bool with_checksums(struct rw_card *card, struct rw_txq *queue, struct rw_frame *frame, uint32_t low,
                           uint32_t high)
{
    const struct rw_context *context = &queue->context;
    struct rw_offload offload = {0};
    uint32_t options = queue->options;
    uint8_t head[RW_HEAD_BYTES];
    struct rw_frame changed;
    bool left = false;

    if (card->offload && !rw_looped(card) && options & RW_POPTS_TXSM) {
        left = rw_left_to_wire(frame->size, context, &offload);
        if (left)
            options &= ~RW_POPTS_TXSM;
    }
    if (options == RW_POPTS_IXSM && rw_sum_end(context->ipcse, frame->size) <= sizeof head) {
        const uint32_t size = frame->size < sizeof head ? frame->size : (uint32_t)sizeof head;

        rw_frame_copy(frame, 0, head, size);
        rw_sum_insert(head, size, context->ipcss, rw_sum_end(context->ipcse, frame->size), context->ipcso, 0);
        rw_frame_behind(frame, size, head, &changed);
        frame = &changed;
    } else if (options) {
        linear(frame, card->segment);
        rw_put_checksums(card->segment, frame->size, context, options, 0);
    }
    return leave(card, frame, left ? &offload : NULL, low, high);
}

static bool segmented(struct rw_card *card, struct rw_txq *queue, struct rw_frame *frame, uint32_t low,
                      uint32_t high)
{
    const struct rw_context *context = &queue->segmentation;
    const uint32_t options = queue->options;
    struct rw_offload offload = {0};

    if (!rw_segments_valid(frame->size, context)) {
        rw_tally(card, RW_TSCTFC, 1);
        return true;
    }
    if (card->offload && !rw_looped(card) && rw_passes_whole(frame->size, context, options)) {
        uint8_t head[RW_HEAD_BYTES];
        struct rw_frame changed;
        uint32_t size = frame->size < sizeof head ? frame->size : (uint32_t)sizeof head;
        bool sent;

        if (options & RW_POPTS_IXSM && rw_sum_end(context->ipcse, frame->size) > size) {
            linear(frame, card->segment); /* the IP sum reaches far: no driver does that */
            rw_whole_header(card->segment, frame->size, frame->size, context, options, &offload);
            changed = *frame;
        } else {
            rw_frame_copy(frame, 0, head, size);
            rw_whole_header(head, size, frame->size, context, options, &offload);
            rw_frame_behind(frame, size, head, &changed);
        }
        sent = leave(card, &changed, &offload, low, high);
        if (sent)
            rw_tally(card, RW_TSCTC, 1);
        return sent;
    }
    if (!queue->resume)
        rw_tally(card, RW_TSCTC, 1);
    for (uint32_t n = queue->resume; n < rw_segment_count(frame->size, context); n++) {
        struct rw_frame one;

        card->tx_work += RW_WORK_SEGMENT;
        one.count = one.size = 0;
        rw_frame_add(&one, card->segment, rw_cut(frame, context, options, n, card->segment));
        if (!leave(card, &one, NULL, low, high)) {
            queue->resume = n;
            if (!n) /* nothing has left: the whole is done again */
                rw_put(card, RW_TSCTC, rw_get(card, RW_TSCTC) - 1);
            return false;
        }
    }
    return true;
}

/* Whether the frame ends with the FCS that its driver computed. */
static bool fcs_right(const struct rw_frame *frame)
{
    uint8_t last[RW_FCS_BYTES];
    uint32_t crc = 0, left = frame->size - RW_FCS_BYTES;

    for (uint32_t n = 0; n < frame->count && left; n++) {
        const uint32_t part = frame->frag[n].length < left ? frame->frag[n].length : left;

        crc = rw_fcs(crc, frame->frag[n].base, part);
        left -= part;
    }
    rw_frame_copy(frame, frame->size - RW_FCS_BYTES, last, sizeof last);
    return last[0] == (crc & 0xff) && last[1] == (crc >> 8 & 0xff) && last[2] == (crc >> 16 & 0xff) &&
           last[3] == crc >> 24;
}

static void shorten(struct rw_frame *frame, uint32_t by)
{
    frame->size -= by;
    while (by) {
        struct rw_fragment *last = &frame->frag[frame->count - 1];
        const uint32_t part = last->length < by ? last->length : by;

        last->length -= part;
        by -= part;
        if (!last->length)
            frame->count--;
    }
}

bool rw_finish(struct rw_card *card, struct rw_txq *queue, uint32_t low, uint32_t high)
{
    struct rw_frame frame; /* a kilobyte: not to be cleared for each */

    if (queue->dropping) {
        if (queue->segmenting)
            rw_tally(card, RW_TSCTFC, 1);
        return true;
    }
    frame.count = frame.size = 0;
    rw_frame_add(&frame, queue->store, queue->stored);
    for (uint32_t n = 0; n < queue->frags; n++)
        rw_frame_add(&frame, queue->frag[n].base, queue->frag[n].length);
    if (!frame.size)
        return true;
    if (queue->segmenting && low & RW_TXD_DEXT)
        return segmented(card, queue, &frame, low, high);
    if (!queue->options && low & RW_TXD_IC && !(low & RW_TXD_DEXT)) {
        linear(&frame, card->segment); /* CSS of the first descriptor to the end, into CSO of the last */
        rw_sum_insert(card->segment, frame.size, queue->css, frame.size, low >> 16 & 0xff, 0);
    } else if (!queue->options && !(low & (RW_TXD_IFCS | RW_TXD_VLE))) {
        if (frame.size < RW_FCS_BYTES || !fcs_right(&frame))
            return true;
        shorten(&frame, RW_FCS_BYTES);
    }
    if (queue->stamp)
        rw_clock_stamp(card, RW_TSYNCTXCTL, RW_TXSTMPL);
    if (queue->options)
        return with_checksums(card, queue, &frame, low, high);
    return leave(card, &frame, NULL, low, high);
}
