/*
 * A frame on its way out: its head in private memory, what follows as pieces that may lie in guest memory.
 *
 *     room:  | the wire's header | a tag | head: the frame's first RW_HEAD_BYTES ...|
 *            ^ RW_HEAD_FRONT bytes free  ^ piece[0].base                      piece[1] ... piece[count - 1]
 *
 * The head is copied once, when the frame is made. Whatever looks at a header or rewrites one (checksums,
 * segmentation, the VLAN tag, padding) works on the head, in place; the pieces behind it are only summed, copied
 * or given to the wire, each byte once. Nothing splits a piece, so a frame never has more of them than it began with.
 *
 * Invariants: count >= 1; piece[0] lies in `room`; there is no other piece while that one is shorter than `head_bytes`:
 * RW_HEAD_BYTES where a header is rewritten, RW_PLAIN_BYTES where none is.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "regs.h"

#define RW_FRAGS 64u /* pieces of guest memory that a queue gathers before it copies them */
#define RW_WIRE_HEADER_BYTES 10u /* the longest header that a wire puts in front: wire.c */
#define RW_HEAD_FRONT 64u /* a cache line, so that the head begins one: it is stored and read at once */
#define RW_HEAD_BYTES 320u
#define RW_PLAIN_BYTES 64u
#define RW_FRAME_PIECES (1u + 1u + RW_FRAGS) /* the head, what a queue has stored, its fragments */

#define RW_CONTEXT_REACH (255u + 8u) /* behind every field that a context's 8-bit offsets let the card rewrite */
_Static_assert(RW_HEAD_FRONT >= RW_WIRE_HEADER_BYTES + RW_TAG_BYTES, "a tag and the wire's header go in front");
_Static_assert(RW_HEAD_BYTES >= RW_CONTEXT_REACH, "every header field that is rewritten lies in the head");
_Static_assert(RW_PLAIN_BYTES >= RW_MIN_FRAME, "a frame that is padded lies in the head");
_Static_assert(RW_HEAD_BYTES >= RW_PLAIN_BYTES, "there is room for either head");

struct rw_fragment {
    const uint8_t *base;
    uint32_t length;
};

struct rw_frame {
    uint32_t count, size, head_bytes;
    struct rw_fragment piece[RW_FRAME_PIECES];
    _Alignas(RW_HEAD_FRONT) uint8_t room[RW_HEAD_FRONT + RW_HEAD_BYTES];
};

/*
 * Copy a head. In steps of 16 bytes that never overlap, so that a copy of the copy a moment later finds each of its
 * loads in one store: memcpy's two overlapping halves cost it some 15 cycles, and gcc's `rep movsq` 30 ns to start.
 */
static inline void rw_frame_put(uint8_t *to, const uint8_t *from, uint32_t length)
{
    for (; length >= 16; to += 16, from += 16, length -= 16)
        memcpy(to, from, 16);
    if (length & 8) {
        memcpy(to, from, 8);
        to += 8, from += 8;
    }
    if (length & 4) {
        memcpy(to, from, 4);
        to += 4, from += 4;
    }
    if (length & 2) {
        memcpy(to, from, 2);
        to += 2, from += 2;
    }
    if (length & 1)
        *to = *from;
}

/* `head_bytes`: how much of it is copied into its head, RW_PLAIN_BYTES to RW_HEAD_BYTES. */
static inline void rw_frame_begin(struct rw_frame *frame, uint32_t head_bytes)
{
    frame->head_bytes = head_bytes;
    frame->count = 1;
    frame->size = 0;
    frame->piece[0] = (struct rw_fragment){frame->room + RW_HEAD_FRONT, 0};
}

/* The head, piece[0].length bytes of it, to be changed. */
static inline uint8_t *rw_frame_head(struct rw_frame *frame)
{
    return frame->room + (frame->piece[0].base - frame->room);
}

/* Put `length` bytes behind what is there; false: there is no piece left, and the frame is to be dropped. */
static inline bool rw_frame_add(struct rw_frame *frame, const uint8_t *base, uint32_t length)
{
    struct rw_fragment *head = &frame->piece[0];

    if (head->length < frame->head_bytes) {
        const uint32_t room = frame->head_bytes - head->length, part = length < room ? length : room;

        rw_frame_put(rw_frame_head(frame) + head->length, base, part);
        head->length += part;
        frame->size += part;
        base += part;
        length -= part;
    }
    if (!length)
        return true;
    if (frame->count == RW_FRAME_PIECES)
        return false;
    frame->piece[frame->count++] = (struct rw_fragment){base, length};
    frame->size += length;
    return true;
}

/* The frame that lies in one buffer of ours. */
void rw_frame_of(struct rw_frame *frame, const uint8_t *bytes, uint32_t length);
/* `length` bytes right in front of the head, for the wire's header; NULL: there is no such room. */
uint8_t *rw_frame_front(struct rw_frame *frame, uint32_t length);
/* Copy `length` bytes from `at` out of a frame; the caller knows that they are there. */
void rw_frame_copy(const struct rw_frame *frame, uint32_t at, uint8_t *to, uint32_t length);
/* Put a VLAN tag behind the addresses; false: the frame is too short, or has one of ours already. */
bool rw_frame_tag(struct rw_frame *frame, uint32_t type, uint32_t tci);
/* Pad with zeros to `size` bytes, RW_MIN_FRAME at most. */
void rw_frame_pad(struct rw_frame *frame, uint32_t size);
