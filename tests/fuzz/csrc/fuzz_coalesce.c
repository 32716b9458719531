/*
 * A hostile card under the driver's coalescing receive ring: descriptors that lie, frames that are nearly TCP, and
 * memory that changes while the driver reads it.
 */
#include <stdlib.h>
#include <string.h>

#include "coalesce.h"
#include "take.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STAGE = 2048, MOST = 64, VERIFIED = 1 | 2 | 1 << 5 | 1 << 6 };

static const uint8_t FOUR[54] = {
    2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    0, 80, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 1, 0, 0, 0, 0, 0};
static const uint8_t SIX[74] = {
    2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64, [22] = 0xfe, [38] = 0xfe,
    [54] = 0, 80, 4, [66] = 0x50, 0x10, 1};

static void put32(uint8_t *at, uint32_t value)
{
    for (int n = 0; n < 4; n++)
        at[n] = (uint8_t)(value >> (24 - 8 * n));
}

/* Write a TCP segment of a flow, in sequence or not, and spoil some of its bytes. Returns the frame's length. */
static uint32_t a_segment(struct input *input, uint8_t *at, uint32_t sequence[4], uint32_t payload)
{
    const uint32_t how = take(input, 1), flow = how & 3, tcp = flow & 1 ? 54 : 34;
    uint32_t spoilt = how >> 5;

    memcpy(at, flow & 1 ? SIX : FOUR, tcp + 20);
    at[tcp] = (uint8_t)flow;
    if (flow & 1)
        at[18] = (uint8_t)((20 + payload) >> 8), at[19] = (uint8_t)(20 + payload);
    else
        at[16] = (uint8_t)((40 + payload) >> 8), at[17] = (uint8_t)(40 + payload);
    put32(at + tcp + 4, sequence[flow]);
    sequence[flow] += payload;
    for (; spoilt > 4; spoilt--)
        at[take(input, 1) % 96] = (uint8_t)take(input, 1);
    return tcp + 20 + payload;
}

/* What the card says: mostly the truth. */
static void describe(struct input *input, uint8_t *descriptor, uint32_t length)
{
    const uint32_t how = take(input, 1);
    uint32_t status = VERIFIED;

    if (how >= 208)
        status = take(input, 4);
    else if (how >= 176)
        status &= ~2u; /* the frame goes on */
    if ((how & 15) == 15)
        length = take(input, 2);
    memset(descriptor, (int)take(input, how & 16 ? 1 : 0), 16);
    memcpy(descriptor + 8, &status, 4);
    descriptor[12] = (uint8_t)length;
    descriptor[13] = (uint8_t)(length >> 8);
}

static void spoil(struct input *input, struct mp_rsc *rsc)
{
    for (uint32_t times = take(input, 1) & 7; times; times--) {
        const uint32_t what = take(input, 1), slot = take(input, 1) % rsc->count;

        if (what < 16)
            rsc->v4 ^= 1;
        else if (what < 96)
            rsc->ring[slot * 16 + take(input, 1) % 16] = (uint8_t)take(input, 1);
        else
            rsc->buffers[slot][take(input, 1) % 96] = (uint8_t)take(input, 1);
    }
}

static void check(const struct mp_rsc *rsc, uint32_t units, uint32_t begin)
{
    const uint32_t armed = (rsc->tail + rsc->count - 1) % rsc->count;
    uint64_t used = 0;

    for (uint32_t n = 0; n < units; n++) {
        if (rsc->units[n].at != used || rsc->units[n].first >= rsc->count || rsc->units[n].last >= rsc->count)
            abort();
        used += rsc->units[n].length;
    }
    if (used > (uint64_t)rsc->count * STAGE || units > rsc->count || (rsc->tail + 1) % rsc->count != rsc->next)
        abort();
    if (begin != rsc->next && memcmp(rsc->ring + armed * 16, rsc->addresses + armed, sizeof *rsc->addresses))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct mp_rsc rsc = {.count = 8 + take(&input, 1) % (MOST - 7), .v4 = 1, .v6 = 1};
    const size_t count = rsc.count;
    uint32_t sequence[4] = {0, 0xffffff00, 1, 2}, card = 0;

    rsc.ring = calloc(count, 16);
    rsc.buffers = calloc(count, sizeof *rsc.buffers);
    rsc.addresses = calloc(count, sizeof *rsc.addresses);
    rsc.following = calloc(count, sizeof *rsc.following);
    rsc.units = calloc(count, sizeof *rsc.units);
    rsc.room = malloc(count * STAGE);
    for (uint32_t n = 0; n < count; n++) {
        rsc.buffers[n] = calloc(1, STAGE); /* each by itself: an overrun is seen */
        rsc.addresses[n] = 0x1000 + (uint64_t)n * STAGE;
    }
    mp_rsc_arm(&rsc);
    while (input.left) {
        const uint32_t frames = take(&input, 1) % rsc.count, begin = rsc.next;
        const uint32_t payload = take(&input, 1) * 8 % 1900;
        uint32_t units;

        for (uint32_t n = 0; n < frames && card != rsc.tail; n++) {
            const uint32_t length = a_segment(&input, rsc.buffers[card], sequence, payload);

            describe(&input, rsc.ring + card * 16, length);
            card = (card + 1) % rsc.count;
        }
        units = mp_rsc_find(&rsc, 1 + take(&input, 1));
        if (take(&input, 1) & 1)
            spoil(&input, &rsc);
        mp_rsc_copy(&rsc, units);
        mp_rsc_rearm(&rsc, begin);
        check(&rsc, units, begin);
    }
    mp_rsc_burst(&rsc, MOST);
    for (uint32_t n = 0; n < count; n++)
        free(rsc.buffers[n]);
    free(rsc.buffers);
    free(rsc.ring);
    free(rsc.addresses);
    free(rsc.following);
    free(rsc.units);
    free(rsc.room);
    return 0;
}
