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
 * Invariants: count >= 1; piece[0] lies in `room`; while size <= RW_HEAD_BYTES there is no other piece.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define RW_TAG_BYTES 4u
#define RW_MIN_FRAME 60u
#define RW_FRAGS 64u /* pieces of guest memory that a queue gathers before it copies them */
#define RW_WIRE_HEADER_BYTES 10u /* the longest header that a wire puts in front: wire.c */
#define RW_HEAD_FRONT (RW_WIRE_HEADER_BYTES + RW_TAG_BYTES)
#define RW_HEAD_BYTES 320u
#define RW_FRAME_PIECES (1u + 1u + RW_FRAGS) /* the head, what a queue has stored, its fragments */

#define RW_CONTEXT_REACH (255u + 8u) /* behind every field that a context's 8-bit offsets let the card rewrite */
_Static_assert(RW_HEAD_BYTES >= RW_CONTEXT_REACH, "every header field that is rewritten lies in the head");
_Static_assert(RW_HEAD_BYTES >= RW_MIN_FRAME, "a frame that is padded lies in the head");

struct rw_fragment {
    const uint8_t *base;
    uint32_t length;
};

struct rw_frame {
    uint32_t count, size;
    struct rw_fragment piece[RW_FRAME_PIECES];
    uint8_t room[RW_HEAD_FRONT + RW_HEAD_BYTES];
};

void rw_frame_begin(struct rw_frame *frame);
/* Put `length` bytes behind what is there; false: there is no piece left, and the frame is to be dropped. */
bool rw_frame_add(struct rw_frame *frame, const uint8_t *base, uint32_t length);
/* The frame that lies in one buffer of ours. */
void rw_frame_of(struct rw_frame *frame, const uint8_t *bytes, uint32_t length);
/* The head, piece[0].length bytes of it, to be changed. */
uint8_t *rw_frame_head(struct rw_frame *frame);
/* `length` bytes right in front of the head, for the wire's header; NULL: there is no such room. */
uint8_t *rw_frame_front(struct rw_frame *frame, uint32_t length);
/* Copy `length` bytes from `at` out of a frame; the caller knows that they are there. */
void rw_frame_copy(const struct rw_frame *frame, uint32_t at, uint8_t *to, uint32_t length);
/* Put a VLAN tag behind the addresses; false: the frame is too short, or has one of ours already. */
bool rw_frame_tag(struct rw_frame *frame, uint32_t type, uint32_t tci);
/* Pad with zeros to `size` bytes, RW_MIN_FRAME at most. */
void rw_frame_pad(struct rw_frame *frame, uint32_t size);
