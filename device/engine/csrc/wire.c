/*
 * Frames to and from the cable's descriptor: device.wire.contract's three framings.
 *
 * A cable that can take nothing now (EAGAIN) blocks the transmitter, as a paused link would: the frame's last
 * descriptor is left in the ring and done again when the descriptor is writable. Nothing waits and nothing is
 * dropped. Any other error costs the frame, as on a cable whose other end is away.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "card.h"
#include "receive.h"
#include "record.h"

#define PREFIX_BYTES 4u
#define STREAM_BYTES (1u << 17)
#define VNET_NEEDS_CSUM 1u
#define VNET_ECN 0x80u

struct vnet_header { /* struct virtio_net_hdr (linux/virtio_net.h), native order */
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset;
};

static bool gone(int error)
{
    return error == EPIPE || error == ECONNRESET || error == ESHUTDOWN;
}

bool rw_wire_flush(struct rw_card *card)
{
    while (card->tail_length) {
        const ssize_t done = write(card->wire_fd, card->tail + card->tail_at, card->tail_length);

        if (done < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN)
                return false;
            if (gone(errno))
                atomic_store(&card->wire_closed, true);
            card->tail_length = 0;
            RW_COUNT(card, wire_lost, 1);
            return true;
        }
        card->tail_at += (uint32_t)done;
        card->tail_length -= (uint32_t)done;
    }
    return true;
}

/* Keep what a stream did not take. */
static void keep_tail(struct rw_card *card, const struct iovec *iov, int count, size_t done)
{
    RW_MAY_TOUCH();
    card->tail_at = 0;
    for (int n = 0; n < count; n++) {
        const size_t skip = done < iov[n].iov_len ? done : iov[n].iov_len;

        memcpy(card->tail + card->tail_length, (const uint8_t *)iov[n].iov_base + skip, iov[n].iov_len - skip);
        card->tail_length += (uint32_t)(iov[n].iov_len - skip);
        done -= skip;
    }
}

_Static_assert(sizeof(struct vnet_header) <= RW_WIRE_HEADER_BYTES, "a frame has room for a virtio-net header");
_Static_assert(PREFIX_BYTES <= RW_WIRE_HEADER_BYTES, "a frame has room for a stream's length");

/* Write the wire's header in front of the frame's head; return its length. */
static uint32_t put_header(const struct rw_card *card, struct rw_frame *frame, const struct rw_offload *offload)
{
    const uint32_t length = htobe32(frame->size);
    struct vnet_header vnet = {0};

    switch (card->framing) {
    case RW_FRAMING_VNET:
        if (offload)
            vnet = (struct vnet_header){
                .flags = offload->needs_csum ? VNET_NEEDS_CSUM : 0,
                .gso_type = (uint8_t)(offload->gso | (offload->ecn ? VNET_ECN : 0)),
                .hdr_len = offload->hdr_len,
                .gso_size = offload->gso_size,
                .csum_start = offload->csum_start,
                .csum_offset = offload->csum_offset,
            };
        memcpy(rw_frame_front(frame, sizeof vnet), &vnet, sizeof vnet);
        return sizeof vnet;
    case RW_FRAMING_STREAM:
        memcpy(rw_frame_front(frame, PREFIX_BYTES), &length, PREFIX_BYTES);
        return PREFIX_BYTES;
    default:
        return 0;
    }
}

enum rw_sent rw_wire_send_now(struct rw_card *card, struct rw_frame *frame, const struct rw_offload *offload)
{
    struct iovec iov[RW_FRAME_PIECES];
    uint32_t header;
    ssize_t done;

    if (card->framing == RW_FRAMING_NONE || atomic_load_explicit(&card->wire_closed, memory_order_relaxed)) {
        RW_COUNT(card, wire_lost, 1);
        return RW_SENT;
    }
    if (frame->size > RW_LARGEST_FRAME || frame->size < RW_ETH_BYTES) {
        RW_COUNT(card, wire_refused, 1);
        return RW_SENT;
    }
    if (card->framing == RW_FRAMING_STREAM && !rw_wire_flush(card))
        return RW_BLOCKED;
    header = put_header(card, frame, offload);
    iov[0] = (struct iovec){rw_frame_front(frame, header), header + frame->piece[0].length};
    for (uint32_t n = 1; n < frame->count; n++)
        iov[n] = (struct iovec){(void *)(uintptr_t)frame->piece[n].base, frame->piece[n].length};
    do {
        done = writev(card->wire_fd, iov, (int)frame->count);
    } while (done < 0 && errno == EINTR);
    if (done >= 0) {
        if (card->framing == RW_FRAMING_STREAM && (uint32_t)done < frame->size + PREFIX_BYTES)
            keep_tail(card, iov, (int)frame->count, (size_t)done);
        return RW_SENT;
    }
    if (errno == EAGAIN)
        return RW_BLOCKED;
    if (gone(errno) && card->framing == RW_FRAMING_STREAM)
        atomic_store(&card->wire_closed, true);
    RW_COUNT(card, wire_lost, 1);
    return RW_SENT;
}

enum rw_sent rw_wire_send(struct rw_card *card, struct rw_frame *frame, const struct rw_offload *offload)
{
    return card->recorder ? rw_record_send(card, frame, offload) : rw_wire_send_now(card, frame, offload);
}

/* Check a virtio-net header; false when the frame is none. Python twin: device.wire.frame.parse_vnet. */
static bool parse_vnet(const struct vnet_header *vnet, uint32_t length, struct rw_offload *offload)
{
    memset(offload, 0, sizeof *offload);
    if (vnet->gso_type & ~VNET_ECN)
        return false; /* not asked for: the wire segments */
    if (!(vnet->flags & VNET_NEEDS_CSUM))
        return true;
    if (vnet->csum_start < RW_ETH_BYTES || (uint32_t)vnet->csum_start + vnet->csum_offset + 2 > length)
        return false;
    offload->needs_csum = true;
    offload->csum_start = vnet->csum_start;
    offload->csum_offset = vnet->csum_offset;
    return true;
}

