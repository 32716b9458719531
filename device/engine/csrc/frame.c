/* See frame.h. */
#include "frame.h"

#include "debug.h"

#include <stddef.h>
#include <string.h>

#define ADDRESSES 12u /* the VLAN tag goes behind them */

_Static_assert(RW_FRAME_PIECES >= 2, "a buffer of ours is a head and a piece");

void rw_frame_of(struct rw_frame *frame, const uint8_t *bytes, uint32_t length)
{
    rw_frame_begin(frame, RW_HEAD_BYTES);
    (void)rw_frame_add(frame, bytes, length); /* of one buffer: see the assertion */
}

uint8_t *rw_frame_front(struct rw_frame *frame, uint32_t length)
{
    return frame->piece[0].base - frame->room >= (ptrdiff_t)length ? rw_frame_head(frame) - length : NULL;
}

void rw_frame_copy(const struct rw_frame *frame, uint32_t at, uint8_t *to, uint32_t length)
{
    for (uint32_t n = 0; n < frame->count && length; n++) {
        const struct rw_fragment *piece = &frame->piece[n];
        uint32_t part;

        if (at >= piece->length) {
            at -= piece->length;
            continue;
        }
        part = piece->length - at < length ? piece->length - at : length;
        if (n) {
            RW_MAY_TOUCH();
            memcpy(to, piece->base + at, part);
        } else {
            rw_frame_put(to, piece->base + at, part);
        }
        to += part;
        length -= part;
        at = 0;
    }
}

bool rw_frame_tag(struct rw_frame *frame, uint32_t type, uint32_t tci)
{
    uint8_t *head = rw_frame_head(frame);

    if (frame->size < ADDRESSES || head != frame->room + RW_HEAD_FRONT)
        return false;
    memmove(head - RW_TAG_BYTES, head, ADDRESSES);
    head -= RW_TAG_BYTES;
    head[ADDRESSES] = (uint8_t)(type >> 8);
    head[ADDRESSES + 1] = (uint8_t)type;
    head[ADDRESSES + 2] = (uint8_t)(tci >> 8);
    head[ADDRESSES + 3] = (uint8_t)tci;
    frame->piece[0].base = head;
    frame->piece[0].length += RW_TAG_BYTES;
    frame->size += RW_TAG_BYTES;
    return true;
}

void rw_frame_pad(struct rw_frame *frame, uint32_t size)
{
    if (frame->size >= size)
        return;
    memset(rw_frame_head(frame) + frame->size, 0, size - frame->size);
    frame->piece[0].length = frame->size = size;
}
