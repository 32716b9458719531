/* What the card's parser sees of a frame (datasheet, Receive Checksums). Python twin: device.packet. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Offsets from the frame's start; 0 where there is no such layer. `end`: where the IP packet ends. */
struct rw_packet {
    uint8_t version, flags;
    bool fragment, first, extended, mobile;
    int protocol; /* -1: none */
    uint32_t network, transport, payload, end;
    uint32_t identification;
    const uint8_t *source, *destination; /* in the frame, not beyond its end */
};

void rw_packet_parse(const uint8_t *frame, uint32_t size, uint32_t vlan_type, struct rw_packet *out);
/* Two bytes in network order, or as many as there are: what int.from_bytes says of a slice. */
uint32_t rw_be16(const uint8_t *frame, uint32_t size, uint32_t at);

static inline bool rw_is_tcp(const struct rw_packet *packet)
{
    return packet->protocol == 6 && packet->payload;
}

static inline bool rw_is_udp(const struct rw_packet *packet)
{
    return packet->protocol == 17 && packet->payload;
}