/* One message into rx_frame, never into the guest's memory: what is parsed, summed and filtered must hold still. */
static ssize_t read_frame(struct rw_card *card, struct vnet_header *vnet)
{
    const bool has_header = card->framing == RW_FRAMING_VNET;
    struct iovec iov[2] = {{vnet, sizeof *vnet}, {card->rx_frame, RW_LARGEST_FRAME + 1}};
    ssize_t got = readv(card->wire_fd, has_header ? iov : iov + 1, has_header ? 2 : 1);

    if (got <= 0)
        return got;
    if (has_header)
        got = got < (ssize_t)sizeof *vnet ? 0 : got - (ssize_t)sizeof *vnet;
    return got > (ssize_t)RW_LARGEST_FRAME || got < (ssize_t)RW_ETH_BYTES ? 1 : got; /* 1: refused by its length */
}

static int32_t read_message(struct rw_card *card, struct rw_offload *offload)
{
    struct vnet_header vnet = {0};

    for (uint32_t tries = 0; tries < RW_BATCH; tries++) { /* a flood of nonsense does not keep us here */
        const ssize_t got = read_frame(card, &vnet);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return gone(errno) ? -1 : 0;
        if (got == 0 && card->wire_ends)
            return -1;
        if (got < (ssize_t)RW_ETH_BYTES ||
            (card->framing == RW_FRAMING_VNET && !parse_vnet(&vnet, (uint32_t)got, offload))) {
            RW_COUNT(card, rx_discarded, 1);
            continue;
        }
        return (int32_t)got;
    }
    return 0;
}

/* The next whole frame of what the stream gave, moved to rx_frame; 0: there is none. */
static int32_t next_of_stream(struct rw_card *card)
{
    for (;;) {
        const uint8_t *at = card->stream + card->stream_at;
        const uint32_t have = card->stream_end - card->stream_at;
        uint32_t length;

        if (card->stream_skip) { /* of a frame too long to keep */
            const uint32_t part = card->stream_skip < have ? card->stream_skip : have;

            card->stream_at += part;
            card->stream_skip -= part;
            if (card->stream_skip)
                return 0;
            continue;
        }
        if (have < PREFIX_BYTES)
            return 0;
        memcpy(&length, at, sizeof length);
        length = be32toh(length);
        if (length < RW_ETH_BYTES || length > RW_LARGEST_FRAME) {
            card->stream_at += PREFIX_BYTES;
            card->stream_skip = length;
            RW_COUNT(card, rx_discarded, 1);
            continue;
        }
        if (have < PREFIX_BYTES + length)
            return 0;
        memcpy(card->rx_frame, at + PREFIX_BYTES, length);
        card->stream_at += PREFIX_BYTES + length;
        return (int32_t)length;
    }
}

static int32_t read_stream(struct rw_card *card)
{
    for (uint32_t tries = 0; tries < RW_BATCH; tries++) {
        const int32_t length = next_of_stream(card);
        ssize_t got;

        if (length)
            return length;
        memmove(card->stream, card->stream + card->stream_at, card->stream_end - card->stream_at);
        card->stream_end -= card->stream_at;
        card->stream_at = 0;
        got = read(card->wire_fd, card->stream + card->stream_end, STREAM_BYTES - card->stream_end);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return gone(errno) ? -1 : 0;
        if (got == 0)
            return -1;
        card->stream_end += (uint32_t)got;
    }
    return 0;
}

int32_t rw_wire_read(struct rw_card *card, struct rw_offload *offload)
{
    int32_t length;

    memset(offload, 0, sizeof *offload);
    length = card->framing == RW_FRAMING_STREAM ? read_stream(card) : read_message(card, offload);
    if (length < 0)
        atomic_store(&card->wire_closed, true);
    return length;
}

void rw_attach_wire(rw_card *card, int fd, int framing)
{
    int type = 0;
    socklen_t size = sizeof type;

    pthread_mutex_lock(&card->tx_lock);
    pthread_mutex_lock(&card->rx_lock);
    card->wire_fd = fd;
    card->framing = fd < 0 ? RW_FRAMING_NONE : framing;
    /* an empty datagram is no end; an empty read of anything else is */
    card->wire_ends = fd < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) || type != SOCK_DGRAM;
    card->wire_attached = true;
    atomic_store(&card->wire_closed, false);
    atomic_store(&card->tx_blocked, false);
    card->tail_length = 0;
    card->stream_at = card->stream_end = card->stream_skip = 0;
    if (card->framing == RW_FRAMING_STREAM && !card->tail) {
        card->tail = malloc(PREFIX_BYTES + RW_LARGEST_FRAME);
        card->stream = malloc(STREAM_BYTES);
        if (!card->tail || !card->stream)
            atomic_store(&card->wire_closed, true);
    }
    pthread_mutex_unlock(&card->rx_lock);
    pthread_mutex_unlock(&card->tx_lock);
}

void rw_detach_wire(rw_card *card)
{
    pthread_mutex_lock(&card->tx_lock);
    pthread_mutex_lock(&card->rx_lock);
    card->wire_fd = -1;
    card->wire_attached = false;
    pthread_mutex_unlock(&card->rx_lock);
    pthread_mutex_unlock(&card->tx_lock);
}

bool rw_wire_closed(rw_card *card)
{
    return atomic_load(&card->wire_closed);
}
