/* Checksums, packet type, hash: what a descriptor says of a frame (datasheet, Receive, RSS).
 * Python twin: device.engine.reference.metadata. */
#include "checksum.h"
#include "receive.h"

enum { TYPE_MAC, TYPE_IPV4, TYPE_IPV4_TRANSPORT, TYPE_IPV6 = 5, TYPE_IPV6_TRANSPORT = 6 };
enum { TCP_ACK = 0x10, UDP = 17, UDP_CHECKSUM = 6 };

static uint32_t internet(const uint8_t *data, uint32_t length, uint32_t initial)
{
    return 0xffff ^ rw_ones_sum(data, length, initial);
}

/* The sum of the pseudo header (RFC 9293 3.1, RFC 8200 8.1). */
static uint32_t pseudo(const uint8_t *frame, const struct rw_packet *packet)
{
    struct rw_sum sum = {(uint32_t)packet->protocol + packet->end - packet->transport, false};

    if (packet->version == 4) {
        rw_sum_add(&sum, frame + packet->network + 12, 8);
    } else {
        rw_sum_add(&sum, frame + packet->network + 8, 16);
        rw_sum_add(&sum, packet->destination, 16); /* the final one, with a routing header */
    }
    return rw_sum_fold(&sum);
}

static void checksums(struct rw_card *card, const uint8_t *frame, const struct rw_packet *packet,
                      struct rw_metadata *out)
{
    const uint32_t rxcsum = rw_get(card, RW_RXCSUM), rfctl = rw_get(card, RW_RFCTL);

    if (!packet->version ||
        (packet->version == 6 && rfctl & (RW_RFCTL_IPV6_DIS | RW_RFCTL_IPV6_XSUM_DIS))) {
        out->status = RW_RXS_IXSM;
        return;
    }
    if (packet->version == 4 && rxcsum & RW_RXCSUM_IPOFL) {
        out->status |= RW_RXS_IPCS;
        if (internet(frame + packet->network, packet->transport - packet->network, 0))
            out->errors |= RW_RXE_IPE;
    }
    if (rxcsum & RW_RXCSUM_TUOFL && packet->payload) {
        const uint8_t *udp = frame + packet->transport + UDP_CHECKSUM;
        const bool is_udp = rw_is_udp(packet);

        if (!is_udp || udp[0] || udp[1]) { /* RFC 768: zero is none, so nothing was verified */
            out->status |= RW_RXS_TCPCS | (is_udp ? RW_RXS_UDPCS : 0);
            if (internet(frame + packet->transport, packet->end - packet->transport, pseudo(frame, packet)))
                out->errors |= RW_RXE_TCPE;
        }
    }
    if (!out->status)
        out->status = RW_RXS_IXSM;
}

static uint32_t type_of(const struct rw_packet *packet, uint32_t rfctl)
{
    if (packet->version == 4)
        return packet->payload ? TYPE_IPV4_TRANSPORT : TYPE_IPV4;
    if (packet->version == 6 && !(rfctl & RW_RFCTL_IPV6_DIS))
        return packet->payload ? TYPE_IPV6_TRANSPORT : TYPE_IPV6;
    return TYPE_MAC;
}

static bool udp_fragment_summed(const uint8_t *frame, uint32_t size, const struct rw_packet *packet)
{
    const uint32_t at = packet->transport + UDP_CHECKSUM;

    if (!packet->first || at >= size)
        return false;
    return at + 1 >= size || frame[at] || frame[at + 1];
}

void rw_describe(struct rw_card *card, const uint8_t *frame, uint32_t size, uint32_t crc,
                 const struct rw_packet *packet, struct rw_metadata *out)
{
    const uint32_t rxcsum = rw_get(card, RW_RXCSUM), rfctl = rw_get(card, RW_RFCTL);

    memset(out, 0, sizeof *out);
    checksums(card, frame, packet, out);
    out->status |= type_of(packet, rfctl) << RW_RXS_TYPE_SHIFT;
    if (packet->flags & TCP_ACK && !(rfctl & RW_RFCTL_ACK_DIS))
        out->ack = !(rfctl & RW_RFCTL_ACKD_DIS && packet->end > packet->payload);
    if (out->ack)
        out->status |= RW_RXS_ACK;
    if (rxcsum & RW_RXCSUM_PCSD) {
        struct rw_rss rss = {0, 0, 0};

        if (rw_rss_enabled(card))
            rw_rss_choose(card, frame, packet, &rss);
        out->checksum = rss.hash >> 16;
        out->ip_id = rss.hash & 0xffff;
        out->mrq = rss.type | rss.queue << 8;
        out->queue = rss.queue;
        return;
    }
    if (packet->version == 4) {
        out->status |= RW_RXS_IPIDV;
        out->ip_id = packet->identification;
    }
    if (rxcsum & RW_RXCSUM_IPPCSE) {
        if (packet->fragment && packet->protocol == UDP) {
            out->checksum = internet(frame + packet->transport, packet->end - packet->transport, 0);
            if (udp_fragment_summed(frame, size, packet))
                out->status |= RW_RXS_UDPV;
        }
    } else {
        const uint32_t from = rxcsum & RW_RXCSUM_PCSS;

        out->checksum = from < size + crc ? internet(frame + from, size + crc - from, 0) : 0xffff;
    }
}
