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

/* Put the whole frame into a buffer of ours, where it is read for a sum and then sent. */
static void linear(const struct rw_frame *frame, uint8_t *scratch)
{
    rw_frame_copy(frame, 0, scratch, frame->size);
}

bool rw_looped(struct rw_card *card)
{
    return atomic_load_explicit(&card->loopback, memory_order_relaxed) ||
           (rw_get(card, RW_RCTL) & RW_RCTL_LBM) == 1u << RW_RCTL_LBM_SHIFT;
}

uint32_t rw_frames_of(uint32_t size, const struct rw_offload *offload)
{
    if (!offload || !offload->gso)
        return 1;
    return (size - offload->hdr_len + offload->gso_size - 1) / offload->gso_size;
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
    const enum rw_cast cast = rw_cast_of(rw_frame_head(frame), frame->size);

    if (rw_looped(card)) {
        const uint32_t size = frame->size;

        card->tx_work += RW_WORK_LOOPED + (size >> RW_WORK_FCS_BITS);
        count(card, cast, size, offload);
        if (frame->count == 1) { /* it is private memory already */
            rw_rx_loop(card, rw_frame_head(frame), size);
        } else {
            rw_frame_copy(frame, 0, card->loop, size);
            rw_rx_loop(card, card->loop, size);
        }
        return true;
    }
    if (card->wire_attached || card->live) { /* without a wire, and threads: into the void */
        if (rw_wire_send(card, frame, offload) == RW_BLOCKED)
            return false;
    } else {
        rw_effect_frame(card, frame, offload);
    }
    count(card, cast, frame->size, offload);
    return true;
}

/* Tag and pad the frame, then send it. */
static bool leave(struct rw_card *card, struct rw_frame *frame, struct rw_offload *offload, uint32_t low,
                  uint32_t high)
{
    if (low & RW_TXD_VLE && rw_get(card, RW_CTRL) & RW_CTRL_VME &&
        rw_frame_tag(frame, rw_get(card, RW_VET), high >> 16) && offload) {
        offload->csum_start = (uint16_t)(offload->csum_start + RW_TAG_BYTES);
        if (offload->gso)
            offload->hdr_len = (uint16_t)(offload->hdr_len + RW_TAG_BYTES);
    }
    if (rw_get(card, RW_TCTL) & RW_TCTL_PSP)
        rw_frame_pad(frame, RW_MIN_FRAME);
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
    const uint32_t head_size = frame->piece[0].length;
    uint32_t options = queue->options;
    bool left = false;

    card->tx_work += frame->size >> RW_WORK_SUM_BITS;
    if (card->offload && !rw_looped(card) && options & RW_POPTS_TXSM) {
        left = rw_left_to_wire(frame->size, context, &offload);
        if (left)
            options &= ~RW_POPTS_TXSM;
    }
    if (options == RW_POPTS_IXSM && rw_sum_end(context->ipcse, frame->size) <= head_size) {
        rw_put_checksums(rw_frame_head(frame), head_size, context, options, 0);
    } else if (options) {
        const uint32_t size = frame->size;

        linear(frame, card->segment);
        rw_put_checksums(card->segment, size, context, options, 0);
        rw_frame_of(frame, card->segment, size);
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
        const uint32_t size = frame->size, head_size = frame->piece[0].length;
        bool sent;

        if (options & RW_POPTS_IXSM && rw_sum_end(context->ipcse, size) > head_size) {
            linear(frame, card->segment); /* the IP sum reaches far: no driver does that */
            rw_whole_header(card->segment, size, size, context, options, &offload);
            rw_frame_of(frame, card->segment, size);
        } else {
            rw_whole_header(rw_frame_head(frame), head_size, size, context, options, &offload);
        }
        sent = leave(card, frame, &offload, low, high);
        if (sent)
            rw_tally(card, RW_TSCTC, 1);
        return sent;
    }
    if (!queue->resume)
        rw_tally(card, RW_TSCTC, 1);
    for (uint32_t n = queue->resume; n < rw_segment_count(frame->size, context); n++) {
        struct rw_frame one;
        uint32_t length;

        if (n > queue->resume && rw_tx_late(card)) {
            queue->resume = n;
            card->tx_cut = true;
            return false;
        }
        length = rw_cut(frame, context, options, n, card->segment);
        card->tx_work += RW_WORK_SEGMENT + (length >> RW_WORK_SUM_BITS);
        rw_frame_of(&one, card->segment, length);
        if (!leave(card, &one, NULL, low, high)) {
            queue->resume = n;
            if (!n) /* nothing has left: the whole is done again */
                rw_put(card, RW_TSCTC, rw_get(card, RW_TSCTC) - 1);
            return false;
        }
    }
    return true;
}

/* Whether a frame ends with the FCS that its driver computed. */
static bool fcs_right(const uint8_t *frame, uint32_t size)
{
    const uint8_t *last = frame + size - RW_FCS_BYTES;
    const uint32_t crc = rw_fcs(0, frame, size - RW_FCS_BYTES);

    return last[0] == (crc & 0xff) && last[1] == (crc >> 8 & 0xff) && last[2] == (crc >> 16 & 0xff) &&
           last[3] == crc >> 24;
}

/* The frame that a queue has gathered; false: it has more pieces than a frame holds, which a queue cannot gather. */
static bool gathered(const struct rw_txq *queue, struct rw_frame *frame)
{
    bool whole;

    rw_frame_begin(frame, queue->options || queue->segmenting ? RW_HEAD_BYTES : RW_PLAIN_BYTES);
    whole = rw_frame_add(frame, queue->store, queue->stored);
    RW_TOUCHES();
    for (uint32_t n = 0; n < queue->frags && whole; n++)
        whole = rw_frame_add(frame, queue->frag[n].base, queue->frag[n].length);
    return whole;
}

_Static_assert(RW_FRAME_PIECES >= 2 + sizeof((struct rw_txq *)0)->frag / sizeof(struct rw_fragment),
               "what a queue gathers: a head, its store, its fragments");

bool rw_finish(struct rw_card *card, struct rw_txq *queue, uint32_t low, uint32_t high)
{
    struct rw_frame frame; /* more than a kilobyte: not to be cleared for each */
    uint32_t size;

    if (queue->dropping || !gathered(queue, &frame)) {
        if (queue->segmenting)
            rw_tally(card, RW_TSCTFC, 1);
        return true;
    }
    size = frame.size;
    if (!size)
        return true;
    if (queue->segmenting && low & RW_TXD_DEXT)
        return segmented(card, queue, &frame, low, high);
    if (!queue->options && low & RW_TXD_IC && !(low & RW_TXD_DEXT)) {
        card->tx_work += size >> RW_WORK_SUM_BITS;
        linear(&frame, card->segment); /* CSS of the first descriptor to the end, into CSO of the last */
        rw_sum_insert(card->segment, size, queue->css, size, low >> 16 & 0xff, 0);
        rw_frame_of(&frame, card->segment, size);
    } else if (!queue->options && !(low & (RW_TXD_IFCS | RW_TXD_VLE))) {
        card->tx_work += size >> RW_WORK_FCS_BITS;
        linear(&frame, card->segment);
        if (size < RW_FCS_BYTES || !fcs_right(card->segment, size))
            return true;
        rw_frame_of(&frame, card->segment, size - RW_FCS_BYTES);
    }
    if (queue->stamp)
        rw_clock_stamp(card, RW_TSYNCTXCTL, RW_TXSTMPL);
    if (queue->options)
        return with_checksums(card, queue, &frame, low, high);
    return leave(card, &frame, NULL, low, high);
}
