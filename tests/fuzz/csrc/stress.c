/*
 * Every thread of a card at once, for the thread sanitizer: a guest that rings doorbells and reads counters, a
 * wire that sends and takes, timers that fire, memory that comes and goes, resets.
 *
 *     stress ROUNDS [FILE]
 *
 * With a file the card is recorded meanwhile; what is not an access is bracketed as Python brackets it.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "access.h"
#include "guest.h"
#include "threads.h"

static rw_card *card;
static uint8_t *ram;
static int pair[2], rounds;
static bool recorded;
static _Atomic bool over;

static void begin(void)
{
    if (recorded)
        rw_record_enter(card);
}

static void end(void)
{
    if (recorded)
        rw_record_leave(card);
}

static void *far_end(void *unused)
{
    uint8_t frame[256] = {0x52, 0x54, 0};

    while (!atomic_load(&over)) {
        struct pollfd wait = {.fd = pair[1], .events = POLLIN};

        if (send(pair[1], frame, sizeof frame, MSG_DONTWAIT) < 0)
            poll(&wait, 1, 1);
        while (recv(pair[1], frame, sizeof frame, MSG_DONTWAIT) > 0)
            frame[0] = 0x52;
    }
    return unused;
}

static void *mappings(void *unused)
{
    while (!atomic_load(&over)) {
        rw_dma_unmap(card, GUEST_IOVA, GUEST_BYTES);
        rw_dma_map(card, GUEST_IOVA, GUEST_BYTES, ram, RW_DMA_READ | RW_DMA_WRITE);
        poll(NULL, 0, 1);
    }
    return unused;
}

static void *surroundings(void *unused)
{
    struct rw_account account;
    uint64_t at;

    for (int n = 0; !atomic_load(&over); n++) {
        begin();
        rw_set_link(card, n % 8 != 0);
        rw_set_loopback(card, n % 16 == 3);
        rw_set_mastering(card, n % 16 != 5);
        rw_raise(card, RW_ICS_LSC);
        rw_account_of(card, &account);
        rw_deadline(card, &at);
        rw_set_mode(card, n % 32 == 0 ? RW_MODE_INTX : RW_MODE_MSIX);
        end();
        poll(NULL, 0, 1);
    }
    return unused;
}

static void guest(void)
{
    for (int n = 0; n < rounds; n++) {
        if (n % 2000 == 0) {
            begin();
            rw_reset(card, NULL, 0);
            guest_setup(card);
            rw_write(card, RW_IVAR, 0x000a0908);
            rw_write(card, RW_EIAC, 0x01f00000);
            rw_write(card, RW_RCTL, rw_read(card, RW_RCTL) | (n % 4000 ? RW_RCTL_SECRC : 0));
            rw_write(card, RW_EITR, 40);
            rw_write(card, RW_EITR + 4, 40);
            rw_write(card, RW_TIDV, 8);
            rw_write(card, RW_RDTR, 8);
            end();
        }
        rw_access_write(card, RW_TDT0, (uint32_t)n % 64);
        rw_access_write(card, RW_RDT0, (rw_read(card, RW_RDH0) + 63) % 64);
        if (n % 4 == 0) /* as the pump does before it sleeps */
            rw_wire_glance(card);
        if (n % 8 == 0)
            rw_tx_announce(card);
        if (n % 16 == 0)
            rw_access_write(card, RW_IMS, UINT32_MAX);
        if (n % 64 == 0)
            rw_access_read(card, RW_ICR);
        if (n % 128 == 0)
            rw_access_read(card, RW_GPRC);
        if (n % 256 == 0)
            rw_access_write(card, RW_RCTL, rw_read(card, RW_RCTL));
    }
}

int main(int count, char **arguments)
{
    pthread_t threads[3];
    struct rw_account account;
    int interrupt = eventfd(0, EFD_NONBLOCK);

    rounds = count > 1 ? atoi(arguments[1]) : 20000;
    signal(SIGPIPE, SIG_IGN);
    card = rw_new(false);
    if (card)
        atomic_store(&card->rests, true);
    ram = calloc(1, GUEST_BYTES);
    if (!card || !ram || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair))
        return 1;
    for (uint32_t n = 0; n < 64; n++) { /* written before the card looks; the guest does not look back */
        const uint64_t tx[2] = {GUEST_IOVA + 0x1000, 0x8b000000u | 200}, rx = GUEST_IOVA + 0x4000;

        memcpy(ram + n * RW_DESC_BYTES, tx, sizeof tx);
        memcpy(ram + 0x800 + n * RW_DESC_BYTES, &rx, sizeof rx);
    }
    rw_dma_map(card, GUEST_IOVA, GUEST_BYTES, ram, RW_DMA_READ | RW_DMA_WRITE);
    rw_attach_wire(card, pair[0], RW_FRAMING_DATAGRAM);
    rw_attach_irqs(card, true);
    for (uint32_t vector = 0; vector < RW_VECTORS; vector++)
        rw_set_irq(card, RW_IRQ_MSIX, vector, interrupt, false, false);
    rw_set_mode(card, RW_MODE_MSIX);
    if (count > 2) {
        FILE *file = fopen(arguments[2], "wb");

        if (!file || rw_record_start(card, fileno(file), 0))
            return 1;
        recorded = true;
    }
    if (rw_start(card))
        return 1;
    pthread_create(&threads[0], NULL, far_end, NULL);
    pthread_create(&threads[1], NULL, mappings, NULL);
    pthread_create(&threads[2], NULL, surroundings, NULL);
    guest();
    atomic_store(&over, true);
    for (int n = 0; n < 3; n++)
        pthread_join(threads[n], NULL);
    rw_stop(card);
    if (rw_record_stop(card, "over"))
        return 1;
    rw_account_of(card, &account);
    printf("sent %llu received %llu interrupts %llu\n", (unsigned long long)account.frames_sent,
           (unsigned long long)account.frames_received, (unsigned long long)account.interrupts);
    rw_free(card);
    free(ram);
    close(pair[0]);
    close(pair[1]);
    close(interrupt);
    return !account.frames_sent || !account.frames_received || !account.interrupts;
}
