/* Bursts over the driver's halves of the rings, and loops that run them. The Python twin is txring.py, rxring.py.
 *
 * Nothing is allocated, nothing calls back for a frame. Descriptors: datasheet, Transmit (extended data), Receive
 * (extended receive). A release fence stands before each doorbell, an acquire fence behind each DD.
 */
#include "burst.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum {
    DESCRIPTOR = 16,
    DD = 1,
    EOP_RX = 2,
    DTYP_DATA = 1 << 20,
    CMD_EOP = 1 << 24,
    CMD_IFCS = 1 << 25,
    CMD_RS = 1 << 27,
    CMD_DEXT = 1 << 29,
    ERRORS = 0x97, /* CE, SE, SEQ, CXE, RXE of the error byte */
};

static void store64(uint8_t *at, uint64_t value) { memcpy(at, &value, 8); }
static void store32(uint8_t *at, uint32_t value) { memcpy(at, &value, 4); }

static uint32_t load32(const uint8_t *at)
{
    /* The other side writes it: a plain load could be hoisted out of a loop. */
    return __atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_ACQUIRE);
}

static void ring_bell(const struct mp_bell *bell, uint32_t value)
{
    atomic_thread_fence(memory_order_release);
    if (bell->mmio)
        bell->mmio[bell->offset / 4] = value;
    else if (bell->call)
        bell->call(bell->device, bell->offset, value);
    if (bell->work)
        bell->work(bell->device);
}

/* The miniport lock. It is held for a burst, microseconds: spin, then let others run. */
static void enter(uint32_t *gate)
{
    uint32_t spins = 0;

    while (gate && __atomic_exchange_n(gate, 1, __ATOMIC_ACQUIRE))
        if (++spins % 256 == 0)
            sched_yield();
}

static void leave(uint32_t *gate)
{
    if (gate)
        __atomic_store_n(gate, 0, __ATOMIC_RELEASE);
}

void mp_tx_init(struct mp_tx *tx)
{
    memset(tx->ring, 0, (size_t)tx->count * DESCRIPTOR);
    tx->clean = tx->tail = tx->rung = 0;
}

uint32_t mp_tx_free(const struct mp_tx *tx)
{
    return (tx->clean + tx->count - tx->tail - 1) % tx->count;
}

/* Every frame is one descriptor with RS: those that are done are the ones up to the first without DD. */
uint32_t mp_tx_reap(struct mp_tx *tx)
{
    uint32_t done = 0;

    while (tx->clean != tx->tail && load32(tx->ring + (size_t)tx->clean * DESCRIPTOR + 12) & DD) {
        tx->clean = tx->clean + 1 < tx->count ? tx->clean + 1 : 0;
        done++;
    }
    tx->reaped += done;
    return done;
}

static void post(struct mp_tx *tx, const uint8_t *data, uint32_t length)
{
    const size_t stage = (size_t)tx->tail * MP_STAGE;
    uint8_t *descriptor = tx->ring + (size_t)tx->tail * DESCRIPTOR;

    memcpy(tx->stages + stage, data, length);
    if (length < MP_SHORTEST) {
        memset(tx->stages + stage + length, 0, MP_SHORTEST - length);
        length = MP_SHORTEST;
    }
    store64(descriptor, tx->stage_address + stage);
    store32(descriptor + 8, length | DTYP_DATA | CMD_EOP | CMD_IFCS | CMD_RS | CMD_DEXT);
    store32(descriptor + 12, 0);
    tx->tail = tx->tail + 1 < tx->count ? tx->tail + 1 : 0;
    tx->posted++;
}

static void ring_tx(struct mp_tx *tx)
{
    if (tx->rung != tx->tail) {
        tx->rung = tx->tail;
        ring_bell(&tx->bell, tx->tail);
    }
}

/* Take what fits; frames longer than a stage are refused and counted as taken. Returns how many were taken. */
uint32_t mp_tx_burst(struct mp_tx *tx, const uint8_t *data, const struct mp_frame *frames, uint32_t count)
{
    uint32_t room, at;

    enter(tx->gate);
    mp_tx_reap(tx);
    room = mp_tx_free(tx);
    for (at = 0; at < count && room; at++) {
        if (frames[at].length > MP_STAGE || !frames[at].length) {
            tx->refused++;
            continue;
        }
        post(tx, data + frames[at].at, frames[at].length);
        room--;
    }
    ring_tx(tx);
    leave(tx->gate);
    return at;
}

