/*
 * A card's thread and a driver's over the driver's rings in C, for ThreadSanitizer: what the one has written, the
 * other reads, ordered by DD and the doorbell alone.
 *
 *     stress_rings FRAMES
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "burst.h"
#include "coalesce.h"

enum { COUNT = 64, PAYLOAD = 200, FRAME = 54 + PAYLOAD, STATUS = 1 | 2 | 1 << 5 | 1 << 6, TX_DD = 1 };

static uint8_t ring[COUNT * 16] __attribute__((aligned(16))), tx_ring[COUNT * 16] __attribute__((aligned(16)));
static uint8_t *buffers[COUNT];
static uint64_t addresses[COUNT];
static uint32_t following[COUNT];
static struct mp_unit units[COUNT];
static _Atomic uint32_t rx_tail, tx_tail;
static uint64_t frames;
static uint64_t sent_octets, taken;

static void a_frame(uint8_t *at, uint32_t sequence)
{
    static const uint8_t head[54] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 40 + PAYLOAD, 0, 0, 0x40, 0,
                                     64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 80, 4, [46] = 0x50, 0x10, 1};

    memcpy(at, head, sizeof head);
    for (int n = 0; n < 4; n++)
        at[38 + n] = (uint8_t)(sequence >> (24 - 8 * n));
    memset(at + 54, (int)(sequence / PAYLOAD), PAYLOAD);
}

/* Receives into the driver's ring, and takes what the driver sends. */
static void *card(void *unused)
{
    uint32_t head = 0, tx_head = 0;

    (void)unused;
    for (uint64_t n = 0, gone = 0; n < frames || gone < frames;) {
        if (n < frames && head != atomic_load_explicit(&rx_tail, memory_order_acquire)) {
            uint8_t *descriptor = ring + head * 16;

            a_frame(buffers[head], (uint32_t)n * PAYLOAD);
            memcpy(descriptor + 12, &(uint16_t){FRAME}, 2);
            __atomic_store_n((uint32_t *)(void *)(descriptor + 8), STATUS, __ATOMIC_RELEASE);
            head = (head + 1) % COUNT;
            n++;
        }
        while (tx_head != atomic_load_explicit(&tx_tail, memory_order_acquire)) {
            uint8_t *descriptor = tx_ring + tx_head * 16;
            const uint8_t *stage;
            uint32_t words[3];

            memcpy(words, descriptor, sizeof words);
            stage = (const uint8_t *)((uintptr_t)words[1] << 32 | words[0]);
            for (uint32_t at = 0; at < (words[2] & 0xfffff); at++)
                sent_octets += stage[at];
            __atomic_store_n((uint32_t *)(void *)(descriptor + 12), TX_DD, __ATOMIC_RELEASE);
            tx_head = (tx_head + 1) % COUNT;
            gone++;
        }
    }
    return NULL;
}

static void tell_tail(void *unused, uint32_t offset, uint32_t value)
{
    (void)unused, (void)offset;
    atomic_store_explicit(&tx_tail, value, memory_order_release);
}

static void *sender(void *ring_of)
{
    const uint8_t frame[60] = {1};
    uint32_t stop = 0;

    mp_tx_loop(ring_of, frame, sizeof frame, 8, frames / 2, &stop);
    return NULL;
}

static void receive(struct mp_rsc *rsc)
{
    while (taken < frames) {
        const uint32_t made = mp_rsc_burst(rsc, COUNT);

        for (uint32_t n = 0; n < made; n++) {
            const uint8_t *payload = rsc->room + units[n].at + 54;

            if ((units[n].length - 54) % PAYLOAD)
                abort();
            for (uint32_t at = 0; at < units[n].length - 54; at += PAYLOAD, taken++)
                if (payload[at] != (uint8_t)taken || payload[at + PAYLOAD - 1] != (uint8_t)taken)
                    abort();
        }
        atomic_store_explicit(&rx_tail, rsc->tail, memory_order_release);
    }
}

int main(int count, char **arguments)
{
    struct mp_rsc rsc = {.ring = ring, .buffers = buffers, .addresses = addresses, .following = following,
                         .units = units, .count = COUNT, .v4 = 1};
    struct mp_tx tx = {.ring = tx_ring, .count = COUNT, .bell = {.call = tell_tail}};
    uint32_t gate = 0;
    pthread_t threads[3];

    frames = (count > 1 ? strtoull(arguments[1], NULL, 10) : 20000) & ~1ull;
    rsc.room = malloc((size_t)COUNT * MP_STAGE);
    tx.stages = malloc((size_t)COUNT * MP_STAGE);
    tx.stage_address = (uintptr_t)tx.stages;
    tx.gate = &gate;
    for (uint32_t n = 0; n < COUNT; n++)
        buffers[n] = malloc(MP_STAGE);
    mp_tx_init(&tx);
    mp_rsc_arm(&rsc);
    atomic_store(&rx_tail, rsc.tail);
    pthread_create(&threads[0], NULL, card, NULL);
    pthread_create(&threads[1], NULL, sender, &tx);
    pthread_create(&threads[2], NULL, sender, &tx);
    receive(&rsc);
    for (int n = 0; n < 3; n++)
        pthread_join(threads[n], NULL);
    printf("%llu received, %llu sent, %llu coalesced\n", (unsigned long long)taken, (unsigned long long)sent_octets,
           (unsigned long long)rsc.coalesced);
    return sent_octets == frames && rsc.coalesced ? 0 : 1;
}
