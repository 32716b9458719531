/* A card's state that no register holds, out and in. The format is device.engine.reference.state's. */
#include "card.h"
#include "clock.h"
#include "fifo.h"
#include "timer.h"

_Static_assert((int)RW_STATE_TIMERS == (int)RW_TIMERS, "the timers of the saved state");
_Static_assert(RW_STATE_THROTTLES == RW_VECTORS + 1, "the throttles of the saved state");
_Static_assert(RW_STATE_QUEUES == RW_QUEUES, "the queues of the saved state");

static void lock_all(struct rw_card *card)
{
    pthread_mutex_lock(&card->tx_lock);
    atomic_fetch_add(&card->rx_waiters, 1);
    pthread_mutex_lock(&card->rx_lock);
    atomic_fetch_sub(&card->rx_waiters, 1);
    pthread_mutex_lock(&card->irq_lock);
}

static void unlock_all(struct rw_card *card)
{
    pthread_mutex_unlock(&card->irq_lock);
    pthread_mutex_unlock(&card->rx_lock);
    pthread_mutex_unlock(&card->tx_lock);
}

static uint64_t left(uint64_t instant, uint64_t now)
{
    return instant > now ? instant - now : 0;
}

static void context_out(const struct rw_context *context, uint32_t *out)
{
    const uint32_t numbers[RW_STATE_CONTEXT] = {
        context->ipcss, context->ipcso,   context->ipcse,  context->tucss, context->tucso,
        context->tucse, context->command, context->hdrlen, context->mss,
    };

    memcpy(out, numbers, sizeof numbers);
}

static struct rw_context context_in(const uint32_t *numbers)
{
    return (struct rw_context){
        .ipcss = (uint8_t)numbers[0],
        .ipcso = (uint8_t)numbers[1],
        .ipcse = (uint16_t)numbers[2],
        .tucss = (uint8_t)numbers[3],
        .tucso = (uint8_t)numbers[4],
        .tucse = (uint16_t)numbers[5],
        .command = (uint8_t)numbers[6],
        .hdrlen = (uint8_t)numbers[7],
        .mss = (uint16_t)numbers[8],
    };
}

void rw_state_get(rw_card *card, struct rw_state *out)
{
    uint64_t now;

    memset(out, 0, sizeof *out);
    lock_all(card);
    now = rw_now(card);
    out->link = atomic_load(&card->link);
    out->mastering = atomic_load(&card->mastering);
    out->loopback = atomic_load(&card->loopback);
    out->partner = atomic_load(&card->partner);
    out->line = card->line;
    out->mode = card->mode;
    out->paused = left(atomic_load(&card->paused_until), now);
    out->systim = rw_clock_value_locked(card);
    out->timinca = card->time.timinca;
    out->announced = card->announced;
    out->delayed_receive = card->delayed_receive;
    out->delayed_transmit = card->delayed_transmit;
    out->held = card->held;
    out->turn = card->turn;
    out->left = card->left;
    for (int n = 0; n < RW_TIMERS; n++) {
        out->armed[n] = card->timer[n].armed;
        out->timer[n] = (int64_t)(card->timer[n].at_ns - now);
        out->order[n] = card->timer[n].order;
    }
    for (uint32_t n = 0; n <= RW_VECTORS; n++)
        out->quiet[n] = left(card->quiet_until[n], now);
    for (uint32_t n = 0; n < RW_QUEUES; n++) {
        const struct rw_txq *queue = &card->txq[n];
        struct rw_queue_state *state = &out->queue[n];

        state->gathered = queue->dropping ? 0 : queue->stored;
        state->options = queue->options;
        state->css = queue->css;
        state->started = queue->started;
        state->segmenting = queue->segmenting;
        state->stamp = queue->stamp;
        state->dropping = queue->dropping;
        context_out(&queue->context, state->context);
        context_out(&queue->segmentation, state->segmentation);
    }
    unlock_all(card);
}

const uint8_t *rw_state_gathered(rw_card *card, uint32_t queue)
{
    return card->txq[queue % RW_QUEUES].store;
}

void rw_state_set(rw_card *card, const struct rw_state *state, const uint8_t *gathered)
{
    uint64_t now;

    lock_all(card);
    now = rw_now(card);
    atomic_store(&card->link, state->link);
    atomic_store(&card->mastering, state->mastering);
    atomic_store(&card->loopback, state->loopback);
    atomic_store(&card->partner, state->partner);
    rw_fifo_clear(card);
    card->line = state->line;
    card->mode = state->mode;
    atomic_store(&card->paused_until, state->paused ? now + state->paused : 0);
    card->time.base = state->systim;
    card->time.since_ns = now;
    card->time.timinca = state->timinca;
    card->announced = state->announced;
    card->delayed_receive = state->delayed_receive;
    card->delayed_transmit = state->delayed_transmit;
    card->held = state->held;
    card->turn = state->turn % RW_QUEUES;
    card->left = state->left;
    for (int n = 0; n < RW_TIMERS; n++)
        card->timer[n] = (struct rw_timer){
            .armed = state->armed[n],
            .order = state->order[n],
            .at_ns = now + (uint64_t)state->timer[n],
        };
    card->timer_order = RW_TIMERS;
    for (uint32_t n = 0; n <= RW_VECTORS; n++)
        card->quiet_until[n] = state->quiet[n] ? now + state->quiet[n] : 0;
    for (uint32_t n = 0; n < RW_QUEUES; n++) {
        struct rw_txq *queue = &card->txq[n];
        const struct rw_queue_state *from = &state->queue[n];
        const uint32_t length = from->gathered < RW_GATHER_BYTES ? from->gathered : RW_GATHER_BYTES;

        memcpy(queue->store, gathered, length);
        gathered += from->gathered;
        queue->stored = queue->size = length;
        queue->frags = queue->resume = 0;
        queue->options = (uint8_t)from->options;
        queue->css = (uint8_t)from->css;
        queue->started = from->started;
        queue->segmenting = from->segmenting;
        queue->stamp = from->stamp;
        queue->dropping = from->dropping;
        queue->context = context_in(from->context);
        queue->segmentation = context_in(from->segmentation);
    }
    rw_timer_set_locked(card);
    unlock_all(card);
}

const uint8_t *rw_state_waiting(rw_card *card, uint32_t index, uint32_t *length, uint32_t *status)
{
    const struct rw_waiting *waiting;

    pthread_mutex_lock(&card->rx_lock);
    waiting = rw_fifo_first(card);
    while (waiting && index--)
        waiting = rw_fifo_next(card, waiting);
    pthread_mutex_unlock(&card->rx_lock);
    if (!waiting)
        return NULL;
    *length = waiting->size;
    *status = waiting->status;
    return (const uint8_t *)(waiting + 1);
}

bool rw_state_wait(rw_card *card, const uint8_t *frame, uint32_t length, uint32_t status)
{
    bool fits;

    pthread_mutex_lock(&card->rx_lock);
    fits = length >= RW_ETH_BYTES && length < RW_FIFO_KIB << 10 &&
           rw_fifo_held(card) + rw_fifo_charge(length) <= RW_FIFO_KIB << 10;
    if (fits)
        rw_fifo_put(card, frame, length, status);
    pthread_mutex_unlock(&card->rx_lock);
    return fits;
}

bool rw_line(rw_card *card)
{
    bool line;

    pthread_mutex_lock(&card->irq_lock);
    line = card->line;
    pthread_mutex_unlock(&card->irq_lock);
    return line;
}

void rw_thread_without_slow(void)
{
    rw_slow_mode = RW_SLOW_ASKING;
}
