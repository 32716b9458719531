/*
 * The driver's coalescing over frames from stdin, its units to stdout: for a comparison with the Python twin.
 *
 *     in:   COUNT, then of each frame STATUS, LENGTH, bytes; and again, until stdin ends
 *     out:  UNITS, then of each unit SEGMENTS, LENGTH, bytes
 *
 * Numbers have 32 bits of this machine's order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coalesce.h"

enum { STAGE = 2048, COUNT = 64 };

static uint8_t ring[COUNT * 16] __attribute__((aligned(16)));
static uint64_t addresses[COUNT];
static uint32_t following[COUNT];
static struct mp_unit units[COUNT];

static uint32_t number(void)
{
    uint32_t value;

    if (fread(&value, sizeof value, 1, stdin) != 1)
        exit(0);
    return value;
}

static void tell(uint32_t value) { fwrite(&value, sizeof value, 1, stdout); }

int main(void)
{
    struct mp_rsc rsc = {.ring = ring, .addresses = addresses, .following = following, .units = units,
                         .count = COUNT, .v4 = 1, .v6 = 1};
    uint8_t *buffers[COUNT];
    uint32_t card = 0;

    rsc.buffers = buffers;
    rsc.room = malloc(COUNT * STAGE);
    for (uint32_t n = 0; n < COUNT; n++)
        buffers[n] = malloc(STAGE); /* each by itself: an overrun is seen */
    mp_rsc_arm(&rsc);
    for (;;) {
        uint32_t count = number(), made;

        for (; count && card != rsc.tail; count--) {
            const uint32_t status = number(), length = number();

            if (length > STAGE || fread(buffers[card], 1, length, stdin) != length)
                return 1;
            memset(ring + card * 16, 0, 16);
            memcpy(ring + card * 16 + 8, &status, sizeof status);
            ring[card * 16 + 12] = (uint8_t)length;
            ring[card * 16 + 13] = (uint8_t)(length >> 8);
            card = (card + 1) % COUNT;
        }
        made = mp_rsc_burst(&rsc, COUNT);
        tell(made);
        for (uint32_t n = 0; n < made; n++) {
            tell(units[n].segments);
            tell(units[n].length);
            fwrite(rsc.room + units[n].at, 1, units[n].length, stdout);
        }
    }
}
