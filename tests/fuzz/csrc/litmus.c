/*
 * The pairs of docs/memory-model.md, each with a guest's thread and a card's that are ordered by it alone. Built for
 * ThreadSanitizer, which sees a pair that is not ordered on any machine: the plain accesses around it are a race then.
 * Each round checks values, too, for machines that reorder by themselves.
 *
 *     litmus PAIR ROUNDS
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "access.h"
#include "guest.h"
#include "mapped.h"
#include "threads.h"

enum { SLOTS = 64, FRAME = 200, TX_DATA = 0x1000, RX_DATA = 0x4000, RX_RING = 0x800, PATIENCE_S = 60 };
enum { TX_COMMAND = RW_MIN_FRAME | 0x0b << 24 };

static rw_card *card;
static uint8_t *ram;
static _Atomic uint32_t *page;
static int pair[2] = {-1, -1}, interrupt = -1;
static uint32_t rounds;
static _Atomic bool over;

static void fail(const char *what, uint32_t round)
{
    fprintf(stderr, "litmus: %s in round %u\n", what, round);
    exit(1);
}

/* DD, read in the width in which the card writes it: ThreadSanitizer takes no other for the same place. */
static bool done(uint32_t at)
{
    if (at < RX_RING)
        return __atomic_load_n(ram + at + 12, __ATOMIC_ACQUIRE) & 1;
    return __atomic_load_n((uint64_t *)(void *)(ram + at + 8), __ATOMIC_ACQUIRE) >> 32 & 1;
}

/* The same for who goes by something else, and is ordered by that alone. */
static bool done_already(uint32_t at)
{
    if (at < RX_RING)
        return __atomic_load_n(ram + at + 12, __ATOMIC_RELAXED) & 1;
    return __atomic_load_n((uint64_t *)(void *)(ram + at + 8), __ATOMIC_RELAXED) >> 32 & 1;
}

/* Wait, as a driver polls, for a descriptor's DD. */
static void wait_done(uint32_t at, uint32_t round)
{
    const time_t until = time(NULL) + PATIENCE_S;

    while (!done(at)) {
        if (time(NULL) > until)
            fail("no DD", round);
        sched_yield();
    }
}

/* Write a frame's payload, seen by ThreadSanitizer whatever the compiler knows of memset. */
static void fill(uint8_t value)
{
    for (uint32_t n = 12; n < FRAME; n++)
        ram[TX_DATA + n] = value;
}

static void check_frame(const uint8_t *data, uint32_t round)
{
    for (uint32_t n = 14; n < RW_MIN_FRAME; n++)
        if (data[n] != (uint8_t)round)
            fail("another frame's bytes", round);
}

static void give(uint32_t slot)
{
    const uint64_t buffer = GUEST_IOVA + RX_DATA + slot * 256;

    memcpy(ram + RX_RING + slot * RW_DESC_BYTES, &buffer, sizeof buffer);
    __atomic_store_n((uint64_t *)(void *)(ram + RX_RING + slot * RW_DESC_BYTES + 8), 0, __ATOMIC_RELAXED);
}

static void post(uint32_t round)
{
    const uint32_t slot = round % SLOTS, at = slot * RW_DESC_BYTES;
    const uint64_t buffer = GUEST_IOVA + TX_DATA;

    memset(ram + TX_DATA, 0xff, 12);
    fill((uint8_t)round);
    memcpy(ram + at, &buffer, sizeof buffer);
    __atomic_store_n((uint32_t *)(void *)(ram + at + 8), TX_COMMAND, __ATOMIC_RELAXED);
    __atomic_store_n((uint32_t *)(void *)(ram + at + 12), 0, __ATOMIC_RELAXED);
}

/* -- the card's threads ---------------------------------------------------------------------------------------- */

static void *receives(void *unused)
{
    uint8_t frame[FRAME];

    for (uint32_t round = 0; round < rounds; round++) {
        memset(frame, 0xff, 12);
        memset(frame + 12, (int)(uint8_t)round, sizeof frame - 12);
        while (!rw_can_receive(card))
            sched_yield();
        rw_receive(card, frame, sizeof frame, NULL);
    }
    return unused;
}

static void *transmits(void *unused)
{
    while (!atomic_load(&over))
        if (!rw_run(card))
            sched_yield();
    return unused;
}

static void *sends(void *unused)
{
    uint8_t frame[FRAME];

    memset(frame, 0xff, 12);
    for (uint32_t round = 0; round < rounds; round++) {
        memset(frame + 12, (int)(uint8_t)round, sizeof frame - 12);
        if (send(pair[1], frame, sizeof frame, 0) < 0)
            fail("the wire is gone", round);
    }
    return unused;
}

/* -- the guest's: what each pair promises ------------------------------------------------------------------------ */

/* 1 and 2: a descriptor is whole when the tail is seen; its buffer is the driver's again when DD is. */
static void transmit_done(void)
{
    uint8_t got[FRAME];

    for (uint32_t round = 0; round < rounds; round++) {
        post(round);
        rw_write(card, RW_TDT0, (round + 1) % SLOTS);
        wait_done(round % SLOTS * RW_DESC_BYTES, round);
        fill(0xee); /* would be seen on the wire */
        if (recv(pair[1], got, sizeof got, 0) != RW_MIN_FRAME)
            fail("no frame", round);
        check_frame(got, round);
    }
}

