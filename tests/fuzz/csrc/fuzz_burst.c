/* A hostile card under the driver's bursts: completions, lengths and errors at any moment, frames of any length. */
#include <stdlib.h>
#include <string.h>

#include "burst.h"
#include "take.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COUNT = 16 };

static void send_some(struct input *input, struct mp_tx *tx, uint8_t *frames)
{
    uint32_t lengths[4], at = 0, count = take(input, 1) & 3;
    struct mp_frame list[4];

    for (uint32_t n = 0; n < count; n++) {
        lengths[n] = take(input, 2) % (MP_STAGE + 16);
        list[n] = (struct mp_frame){at, lengths[n]};
        at += lengths[n];
    }
    if (take(input, 1) & 1)
        count = mp_tx_joined(tx, frames, lengths, count);
    else
        count = mp_tx_burst(tx, frames, list, count);
    if (count > 3 || tx->tail >= COUNT || tx->clean >= COUNT || mp_tx_free(tx) >= COUNT)
        abort();
}

static void receive_some(struct input *input, struct mp_rx *rx)
{
    const uint32_t room = take(input, 2) % (3 * MP_STAGE), most = take(input, 1) % 8;
    uint8_t *out = malloc(room ? room : 1);
    struct mp_frame *frames = malloc((most ? most : 1) * sizeof *frames);
    const uint32_t taken = mp_rx_burst(rx, take(input, 1) & 3 ? out : NULL, room, frames, most);

    if (taken > most || rx->next >= COUNT || rx->tail >= COUNT)
        abort();
    free(out);
    free(frames);
}

/* The loops that measure, over a card that completes at once, and once over one that is told to stop. */
static uint32_t no_work(void *unused)
{
    (void)unused;
    return 0;
}

static void measure(struct input *input, bool shared)
{
    uint8_t *memory[4] = {calloc(COUNT, 16), malloc(COUNT * MP_STAGE), calloc(COUNT, 16), malloc(COUNT * MP_STAGE)};
    struct mp_tx tx = {.ring = memory[0], .stages = memory[1], .count = COUNT};
    struct mp_rx rx = {.ring = memory[2], .buffers = memory[3], .count = COUNT};
    struct mp_null null = {.tx = &tx};
    uint32_t gate = 0, stop = 0, stopped = 1;
    volatile uint32_t registers[1];
    const uint8_t *frame = memory[3];

    memset(memory[3], 0x5a, COUNT * MP_STAGE);
    tx.bell = (struct mp_bell){.call = mp_null_doorbell, .device = &null, .work = shared ? no_work : NULL};
    tx.gate = shared ? &gate : NULL;
    rx.bell.mmio = shared ? registers : NULL;
    mp_tx_init(&tx);
    mp_rx_init(&rx);
    if (mp_tx_loop(&tx, frame, 17 + take(input, 2) % (MP_STAGE - 16), 1 + take(input, 1) % 20, 40 + take(input, 1), &stop) > 296 ||
        mp_tx_loop(&tx, frame, MP_STAGE + 1, 1, 1, &stop))
        abort();
    if (mp_tx_loop(&tx, frame, 60, 1, 0, &stopped) || mp_rx_loop(&rx, 4, 0, &stopped))
        abort();
    null.head = tx.tail;
    mp_null_doorbell(&null, 0, COUNT); /* no slot of this ring */
    for (uint32_t n = 0; n < COUNT; n++) /* all of them hold a frame */
        memory[2][n * 16 + 8] = 3, memory[2][n * 16 + 12] = 64;
    if (!mp_rx_loop(&rx, 4, 1 + take(input, 1) % 8, &stop))
        abort();
    for (uint32_t n = 0; n < 4; n++)
        free(memory[n]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint8_t *memory[4] = {calloc(COUNT, 16), malloc(COUNT * MP_STAGE), calloc(COUNT, 16), malloc(COUNT * MP_STAGE)};
    uint8_t *frames = calloc(4, MP_STAGE + 16);
    struct mp_tx tx = {.ring = memory[0], .stages = memory[1], .count = COUNT};
    struct mp_rx rx = {.ring = memory[2], .buffers = memory[3], .count = COUNT};

    memset(memory[3], 0x5a, COUNT * MP_STAGE);
    mp_tx_init(&tx);
    mp_rx_init(&rx);
    while (input.left) {
        const uint32_t what = take(&input, 1);
        uint8_t *descriptor = memory[what & 4 ? 0 : 2] + (what >> 4) * 16;

        if ((what & 3) == 0)
            send_some(&input, &tx, frames);
        else if ((what & 3) == 1)
            receive_some(&input, &rx);
        else /* the card writes a word back, or nonsense */
            for (uint32_t n = what & 8 ? 0 : 8; n < (what & 3 ? 16u : 12u); n++)
                descriptor[n] = (uint8_t)take(&input, 1);
    }
    measure(&input, false);
    measure(&input, true);
    for (uint32_t n = 0; n < 4; n++)
        free(memory[n]);
    free(frames);
    return 0;
}
