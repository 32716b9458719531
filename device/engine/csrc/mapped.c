/*
 * Mapped doorbells: the pages of BAR0 that hold the rings' registers lie in a file that the client maps, so that a
 * doorbell is a store, without a message. A thread looks at them: it spins while there is work, and sleeps for
 * longer and longer while there is none.
 *
 * The register file stays the card's own. `seen` is what both sides last agreed on: what differs from it in the
 * page was written by the guest and is done as a write of that register; what differs in the register file is
 * shown in the page, if the guest did not write meanwhile. So masks and read-only registers hold here, too, and
 * a value is fetched from the page once. A message over the socket comes behind all that was stored before it:
 * `rw_mapped_sync`. Without a message, memory that has no host address cannot be reached: a DMA fault.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "mapped.h"
#include "record.h"
#include "threads.h"

#define FIRST ((uint32_t)RW_MAPPED_FIRST)
#define BYTES ((uint32_t)RW_MAPPED_BYTES)
#define MOST_SLEEP_NS 1000000
#define LEAST_SLEEP_NS 50000

struct rw_mapped {
    pthread_mutex_t lock; /* taken before tx_lock */
    _Atomic uint32_t *page; /* BAR0 from FIRST on */
    uint32_t count;
    uint16_t word[BYTES / 4]; /* the registers there are, by word of BAR0; tails at the end */
    uint32_t seen[BYTES / 4];
    uint64_t spin_ns;
    pthread_t thread;
    _Atomic bool stopping;
};

static bool is_tail(uint32_t offset)
{
    return offset == RW_TDT0 || offset == RW_TDT1 || offset == RW_RDT0 || offset == RW_RDT1;
}

/* One register; true when the guest had written it. */
static bool settle(struct rw_card *card, struct rw_mapped *mapped, uint32_t n)
{
    const uint32_t offset = mapped->word[n] * 4u;
    _Atomic uint32_t *const place = &mapped->page[(offset - FIRST) / 4];
    uint32_t stored = atomic_load_explicit(place, memory_order_acquire), value;
    const bool written = stored != mapped->seen[n];

    if (written) {
        mapped->seen[n] = stored;
        if (card->recorder) {
            rw_record_write(card, offset, stored);
        } else {
            rw_write(card, offset, stored);
            if (offset >= RW_TDBAL0)
                rw_run(card);
        }
    }
    value = rw_peek(card, offset);
    if (value != mapped->seen[n] && atomic_compare_exchange_strong(place, &stored, value))
        mapped->seen[n] = value;
    return written;
}

static bool pass(struct rw_card *card)
{
    struct rw_mapped *mapped = card->mapped;
    const enum rw_slow mode = rw_slow_mode;
    bool written = false;

    pthread_mutex_lock(&mapped->lock);
    rw_slow_mode = RW_SLOW_NEVER;
    for (uint32_t n = 0; n < mapped->count; n++)
        written |= settle(card, mapped, n);
    rw_slow_mode = mode;
    pthread_mutex_unlock(&mapped->lock);
    return written;
}

void rw_mapped_sync(struct rw_card *card)
{
    if (card->mapped)
        pass(card);
}

static uint64_t monotonic_ns(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static void *mapped_main(void *argument)
{
    struct rw_card *card = argument;
    struct rw_mapped *mapped = card->mapped;
    uint64_t worked = monotonic_ns();
    long sleep_ns = LEAST_SLEEP_NS;

    while (!atomic_load_explicit(&mapped->stopping, memory_order_relaxed)) {
        if (pass(card)) {
            worked = monotonic_ns();
            sleep_ns = LEAST_SLEEP_NS;
        } else if (monotonic_ns() - worked > mapped->spin_ns) {
            const struct timespec time = {.tv_nsec = sleep_ns};

            nanosleep(&time, NULL);
            sleep_ns = sleep_ns * 2 < MOST_SLEEP_NS ? sleep_ns * 2 : MOST_SLEEP_NS;
        }
    }
    return NULL;
}

static void collect(struct rw_card *card, struct rw_mapped *mapped)
{
    for (int tails = 0; tails < 2; tails++)
        for (uint32_t offset = FIRST; offset < FIRST + BYTES; offset += 4) {
            const struct rw_reg_info *info = &rw_regs[offset / 4];

            if (info->access == RW_ACC_NONE || info->owner != RW_OWN_ENGINE || is_tail(offset) != tails)
                continue;
            mapped->word[mapped->count] = (uint16_t)(offset / 4);
            mapped->seen[mapped->count] = rw_peek(card, offset);
            atomic_store(&mapped->page[(offset - FIRST) / 4], mapped->seen[mapped->count]);
            mapped->count++;
        }
}

/* `page`: 8 KiB of shared memory that stay until rw_mapped_stop. 0 or a negated errno. */
int rw_mapped_start(rw_card *card, void *page, uint32_t spin_us)
{
    struct rw_mapped *mapped = calloc(1, sizeof *mapped);
    int result;

    if (!mapped)
        return -ENOMEM;
    mapped->page = page;
    mapped->spin_ns = spin_us * 1000ull;
    pthread_mutex_init(&mapped->lock, NULL);
    collect(card, mapped);
    card->mapped = mapped;
    result = pthread_create(&mapped->thread, NULL, mapped_main, card);
    if (result) {
        card->mapped = NULL;
        pthread_mutex_destroy(&mapped->lock);
        free(mapped);
    }
    return -result;
}

/* No other thread may be in the pump. */
void rw_mapped_stop(rw_card *card)
{
    struct rw_mapped *mapped = card->mapped;

    if (!mapped)
        return;
    atomic_store(&mapped->stopping, true);
    rw_join(mapped->thread, "doorbell");
    card->mapped = NULL;
    pthread_mutex_destroy(&mapped->lock);
    free(mapped);
}
