/*
 * The register file: storage, masks, aliases and reset values, all from regs.h. It knows no behaviour.
 * Python twin: device.engine.reference.registers.
 */
#include "card.h"

struct rw_reg_info rw_regs[RW_WORDS];

struct row {
    uint32_t offset, count, stride;
    uint8_t access, owner;
    uint32_t mask, reset;
};

static const struct row rows[] = {
#define X(offset, count, stride, access, owner, mask, reset)                                           \
    {offset, count, stride, RW_ACC_##access, RW_OWN_##owner, mask, reset},
    RW_REGISTERS(X)
#undef X
};

struct alias {
    uint32_t alias, offset, count, stride;
};

static const struct alias aliases[] = {
#define X(alias, offset, count, stride) {alias, offset, count, stride},
    RW_ALIASES(X)
#undef X
};

static void fill(void)
{
    for (uint32_t word = 0; word < RW_WORDS; word++)
        rw_regs[word].canonical = (uint16_t)word;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (uint32_t n = 0; n < rows[r].count; n++) {
            struct rw_reg_info *info = &rw_regs[(rows[r].offset + n * rows[r].stride) / 4];

            info->access = rows[r].access;
            info->owner = rows[r].owner;
            info->mask = rows[r].access == RW_ACC_RW ? rows[r].mask : 0;
            info->reset = rows[r].access == RW_ACC_WO ? 0 : rows[r].reset;
        }
    for (size_t a = 0; a < sizeof aliases / sizeof *aliases; a++)
        for (uint32_t n = 0; n < aliases[a].count; n++) {
            const uint32_t at = (aliases[a].alias + n * aliases[a].stride) / 4;
            const uint32_t stands_for = (aliases[a].offset + n * aliases[a].stride) / 4;

            rw_regs[at] = rw_regs[stands_for];
            rw_regs[at].canonical = (uint16_t)stands_for;
        }
}

void rw_regs_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, fill);
}

uint32_t rw_peek(rw_card *card, uint32_t offset)
{
    if (offset >= RW_BAR_BYTES || offset % 4)
        return 0;
    return rw_get_shown(card, rw_regs[offset / 4].canonical * 4u);
}

void rw_poke(rw_card *card, uint32_t offset, uint32_t value)
{
    if (offset >= RW_BAR_BYTES || offset % 4 || rw_regs[offset / 4].access == RW_ACC_NONE)
        return;
    rw_put(card, rw_regs[offset / 4].canonical * 4u, value);
}
