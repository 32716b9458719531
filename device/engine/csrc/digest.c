/* See digest.h. Four lanes of 8 bytes each; what is left over is mixed in at the end. */
#include "digest.h"

#include <endian.h>
#include <string.h>

#include "core.h"

#define P1 0x9e3779b185ebca87ull
#define P2 0xc2b2ae3d27d4eb4full
#define P3 0x165667b19e3779f9ull
#define P4 0x85ebca77c2b2ae63ull
#define P5 0x27d4eb2f165667c5ull
#define STRIPE 32u

static uint64_t turned(uint64_t value, unsigned by)
{
    return value << by | value >> (64 - by);
}

static uint64_t word64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

static uint32_t word32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static uint64_t round_of(uint64_t lane, uint64_t input)
{
    return turned(lane + input * P2, 31) * P1;
}

void rw_digest_begin(struct rw_digest *digest)
{
    digest->lane[0] = P1 + P2;
    digest->lane[1] = P2;
    digest->lane[2] = 0;
    digest->lane[3] = 0 - P1;
    digest->total = 0;
    digest->held = 0;
    memset(digest->rest, 0, sizeof digest->rest);
}

static const uint8_t *stripes(struct rw_digest *digest, const uint8_t *data, size_t count)
{
    uint64_t a = digest->lane[0], b = digest->lane[1], c = digest->lane[2], d = digest->lane[3];

    for (; count; count--, data += STRIPE) {
        a = round_of(a, word64(data));
        b = round_of(b, word64(data + 8));
        c = round_of(c, word64(data + 16));
        d = round_of(d, word64(data + 24));
    }
    digest->lane[0] = a;
    digest->lane[1] = b;
    digest->lane[2] = c;
    digest->lane[3] = d;
    return data;
}

void rw_digest_add(struct rw_digest *digest, const uint8_t *data, size_t length)
{
    if (!length)
        return;
    digest->total += length;
    if (digest->held) {
        const size_t room = STRIPE - digest->held, part = length < room ? length : room;

        memcpy(digest->rest + digest->held, data, part);
        digest->held += (uint32_t)part;
        data += part;
        length -= part;
        if (digest->held < STRIPE)
            return;
        stripes(digest, digest->rest, 1);
        digest->held = 0;
    }
    data = stripes(digest, data, length / STRIPE);
    length %= STRIPE;
    if (length)
        memcpy(digest->rest, data, length);
    digest->held = (uint32_t)length;
}

static uint64_t merged(const struct rw_digest *digest)
{
    const uint64_t *lane = digest->lane;
    uint64_t value = turned(lane[0], 1) + turned(lane[1], 7) + turned(lane[2], 12) + turned(lane[3], 18);

    for (int n = 0; n < 4; n++)
        value = (value ^ round_of(0, lane[n])) * P1 + P4;
    return value;
}

uint64_t rw_digest_end(const struct rw_digest *digest)
{
    uint64_t value = digest->total >= STRIPE ? merged(digest) : P5;
    const uint8_t *at = digest->rest, *end = at + digest->held;

    value += digest->total;
    for (; at + 8 <= end; at += 8)
        value = turned(value ^ round_of(0, word64(at)), 27) * P1 + P4;
    if (at + 4 <= end) {
        value = turned(value ^ word32(at) * P1, 23) * P2 + P3;
        at += 4;
    }
    for (; at < end; at++)
        value = turned(value ^ *at * P5, 11) * P1;
    value = (value ^ value >> 33) * P2;
    value = (value ^ value >> 29) * P3;
    return value ^ value >> 32;
}

uint64_t rw_digest_of(const uint8_t *data, size_t length)
{
    struct rw_digest digest;

    rw_digest_begin(&digest);
    rw_digest_add(&digest, data, length);
    return rw_digest_end(&digest);
}
