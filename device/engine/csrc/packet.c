/* See packet.h. It believes no length: everything is checked against the bytes there are. The frame lies in private
 * memory, so that what was checked stays so. */
#include "packet.h"

#include <string.h>

enum { IPV4 = 0x0800, IPV6 = 0x86dd, SNAP_MOST = 1500, MOST_EXTENSIONS = 16 };
enum { HOP_BY_HOP = 0, TCP = 6, UDP = 17, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60, HOME_ADDRESS = 0xc9 };

uint32_t rw_be16(const uint8_t *frame, uint32_t size, uint32_t at)
{
    if (at + 2 <= size)
        return frame[at] << 8 | frame[at + 1];
    return at < size ? frame[at] : 0;
}

/* Where the payload starts, 0 without a whole header, and TCP's flags. */
static void parse_transport(const uint8_t *frame, struct rw_packet *out)
{
    const uint32_t at = out->transport;

    if (out->protocol == TCP && at + 20 <= out->end) {
        const uint32_t length = (frame[at + 12] >> 4) * 4u;

        if (length >= 20 && at + length <= out->end) {
            out->payload = at + length;
            out->flags = (uint8_t)frame[at + 13];
        }
    } else if (out->protocol == UDP && at + 8 <= out->end) {
        out->payload = at + 8;
    }
}

static void parse_ipv4(const uint8_t *frame, uint32_t size, uint32_t at, struct rw_packet *out)
{
    uint32_t first, header, total, offset;

    if (size < at + 20)
        return;
    first = frame[at];
    header = (first & 0xf) * 4u;
    total = rw_be16(frame, size, at + 2);
    if (first >> 4 != 4 || header < 20 || total < header || at + total > size)
        return;
    offset = rw_be16(frame, size, at + 6);
    out->version = 4;
    out->network = at;
    out->transport = at + header;
    out->protocol = (int)frame[at + 9];
    out->end = at + total;
    out->identification = rw_be16(frame, size, at + 4);
    out->fragment = offset & 0x3fff;
    out->first = !(offset & 0x1fff);
    out->source = frame + at + 12;
    out->destination = frame + at + 16;
    if (!out->fragment)
        parse_transport(frame, out);
}

/* The home address option of a destination options header, or NULL (RFC 6275, 6.3). */
static const uint8_t *home_address(const uint8_t *header, uint32_t length)
{
    uint32_t at = 2;

    while (at + 1 < length) {
        const uint32_t kind = header[at], bytes = header[at + 1];

        if (kind == 0) {
            at++;
            continue;
        }
        if (kind == HOME_ADDRESS && bytes == 16 && at + 18 <= length)
            return header + at + 2;
        at += 2 + bytes;
    }
    return NULL;
}

static bool is_extension(uint32_t header)
{
    return header == HOP_BY_HOP || header == ROUTING || header == DESTINATION;
}

static void parse_ipv6(const uint8_t *frame, uint32_t size, uint32_t at, struct rw_packet *out)
{
    uint32_t following, transport = at + 40, end;

    if (size < at + 40 || frame[at] >> 4 != 6)
        return;
    end = at + 40 + rw_be16(frame, size, at + 4);
    if (end > size)
        return;
    out->version = 6;
    out->end = end;
    out->network = at;
    out->source = frame + at + 8;
    out->destination = frame + at + 24;
    following = frame[at + 6];
    for (int n = 0; n < MOST_EXTENSIONS; n++) {
        if (following == FRAGMENT && transport + 8 <= out->end) {
            out->extended = out->fragment = true;
            out->first = !(rw_be16(frame, size, transport + 2) & 0xfff8);
            following = frame[transport];
            transport += 8;
            if (!out->first)
                break;
        } else if (is_extension(following) && transport + 8 <= out->end) {
            const uint8_t *header = frame + transport, *home;
            const uint32_t length = 8 + 8 * header[1];

            out->extended = true;
            if (transport + length > out->end)
                break;
            if (following == ROUTING && header[2] == 2 && header[3] == 1 && length >= 24) {
                out->destination = header + 8; /* RFC 6275, 6.4: type 2, one segment left */
                out->mobile = true;
            } else if (following == DESTINATION && (home = home_address(header, length))) {
                out->source = home;
                out->mobile = true;
            }
            following = header[0];
            transport += length;
        } else {
            break;
        }
    }
    out->transport = transport;
    out->protocol = (int)following;
    if (!out->fragment)
        parse_transport(frame, out);
}

void rw_packet_parse(const uint8_t *frame, uint32_t size, uint32_t vlan_type, struct rw_packet *out)
{
    static const uint8_t snap[6] = {0xaa, 0xaa, 0x03, 0, 0, 0};
    uint32_t at = 14, type = rw_be16(frame, size, 12);

    memset(out, 0, sizeof *out);
    out->protocol = -1;
    out->first = true;
    if (type == vlan_type) {
        type = rw_be16(frame, size, 16);
        at = 18;
    }
    if (type <= SNAP_MOST && at + 6 <= size && !memcmp(frame + at, snap, sizeof snap)) {
        type = rw_be16(frame, size, at + 6);
        at += 8;
    }
    if (type == IPV4)
        parse_ipv4(frame, size, at, out);
    else if (type == IPV6)
        parse_ipv6(frame, size, at, out);
}
