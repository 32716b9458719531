/* A hostile cable before a hostile driver: filters, RSS, splitting and buffers of any kind, and any frame. */
#include "guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What decides which queue, buffer and descriptor a frame gets, and what is said of it. */
static const uint32_t deciding[] = {
    RW_RCTL, RW_RFCTL, RW_PSRCTL, RW_RXCSUM, RW_MRQC, RW_VET,   RW_RSRPD, RW_RAL,
    RW_RAH,  RW_MTA,   RW_VFTA,   RW_RETA,   RW_RSSRK, RW_FCTTV, RW_CTRL,  RW_TSYNCRXCTL,
};

static void decide(struct input *input, rw_card *card)
{
    const uint32_t offset = deciding[take(input, 1) % (sizeof deciding / sizeof *deciding)];
    const uint32_t value = take(input, 4);

    if (offset == RW_CTRL)
        rw_poke(card, RW_CTRL, value & RW_CTRL_VME);
    else if (offset == RW_RCTL)
        rw_write(card, RW_RCTL, value | RW_RCTL_EN);
    else
        rw_write(card, offset + take(input, 1) % 8 * 4, value);
}

static void buffers(struct input *input, uint8_t *ram)
{
    const uint32_t first = take(input, 1), spacing = take(input, 1);

    for (uint32_t n = 0; n < 64; n++) { /* the last ones reach beyond memory */
        const uint64_t buffer = GUEST_IOVA + 0x1000 + (first * 64 + n * (spacing + 1) * 16) % GUEST_BYTES;

        memcpy(ram + 0x800 + n * RW_DESC_BYTES, &buffer, sizeof buffer);
        memcpy(ram + 0xc00 + n * RW_DESC_BYTES, &buffer, sizeof buffer);
    }
}

static void arrive(struct input *input, rw_card *card)
{
    static const uint8_t starts[][4] = {
        {8, 0, 0x45, 0},    {8, 0, 0x4f, 0},     {0x86, 0xdd, 0x60, 0}, {0x81, 0, 0, 7},
        {0x88, 8, 0, 1},    {0x88, 0xf7, 0, 2},  {8, 6, 0, 1},          {0, 46, 0xaa, 0xaa},
    };
    const struct rw_offload offload = {.needs_csum = true, .csum_start = 34, .csum_offset = (uint16_t)take(input, 1)};
    const uint32_t how = take(input, 1);
    const uint32_t length = how & 1 ? take(input, 2) % 17000 : take(input, 1), given = length < 120 ? length : 120;
    uint8_t *frame = calloc(1, length ? length : 1); /* of its exact length, for the sanitizer's sake */

    if (!frame)
        abort();
    for (uint32_t n = 0; n < given; n++)
        frame[n] = (uint8_t)take(input, 1);
    if (length >= 16)
        memcpy(frame + 12, starts[how >> 1 & 7], 4);
    if (length >= 40 && how & 32)
        frame[how & 64 ? 23 : 20] = how & 128 ? 17 : 6;
    rw_receive(card, frame, length, how & 16 ? &offload : NULL);
    free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    rw_card *card = rw_new(take(&input, 1) & 1);
    uint8_t *ram = calloc(1, GUEST_BYTES);

    if (!card || !ram)
        abort();
    rw_dma_map(card, GUEST_IOVA, GUEST_BYTES, ram, RW_DMA_READ | RW_DMA_WRITE);
    guest_setup(card);
    buffers(&input, ram);
    while (input.left) {
        switch (take(&input, 1) & 3) {
        case 0:
            decide(&input, card);
            break;
        case 1:
            rw_write(card, take(&input, 1) & 1 ? RW_RDT0 : RW_RDT1, take(&input, 1) % 64);
            break;
        default:
            arrive(&input, card);
            break;
        }
        rw_effects_forget(card);
    }
    rw_free(card);
    free(ram);
    return 0;
}