/* 3: the frame is in memory when DD is. */
static void receive_done(void)
{
    for (uint32_t round = 0; round < rounds; round++) {
        const uint32_t slot = round % SLOTS;

        wait_done(RX_RING + slot * RW_DESC_BYTES, round);
        check_frame(ram + RX_DATA + slot * 256, round);
        give(slot);
        rw_write(card, RW_RDT0, slot);
    }
}

/* 4: DD is in memory when the head has passed. */
static void head_passed(void)
{
    for (uint32_t round = 0; round < rounds; round++) {
        post(round);
        rw_write(card, RW_TDT0, (round + 1) % SLOTS);
        while (rw_read(card, RW_TDH0) != (round + 1) % SLOTS)
            sched_yield();
        if (!done_already(round % SLOTS * RW_DESC_BYTES))
            fail("the head is before DD", round);
        fill(0xee);
    }
}

/* 5: DD is in memory when its cause is in ICR. */
static void cause_raised(void)
{
    for (uint32_t round = 0; round < rounds; round++) {
        const uint32_t slot = round % SLOTS;

        while (!(rw_access_read(card, RW_ICR) & RW_ICS_RXT0))
            sched_yield();
        if (!done_already(RX_RING + slot * RW_DESC_BYTES))
            fail("the cause is before DD", round);
        check_frame(ram + RX_DATA + slot * 256, round);
        give(slot);
        rw_write(card, RW_RDT0, (slot + 2) % SLOTS); /* one descriptor at a time: one cause a frame */
    }
}

/* 6: who finds no descriptor sleeps only if the tail has not moved. One descriptor at a time, so it often does. */
static void no_wake_up_is_lost(void)
{
    for (uint32_t round = 0; round < rounds; round++) {
        const uint32_t slot = round % SLOTS;

        give(slot);
        rw_access_write(card, RW_RDT0, (slot + 1) % SLOTS);
        wait_done(RX_RING + slot * RW_DESC_BYTES, round);
        check_frame(ram + RX_DATA + slot * 256, round);
    }
}

/* 7: the same as 1, 2 and 4 through the mapped page. */
static void mapped_page(void)
{
    const uint32_t tail = (RW_TDT0 - RW_MAPPED_FIRST) / 4, head = (RW_TDH0 - RW_MAPPED_FIRST) / 4;

    for (uint32_t round = 0; round < rounds; round++) {
        post(round);
        atomic_store_explicit(&page[tail], (round + 1) % SLOTS, memory_order_release);
        while (atomic_load_explicit(&page[head], memory_order_acquire) != (round + 1) % SLOTS)
            sched_yield();
        if (!done_already(round % SLOTS * RW_DESC_BYTES))
            fail("the mapped head is before DD", round);
        fill(0xee);
    }
}

static const struct litmus {
    const char *name;
    void (*guest)(void);
    void *(*card)(void *);
    uint32_t first_tail;
    bool wire, threads, mapped;
} pairs[] = {
    {"transmit-done", transmit_done, transmits, 0, true, false, false},
    {"receive-done", receive_done, receives, SLOTS - 1, false, false, false},
    {"head", head_passed, transmits, 0, false, false, false},
    {"cause", cause_raised, receives, 1, false, false, false},
    {"hungry", no_wake_up_is_lost, sends, 0, true, true, false},
    {"mapped", mapped_page, NULL, 0, true, false, true},
};

static const struct litmus *named(const char *name)
{
    for (size_t n = 0; n < sizeof pairs / sizeof *pairs; n++)
        if (!strcmp(pairs[n].name, name))
            return &pairs[n];
    return NULL;
}

static bool prepare(const struct litmus *litmus)
{
    card = rw_new(false);
    ram = aligned_alloc(4096, GUEST_BYTES);
    if (!card || !ram)
        return false;
    memset(ram, 0, GUEST_BYTES);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        give(slot);
    rw_dma_map(card, GUEST_IOVA, GUEST_BYTES, ram, RW_DMA_READ | RW_DMA_WRITE);
    rw_attach_irqs(card, true);
    interrupt = eventfd(0, EFD_NONBLOCK);
    rw_set_irq(card, RW_IRQ_MSI, 0, interrupt, false, false);
    rw_set_mode(card, RW_MODE_MSI);
    if (litmus->wire) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) || fcntl(pair[0], F_SETFL, O_NONBLOCK))
            return false; /* a wire's descriptor does not block: device.wire.contract */
        rw_attach_wire(card, pair[0], litmus->mapped ? RW_FRAMING_NONE : RW_FRAMING_DATAGRAM);
    } else {
        rw_attach_wire(card, -1, RW_FRAMING_NONE); /* into the void, not into effects, which have one reader */
    }
    guest_setup(card);
    rw_write(card, RW_RDT0, litmus->first_tail);
    if (litmus->mapped) {
        page = aligned_alloc(4096, RW_MAPPED_BYTES);
        return page && !rw_mapped_start(card, page, 0);
    }
    return !litmus->threads || !rw_start(card);
}

int main(int count, char **arguments)
{
    const struct litmus *litmus = count > 2 ? named(arguments[1]) : NULL;
    pthread_t thread;

    if (!litmus)
        return 2;
    rounds = (uint32_t)atoi(arguments[2]);
    if (!prepare(litmus))
        return 2;
    if (litmus->card && pthread_create(&thread, NULL, litmus->card, NULL))
        return 2;
    litmus->guest();
    atomic_store(&over, true);
    if (litmus->card)
        pthread_join(thread, NULL);
    rw_free(card);
    free(ram);
    free(page);
    close(interrupt);
    if (litmus->wire) {
        close(pair[0]);
        close(pair[1]);
    }
    printf("%u rounds\n", rounds);
    return 0;
}
