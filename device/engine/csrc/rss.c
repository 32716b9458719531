/* Receive side scaling: the Toeplitz hash, its types, the redirection table (datasheet, RSS).
 * Python twin: device.rss. */
#include "receive.h"

enum { NONE, TCPIPV4, IPV4, TCPIPV6, IPV6EX, IPV6 };

struct hashing {
    uint32_t window, result; /* the key's 32 bits over the data's next bit */
    uint32_t next;           /* bit of the key behind the window */
};

static uint32_t key_bit(struct rw_card *card, uint32_t bit)
{
    if (bit >= 32 * RW_RSSRK_COUNT)
        return 0;
    /* byte 0 of register 0 first, each byte's highest bit first */
    return rw_get(card, RW_RSSRK + 4 * (bit / 32)) >> (bit / 8 % 4 * 8 + 7 - bit % 8) & 1;
}

static void start(struct rw_card *card, struct hashing *hash)
{
    hash->result = hash->window = 0;
    for (hash->next = 0; hash->next < 32; hash->next++)
        hash->window = hash->window << 1 | key_bit(card, hash->next);
}

static void add(struct rw_card *card, struct hashing *hash, const uint8_t *data, uint32_t length)
{
    for (uint32_t bit = 0; bit < 8 * length; bit++) {
        if (data[bit / 8] & 0x80 >> bit % 8)
            hash->result ^= hash->window;
        hash->window = hash->window << 1 | key_bit(card, hash->next++);
    }
}

bool rw_rss_enabled(struct rw_card *card)
{
    return (rw_get(card, RW_MRQC) & RW_MRQC_ENABLE) == 1 && rw_get(card, RW_RXCSUM) & RW_RXCSUM_PCSD &&
           rw_get(card, RW_RFCTL) & RW_RFCTL_EXTEN;
}

static uint32_t type_of(struct rw_card *card, const struct rw_packet *packet)
{
    const uint32_t mrqc = rw_get(card, RW_MRQC), rfctl = rw_get(card, RW_RFCTL);

    if (packet->version == 4) {
        if (rw_is_tcp(packet) && mrqc & RW_MRQC_TCPIPV4)
            return TCPIPV4;
        return mrqc & RW_MRQC_IPV4 ? IPV4 : NONE;
    }
    if (packet->version != 6)
        return NONE;
    if (!(rfctl & RW_RFCTL_IPV6_EX_DIS && packet->extended) &&
        !(rfctl & RW_RFCTL_NEW_IPV6_EXT_DIS && packet->mobile)) {
        if (rw_is_tcp(packet) && mrqc & RW_MRQC_TCPIPV6EX)
            return TCPIPV6;
        if (mrqc & RW_MRQC_IPV6EX)
            return IPV6EX;
    }
    return mrqc & RW_MRQC_IPV6 ? IPV6 : NONE;
}

void rw_rss_choose(struct rw_card *card, const uint8_t *frame, const struct rw_packet *packet, struct rw_rss *out)
{
    const uint32_t bytes = packet->version == 4 ? 4 : 16;
    struct hashing hash;
    uint32_t index;

    *out = (struct rw_rss){0, type_of(card, packet), 0};
    if (out->type == NONE)
        return;
    start(card, &hash);
    if (out->type == IPV6) { /* without extensions: the header's own addresses */
        add(card, &hash, frame + packet->network + 8, 32);
    } else {
        add(card, &hash, packet->source, bytes);
        add(card, &hash, packet->destination, bytes);
    }
    if (out->type == TCPIPV4 || out->type == TCPIPV6)
        add(card, &hash, frame + packet->transport, 4);
    out->hash = hash.result;
    index = hash.result & 0x7f;
    out->queue = rw_get(card, RW_RETA + 4 * (index >> 2)) >> 8 * (index & 3) >> 7 & 1;
}
