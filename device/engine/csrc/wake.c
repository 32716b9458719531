/* Wake-up frames: which of WUFC's filters a frame meets (datasheet, Wake-up). Python twin: reference.wake.
 * rx_lock is held. */
#include "receive.h"

#define KEPT 128u /* bytes of WUPM */
#define MAC_BYTES 6u
#define MAGIC_TIMES 16u
#define FIRST_FLX (1u << 16) /* WUFC.FLX */
#define FILTERS 4u
#define FILTERED 128u /* bytes that flexible filters see */
#define LEAST_FILTER 2u
#define V6_VALID (1u << 16) /* IPAV.V60 */

static void put_word(uint8_t *at, uint32_t value)
{
    for (int n = 0; n < 4; n++)
        at[n] = (uint8_t)(value >> 8 * n);
}

static bool magic(struct rw_card *card, const uint8_t *frame, uint32_t size)
{
    uint8_t wanted[MAC_BYTES * (MAGIC_TIMES + 1)], mac[8];

    put_word(mac, rw_get(card, RW_RAL));
    put_word(mac + 4, rw_get(card, RW_RAH));
    memset(wanted, 0xff, MAC_BYTES);
    for (uint32_t n = 1; n <= MAGIC_TIMES; n++)
        memcpy(wanted + MAC_BYTES * n, mac, MAC_BYTES);
    return size > 12 && memmem(frame + 12, size - 12, wanted, sizeof wanted);
}

/* Whether the 4 bytes at `at` are a valid address of IP4AT (IPAV.V40 to V43). */
static bool ours(struct rw_card *card, const uint8_t *frame, uint32_t size, uint32_t at)
{
    const uint32_t valid = rw_get(card, RW_IPAV);

    for (uint32_t n = 0; n < 4 && at + 4 <= size; n++) {
        uint8_t address[4];

        put_word(address, rw_get(card, RW_IP4AT + 8 * n));
        if (valid >> n & 1 && !memcmp(address, frame + at, sizeof address))
            return true;
    }
    return false;
}

static bool ours6(struct rw_card *card, const uint8_t *frame, uint32_t size, uint32_t at)
{
    uint8_t address[16];

    for (uint32_t n = 0; n < 4; n++)
        put_word(address + 4 * n, rw_get(card, RW_IP6AT + 4 * n));
    return rw_get(card, RW_IPAV) & V6_VALID && at + 16 <= size && !memcmp(address, frame + at, sizeof address);
}

/* Whether a frame passes flexible filter n: long enough, and no masked byte up to there differs. */
static bool flexible(struct rw_card *card, const uint8_t *frame, uint32_t size, uint32_t n)
{
    const uint32_t length = rw_get(card, RW_FFLT + 8 * n);

    if (length < LEAST_FILTER || length > size)
        return false;
    for (uint32_t at = 0; at < length && at < FILTERED; at++)
        if (rw_get(card, RW_FFMT + 8 * at) >> n & 1 &&
            (rw_get(card, RW_FFVT + 8 * at) >> 8 * n & 0xff) != frame[at])
            return false;
    return true;
}

static uint32_t met(struct rw_card *card, const uint8_t *frame, uint32_t size, bool exact)
{
    static const uint8_t broadcast[MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const uint32_t type = rw_be16(frame, size, 12);
    uint32_t found = exact ? RW_WUFC_EX : 0;

    if (!memcmp(frame, broadcast, sizeof broadcast))
        found = RW_WUFC_BC;
    else if (frame[0] & 1)
        found = RW_WUFC_MC;
    if (magic(card, frame, size))
        found |= RW_WUFC_MAG;
    if (type == 0x0806 && rw_be16(frame, size, 20) == 1 && ours(card, frame, size, 38))
        found |= RW_WUFC_ARP;
    else if (type == 0x0800 && frame[14] == 0x45 && found & RW_WUFC_EX && ours(card, frame, size, 30))
        found |= RW_WUFC_IPV4;
    else if (type == 0x86dd && found & RW_WUFC_EX && ours6(card, frame, size, 38))
        found |= RW_WUFC_IPV6;
    for (uint32_t n = 0; n < FILTERS; n++)
        if (rw_get(card, RW_WUFC) & FIRST_FLX << n && flexible(card, frame, size, n))
            found |= FIRST_FLX << n;
    return found & rw_get(card, RW_WUFC);
}

bool rw_wake_armed(struct rw_card *card)
{
    return rw_get(card, RW_WUC) & RW_WUC_PME_EN;
}

/* Compare a frame of a sleeping card; the first that wakes is kept, and each filter is announced once. */
void rw_wake_consider(struct rw_card *card, const uint8_t *frame, uint32_t size, bool exact)
{
    const uint32_t found = met(card, frame, size, exact), before = rw_get(card, RW_WUS);

    if (!(found & ~before))
        return;
    if (!before) {
        rw_put(card, RW_WUPL, size);
        for (uint32_t n = 0; n < KEPT; n += 4) {
            uint32_t word = 0;

            for (uint32_t b = 0; b < 4 && n + b < size; b++)
                word |= (uint32_t)frame[n + b] << 8 * b;
            rw_put(card, RW_WUPM + n, word);
        }
    }
    rw_put(card, RW_WUS, before | found);
    rw_effect(card, RW_WAKE, found & ~before);
}
