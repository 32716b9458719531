/* Which frames the receiver takes (datasheet, Receive, VLAN). Python twin: device.filters. */
#include "receive.h"
#include "stats.h"

#define TCI_CFI (1u << 12)

bool rw_tagged(struct rw_card *card, const uint8_t *frame, uint32_t size)
{
    return size >= 18 && rw_be16(frame, size, 12) == rw_get(card, RW_VET);
}

static uint32_t le32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static bool receive_address(struct rw_card *card, const uint8_t *address, uint32_t select)
{
    const uint32_t low = le32(address), compared = 0x8003ffffu;
    const uint32_t high =
        address[4] | (uint32_t)address[5] << 8 | RW_RAH_AV | select << RW_RAH_ASEL_SHIFT;

    for (uint32_t n = 0; n < RW_RAL_COUNT; n++)
        if (rw_get(card, RW_RAL + 8 * n) == low && (rw_get(card, RW_RAH + 8 * n) & compared) == high)
            return true;
    return false;
}

static bool by_address(struct rw_card *card, const uint8_t *frame, uint32_t size, uint32_t rctl, bool *exact)
{
    static const uint8_t shifts[4] = {4, 3, 2, 0}; /* RCTL.MO: 47:36, 46:35, 45:34, 43:32 */
    const enum rw_cast cast = rw_cast_of(frame, size);
    uint32_t index;

    *exact = true;
    if (receive_address(card, frame, 0) || receive_address(card, frame + 6, 1))
        return true;
    if (cast == RW_BROADCAST && rctl & RW_RCTL_BAM)
        return true;
    *exact = false;
    if (cast == RW_UNICAST)
        return rctl & RW_RCTL_UPE;
    if (rctl & RW_RCTL_MPE)
        return true;
    index = (frame[4] | (uint32_t)frame[5] << 8) >> shifts[(rctl & RW_RCTL_MO) >> RW_RCTL_MO_SHIFT] & 0xfff;
    return rw_get(card, RW_MTA + 4 * (index >> 5)) >> (index & 31) & 1;
}

/* Ask the VLAN filter, then the address filters. `frame` has 14 bytes at least. */
bool rw_filter(struct rw_card *card, const uint8_t *frame, uint32_t size, bool *exact)
{
    const uint32_t rctl = rw_get(card, RW_RCTL);

    if (rctl & (RW_RCTL_VFE | RW_RCTL_CFIEN) && rw_tagged(card, frame, size)) {
        const uint32_t tci = rw_be16(frame, size, 14), vid = tci & 0xfff;

        if (rctl & RW_RCTL_CFIEN && !(tci & TCI_CFI) != !(rctl & RW_RCTL_CFI))
            return false;
        if (rctl & RW_RCTL_VFE && !(rw_get(card, RW_VFTA + 4 * (vid >> 5)) >> (vid & 31) & 1))
            return false;
    }
    return by_address(card, frame, size, rctl, exact);
}
