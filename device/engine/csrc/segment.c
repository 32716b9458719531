/*
 * What the card does to a frame before it leaves: checksums and TCP segmentation. Nothing in a context is
 * believed before it is checked against the frame. Python twin: device.engine.reference.segment.
 */
#include "checksum.h"
#include "transmit.h"

#define IPV4_HEADER 20u
#define IPV6_HEADER 40u
#define TCP_HEADER 20u
#define UDP_HEADER 8u
#define TCP_CHECKSUM 16u
#define TCP_FLAGS 13u
#define FIN_PSH 0x09u
#define MOST_SEGMENTS 4096u
#define LARGEST_PACKET 0xffffu

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint32_t get16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

/* Where a sum ends (not included) for a CSE field: 0 is the frame's end. */
uint32_t rw_sum_end(uint32_t last, uint32_t size)
{
    return last ? last + 1 : size;
}

void rw_put_checksums(uint8_t *frame, uint32_t size, const struct rw_context *context, uint32_t options,
                      uint32_t add)
{
    if (options & RW_POPTS_IXSM)
        rw_sum_insert(frame, size, context->ipcss, rw_sum_end(context->ipcse, size), context->ipcso, 0);
    if (options & RW_POPTS_TXSM)
        rw_sum_insert(frame, size, context->tucss, rw_sum_end(context->tucse, size), context->tucso, add);
}

/* The TCP or UDP checksum as work for the wire, where virtio-net can say it. */
bool rw_left_to_wire(uint32_t size, const struct rw_context *context, struct rw_offload *offload)
{
    if (context->tucse || context->tucso < context->tucss || context->tucso + 2u > size)
        return false;
    offload->needs_csum = true;
    offload->csum_start = context->tucss;
    offload->csum_offset = (uint16_t)(context->tucso - context->tucss);
    return true;
}

uint32_t rw_segment_count(uint32_t size, const struct rw_context *context)
{
    const uint32_t payload = size - context->hdrlen;

    return payload ? (payload + context->mss - 1) / context->mss : 1;
}

bool rw_segments_valid(uint32_t size, const struct rw_context *context)
{
    const uint32_t network = context->command & RW_TUCMD_IP ? IPV4_HEADER : IPV6_HEADER;
    const uint32_t transport = context->command & RW_TUCMD_TCP ? TCP_HEADER : UDP_HEADER;

    return context->hdrlen && context->hdrlen <= size && context->mss &&
           context->ipcss + network <= context->hdrlen && context->tucss + transport <= context->hdrlen &&
           (size - context->hdrlen + context->mss - 1) / context->mss <= MOST_SEGMENTS;
}

bool rw_passes_whole(uint32_t size, const struct rw_context *context, uint32_t options)
{
    const uint32_t wanted = RW_POPTS_TXSM | (context->command & RW_TUCMD_IP ? RW_POPTS_IXSM : 0);

    return context->command & RW_TUCMD_TCP && (options & wanted) == wanted && !context->tucse &&
           context->tucso == context->tucss + TCP_CHECKSUM && context->ipcss < context->tucss &&
           size - context->ipcss <= LARGEST_PACKET && context->hdrlen < size;
}

static void set_lengths(uint8_t *head, const struct rw_context *context, uint32_t size)
{
    if (context->command & RW_TUCMD_IP)
        put16(head + context->ipcss + 2, size - context->ipcss);
    else
        put16(head + context->ipcss + 4, size - context->ipcss - IPV6_HEADER);
    if (!(context->command & RW_TUCMD_TCP))
        put16(head + context->tucss + 4, size - context->tucss);
}

/* Change a segmentation frame's header to what virtio-net wants: lengths of the whole, pseudo header summed.
 * `head` has the first `head_size` bytes, all that the IP sum covers. */
void rw_whole_header(uint8_t *head, uint32_t head_size, uint32_t size, const struct rw_context *context,
                     uint32_t options, struct rw_offload *offload)
{
    struct rw_sum sum = {0, false};
    uint32_t total;

    set_lengths(head, context, size);
    if (options & RW_POPTS_IXSM)
        rw_sum_insert(head, head_size, context->ipcss, rw_sum_end(context->ipcse, size), context->ipcso, 0);
    sum.value = get16(head + context->tucso) + size - context->tucss;
    total = rw_sum_fold(&sum);
    put16(head + context->tucso, total);
    offload->needs_csum = true;
    offload->csum_start = context->tucss;
    offload->csum_offset = TCP_CHECKSUM;
    offload->gso = context->command & RW_TUCMD_IP ? 1 : 4; /* VIRTIO_NET_HDR_GSO_TCPV4, _TCPV6 */
    offload->hdr_len = context->hdrlen;
    offload->gso_size = context->mss;
}

/* The prototype header with the lengths, identification, sequence number and flags of a segment: FIN and PSH
 * only on the last (datasheet, Transmit). */
uint32_t rw_cut(const struct rw_frame *frame, const struct rw_context *context, uint32_t options, uint32_t index,
                uint8_t *to)
{
    const uint32_t start = context->hdrlen + index * context->mss;
    const uint32_t left = frame->size - start, body = left < context->mss ? left : context->mss;
    const uint32_t size = context->hdrlen + body, ip = context->ipcss, tcp = context->tucss;

    rw_frame_copy(frame, 0, to, context->hdrlen);
    rw_frame_copy(frame, start, to + context->hdrlen, body);
    const uint32_t identification = get16(to + ip + 4);
    const uint32_t sequence = get16(to + tcp + 4) << 16 | get16(to + tcp + 6);

    set_lengths(to, context, size);
    if (context->command & RW_TUCMD_IP)
        put16(to + ip + 4, identification + index);
    if (context->command & RW_TUCMD_TCP) {
        const uint32_t mine = sequence + start - context->hdrlen;

        put16(to + tcp + 4, mine >> 16);
        put16(to + tcp + 6, mine);
        if (start + context->mss < frame->size)
            to[tcp + TCP_FLAGS] &= (uint8_t)~FIN_PSH;
    }
    rw_put_checksums(to, size, context, options, size - tcp);
    return size;
}