/* The same, for frames that lie one right behind the other. */
uint32_t mp_tx_joined(struct mp_tx *tx, const uint8_t *data, const uint32_t *lengths, uint32_t count)
{
    uint32_t room, at;

    enter(tx->gate);
    mp_tx_reap(tx);
    room = mp_tx_free(tx);
    for (at = 0; at < count && room; data += lengths[at], at++) {
        if (lengths[at] > MP_STAGE || !lengths[at]) {
            tx->refused++;
            continue;
        }
        post(tx, data, lengths[at]);
        room--;
    }
    ring_tx(tx);
    leave(tx->gate);
    return at;
}

static void arm(struct mp_rx *rx, uint32_t slot)
{
    uint8_t *descriptor = rx->ring + (size_t)slot * DESCRIPTOR;

    store64(descriptor, rx->buffer_address + (uint64_t)slot * MP_STAGE);
    store64(descriptor + 8, 0);
}

void mp_rx_init(struct mp_rx *rx)
{
    for (uint32_t slot = 0; slot < rx->count; slot++)
        arm(rx, slot);
    rx->next = 0;
    rx->tail = rx->count - 1;
    ring_bell(&rx->bell, rx->tail);
}

/* Copy out up to `most` frames, as long as they fit into `room`; out NULL: only count. Frames of several
 * buffers, and bad ones, are counted as errors and dropped. */
uint32_t mp_rx_burst(struct mp_rx *rx, uint8_t *out, size_t room, struct mp_frame *frames, uint32_t most)
{
    uint32_t taken = 0, looked = 0;
    size_t used = 0;

    while (taken < most && looked < rx->count) {
        uint8_t *descriptor = rx->ring + (size_t)rx->next * DESCRIPTOR;
        const uint32_t status = load32(descriptor + 8);
        uint32_t length;

        if (rx->next == rx->tail || !(status & DD))
            break;
        length = (uint32_t)descriptor[12] | (uint32_t)descriptor[13] << 8;
        if (length > MP_STAGE)
            length = MP_STAGE;
        if (out && length > room - used)
            break;
        if (!(status & EOP_RX) || (status >> 24) & ERRORS) {
            rx->errors++;
        } else {
            if (out) {
                memcpy(out + used, rx->buffers + (size_t)rx->next * MP_STAGE, length);
                frames[taken].at = (uint32_t)used;
                frames[taken].length = length;
                used += length;
            }
            rx->frames++;
            rx->octets += length;
            taken++;
        }
        arm(rx, rx->next);
        rx->tail = rx->next;
        rx->next = rx->next + 1 < rx->count ? rx->next + 1 : 0;
        looked++;
    }
    if (looked)
        ring_bell(&rx->bell, rx->tail);
    return taken;
}

uint64_t mp_tx_loop(struct mp_tx *tx, const uint8_t *frame, uint32_t length, uint32_t burst, uint64_t frames,
                    const volatile uint32_t *stop)
{
    uint64_t sent = 0;

    if (!length || length > MP_STAGE || !burst)
        return 0;
    while (!*stop && (!frames || sent < frames)) {
        uint32_t room, wanted;

        enter(tx->gate);
        mp_tx_reap(tx);
        room = mp_tx_free(tx);
        wanted = burst < room ? burst : room;
        if (frames && frames - sent < wanted)
            wanted = (uint32_t)(frames - sent);
        for (uint32_t at = 0; at < wanted; at++)
            post(tx, frame, length);
        ring_tx(tx);
        leave(tx->gate);
        sent += wanted;
    }
    return sent;
}

uint64_t mp_rx_loop(struct mp_rx *rx, uint32_t burst, uint64_t frames, const volatile uint32_t *stop)
{
    uint64_t taken = 0;

    while (!*stop && (!frames || taken < frames))
        taken += mp_rx_burst(rx, NULL, 0, NULL, burst);
    return taken;
}

void mp_null_doorbell(void *device, uint32_t offset, uint32_t value)
{
    struct mp_null *card = device;
    struct mp_tx *tx = card->tx;

    (void)offset;
    while (card->head != value && value < tx->count) {
        tx->ring[(size_t)card->head * DESCRIPTOR + 12] |= DD;
        card->head = card->head + 1 < tx->count ? card->head + 1 : 0;
        card->frames++;
    }
}
