/* A hostile guest: the input is a program of register accesses, descriptors, frames, mappings and times. */
#include "guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Offsets worth more than their share. */
static const uint32_t hot[] = {
    RW_TDT0,  RW_TDT1,  RW_RDT0,   RW_RDT1,   RW_TDH0,   RW_RDH0, RW_TDLEN0, RW_RDLEN0, RW_RCTL,
    RW_TCTL,  RW_RFCTL, RW_PSRCTL, RW_RXCSUM, RW_MRQC,   RW_CTRL, RW_VET,    RW_IVAR,   RW_ICR,
    RW_ICS,   RW_IMS,   RW_EIAC,   RW_RDTR,   RW_TIDV,   RW_ITR,  RW_TARC0,  RW_TARC1,  RW_TXDCTL0,
    RW_TDBAL0, RW_RDBAL0, RW_FCT,  RW_TSYNCRXCTL, RW_TIMINCA, RW_RSRPD, RW_RAID, RW_FCRTH, RW_TDBAH0,
};

static uint32_t an_offset(struct input *input)
{
    const uint32_t pick = take(input, 1);

    if (pick < 224)
        return hot[pick % (sizeof hot / sizeof *hot)];
    return take(input, 3);
}

/* A descriptor whose addresses often hit memory. */
static void a_descriptor(struct input *input, uint8_t *ram)
{
    const uint32_t slot = take(input, 1);
    uint64_t words[2] = {0, 0};

    if (take(input, 1) & 7)
        words[0] = GUEST_IOVA + (take(input, 2) & (2 * GUEST_BYTES - 1));
    else
        words[0] = (uint64_t)take(input, 4) << 32 | take(input, 4);
    words[1] = (uint64_t)take(input, 4) << 32 | take(input, 4);
    if (take(input, 1) & 3)
        words[1] &= ~0xf000ull; /* lengths that fit more often */
    memcpy(ram + slot % 256 * RW_DESC_BYTES, words, sizeof words);
}

static void a_frame(struct input *input, rw_card *card)
{
    const struct rw_offload offload = {
        .needs_csum = take(input, 1) & 1,
        .csum_start = (uint16_t)take(input, 1),
        .csum_offset = (uint16_t)take(input, 1),
    };
    const uint32_t length = take(input, 2) % 20000;
    uint8_t *frame = calloc(1, length ? length : 1); /* of its exact length, for the sanitizer's sake */
    const uint32_t given = length < 200 ? length : 200;

    if (!frame)
        return;
    for (uint32_t n = 0; n < given; n++)
        frame[n] = (uint8_t)take(input, 1);
    if (length > 14 && take(input, 1) & 1) {
        static const uint8_t types[][3] = {{8, 0, 0x45}, {0x86, 0xdd, 0x60}, {0x81, 0, 0}, {0x88, 8, 0}};

        memcpy(frame + 12, types[take(input, 1) % 4], 3);
    }
    rw_receive(card, frame, length, &offload);
    free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    const uint32_t kind = take(&input, 1);
    rw_card *card = rw_new(kind & 1);
    uint8_t *ram = calloc(1, GUEST_BYTES);
    uint64_t now = 0, at;
    size_t length;

    if (!card || !ram)
        abort();
    rw_dma_map(card, GUEST_IOVA, GUEST_BYTES / 2, ram, RW_DMA_READ | RW_DMA_WRITE);
    rw_dma_map(card, GUEST_IOVA + GUEST_BYTES / 2, GUEST_BYTES / 2, ram + GUEST_BYTES / 2,
               kind & 2 ? RW_DMA_READ : RW_DMA_READ | RW_DMA_WRITE);
    rw_set_mode(card, kind >> 2 & 3);
    guest_setup(card);
    for (uint32_t n = 0; n < 64; n++) {
        const uint64_t buffer = GUEST_IOVA + 0x2000 + n % 16 * 256;

        memcpy(ram + 0x800 + n * RW_DESC_BYTES, &buffer, sizeof buffer);
    }
    for (int steps = 0; input.left && steps < 400; steps++) {
        switch (take(&input, 1) % 12) {
        case 0: case 1: case 2:
            a_descriptor(&input, ram);
            break;
        case 3: {
            const uint32_t where = an_offset(&input);

            rw_write(card, where, take(&input, take(&input, 1) & 1 ? 1 : 4));
            break;
        }
        case 4:
            rw_write(card, take(&input, 1) & 1 ? RW_TDT0 : RW_TDT1, take(&input, 1) % 64);
            rw_run(card);
            break;
        case 5:
            rw_read(card, an_offset(&input));
            break;
        case 6:
            rw_step(card);
            break;
        case 7: case 8:
            a_frame(&input, card);
            break;
        case 9:
            now += take(&input, 3);
            rw_advance(card, now);
            rw_deadline(card, &at);
            break;
        case 10: {
            const uint32_t what = take(&input, 1);

            if (what < 64)
                rw_set_mode(card, what % 4);
            else if (what < 96)
                rw_set_loopback(card, what & 1);
            else if (what < 100)
                rw_reset(card, NULL, 0);
            else
                rw_raise(card, take(&input, 4));
            break;
        }
        default: {
            const uint32_t where = take(&input, 2) % GUEST_BYTES;

            ram[where] = (uint8_t)take(&input, 1);
            break;
        }
        }
        rw_effects(card, &length);
        if (length > 1u << 20)
            rw_effects_forget(card);
    }
    rw_run(card);
    rw_free(card);
    free(ram);
    return 0;
}
