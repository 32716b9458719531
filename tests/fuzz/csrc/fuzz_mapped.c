/* A hostile driver with mapped doorbells: it stores anything into the page, at any moment, between messages. */
#include <stdatomic.h>

#include "guest.h"
#include "mapped.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void store(struct input *input, _Atomic uint32_t *page)
{
    static const uint32_t rings[] = {
        RW_TDT0, RW_TDT1, RW_RDT0, RW_RDT1, RW_TDH0, RW_RDH0, RW_TDLEN0, RW_RDLEN0, RW_TDBAL0, RW_RDBAL0,
    };
    const uint32_t pick = take(input, 1);
    const uint32_t offset = pick < 192 ? rings[pick % (sizeof rings / sizeof *rings)]
                                       : RW_MAPPED_FIRST + take(input, 2) % RW_MAPPED_BYTES / 4 * 4;

    atomic_store(&page[(offset - RW_MAPPED_FIRST) / 4], take(input, pick & 1 ? 1 : 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    rw_card *card = rw_new(false);
    uint8_t *ram = calloc(1, GUEST_BYTES);
    _Atomic uint32_t *page = aligned_alloc(4096, RW_MAPPED_BYTES);

    if (!card || !ram || !page)
        abort();
    for (uint32_t n = 0; n < RW_MAPPED_BYTES / 4; n++)
        atomic_init(&page[n], 0);
    rw_dma_map(card, GUEST_IOVA, GUEST_BYTES, ram, RW_DMA_READ | RW_DMA_WRITE);
    guest_setup(card);
    for (uint32_t n = 0; n < GUEST_BYTES / 2; n++)
        ram[n] = (uint8_t)take(&input, input.left > 64 ? 1 : 0);
    if (rw_mapped_start(card, page, 0))
        abort();
    for (int steps = 0; input.left && steps < 200; steps++) {
        store(&input, page);
        if (take(&input, 1) & 1)
            rw_mapped_sync(card);
    }
    rw_mapped_stop(card);
    rw_free(card);
    free(ram);
    free(page);
    return 0;
}
