/* A card's life: making, resetting, what its surroundings tell it, its account. */
#include <stdlib.h>
#include <unistd.h>

#include "card.h"
#include "fifo.h"
#include "irq.h"
#include "receive.h"
#include "threads.h"
#include "transmit.h"

static bool allocate(struct rw_card *card)
{
    card->segment = malloc(RW_SCRATCH_BYTES);
    card->loop = malloc(RW_SCRATCH_BYTES);
    card->rx_frame = malloc(RW_SCRATCH_BYTES);
    card->fifo.block = malloc(RW_FIFO_BLOCK);
    card->plan = calloc(RW_MOST_SLOTS, sizeof *card->plan);
    for (uint32_t n = 0; n < RW_QUEUES; n++) {
        card->txq[n].store = malloc(RW_GATHER_BYTES);
        if (!card->txq[n].store)
            return false;
    }
    return card->segment && card->loop && card->rx_frame && card->fifo.block && card->plan;
}

rw_card *rw_new(bool offload)
{
    struct rw_card *card = calloc(1, sizeof *card);

    if (!card)
        return NULL;
    card->wire_fd = card->wake_fd = card->timer_fd = card->signaller.empty_fd = -1;
    rw_regs_init();
    rw_guard_install();
    if (!allocate(card)) {
        rw_free(card);
        return NULL;
    }
    pthread_mutex_init(&card->tx_lock, NULL);
    pthread_mutex_init(&card->rx_lock, NULL);
    pthread_mutex_init(&card->irq_lock, NULL);
    pthread_mutex_init(&card->effect_lock, NULL);
    card->offload = offload;
    rw_attach_irqs(card, false);
    rw_reset(card, NULL, 0);
    return card;
}

void rw_free(rw_card *card)
{
    if (!card)
        return;
    rw_mapped_stop(card);
    rw_stop(card);
    rw_record_stop(card, "the card is gone");
    if (card->wake_fd >= 0)
        close(card->wake_fd);
    if (card->timer_fd >= 0)
        close(card->timer_fd);
    rw_signaller_end(&card->signaller);
    for (uint32_t n = 0; n < RW_QUEUES; n++)
        free(card->txq[n].store);
    free(card->segment);
    free(card->loop);
    free(card->rx_frame);
    free(card->fifo.block);
    free(card->plan);
    free(card->tail);
    free(card->stream);
    free(card->regions);
    free(card->effects.bytes);
    free(card);
}

static bool is_kept(const uint32_t *keep, uint32_t count, uint32_t offset)
{
    for (uint32_t n = 0; n < count; n++)
        if (keep[n] == offset)
            return true;
    return false;
}

void rw_reset(rw_card *card, const uint32_t *keep, uint32_t count)
{
    pthread_mutex_lock(&card->tx_lock);
    atomic_fetch_add(&card->rx_waiters, 1);
    pthread_mutex_lock(&card->rx_lock);
    atomic_fetch_sub(&card->rx_waiters, 1);
    pthread_mutex_lock(&card->irq_lock);
    for (uint32_t word = 0; word < RW_WORDS; word++)
        if (rw_regs[word].canonical == word && !is_kept(keep, count, word * 4))
            rw_put(card, word * 4, rw_regs[word].reset);
    rw_tx_reset_locked(card);
    atomic_store(&card->tx_blocked, false);
    atomic_store(&card->partner, RW_PARTNER_SENDS);
    rw_fifo_clear(card);
    atomic_store(&card->paused_until, 0);
    memset(&card->time, 0, sizeof card->time);
    rw_irq_reset_locked(card);
    pthread_mutex_unlock(&card->irq_lock);
    pthread_mutex_unlock(&card->rx_lock);
    pthread_mutex_unlock(&card->tx_lock);
    rw_wake(card);
}

void rw_set_mastering(rw_card *card, bool enabled)
{
    struct rw_rx_outcome outcome = {0};

    /* between batches: when this returns, no DMA is under way */
    pthread_mutex_lock(&card->tx_lock);
    atomic_fetch_add(&card->rx_waiters, 1);
    pthread_mutex_lock(&card->rx_lock);
    atomic_fetch_sub(&card->rx_waiters, 1);
    atomic_store(&card->mastering, enabled);
    rw_tx_announce_locked(card);
    rw_rx_deliver_locked(card, &outcome);
    pthread_mutex_unlock(&card->rx_lock);
    pthread_mutex_unlock(&card->tx_lock);
    rw_rx_announce(card, &outcome);
    rw_wake(card);
}

void rw_set_loopback(rw_card *card, bool enabled)
{
    atomic_store(&card->loopback, enabled);
    rw_wake(card);
}

void rw_set_link(rw_card *card, bool up)
{
    atomic_store(&card->link, up);
    rw_wake(card);
}

void rw_account_of(rw_card *card, struct rw_account *out)
{
#define X(name) out->name = atomic_load_explicit(&card->account.name, memory_order_relaxed);
    RW_ACCOUNT(X)
#undef X
}

uint64_t rw_stored(rw_card *card)
{
    return atomic_load_explicit(&card->account.frames_received, memory_order_relaxed);
}
