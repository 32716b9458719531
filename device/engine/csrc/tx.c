/*
 * The transmit rings: descriptors from TDH up to TDT belong to the card (datasheet, Transmit).
 * Python twin: Transmitter in device.engine.reference.transmit.
 *
 * Invariants: a descriptor is read once; DD is in memory before its cause is raised; what a frame may gather is
 * bounded; a fault, garbage or a SIGBUS costs that frame and no more; a batch is bounded by two rings.
 */
#include "irq.h"
#include "threads.h"
#include "timer.h"
#include "transmit.h"

#define PREFETCH 64u
#define AHEAD 4u /* descriptors whose frames are called into the cache before their turn: docs/performance.md */
#define CACHE_LINE 64u
#define MOST_OWING 64u /* batches whose causes may wait for the next */
#define MOST_STEPS (RW_QUEUES * 65536u)

struct descriptor {
    uint64_t address;
    uint32_t low, high;
};

RW_INLINE uint32_t at(uint32_t queue, uint32_t offset)
{
    return offset + queue * RW_QUEUE_STRIDE;
}

static void clear(struct rw_txq *queue)
{
    queue->started = queue->segmenting = queue->stamp = queue->dropping = false;
    queue->options = queue->css = 0;
    queue->size = queue->stored = queue->frags = queue->resume = 0;
}

void rw_tx_reset_locked(struct rw_card *card)
{
    for (uint32_t n = 0; n < RW_QUEUES; n++) {
        clear(&card->txq[n]);
        memset(&card->txq[n].context, 0, sizeof card->txq[n].context);
        memset(&card->txq[n].segmentation, 0, sizeof card->txq[n].segmentation);
    }
    card->turn = 0;
    card->left = 1;
    atomic_store(&card->tx_owed, 0);
    atomic_store(&card->tx_owed_delayed, 0);
    card->tx_owing = 0;
    atomic_store(&card->tx_unfinished, false);
}

static bool ready(struct rw_card *card)
{
    if (!(rw_get(card, RW_TCTL) & RW_TCTL_EN) || !atomic_load_explicit(&card->mastering, memory_order_relaxed))
        return false;
    if (rw_looped(card))
        return true;
    return atomic_load_explicit(&card->link, memory_order_relaxed) &&
           (!atomic_load_explicit(&card->paused_until, memory_order_relaxed) ||
            rw_now(card) >= atomic_load_explicit(&card->paused_until, memory_order_relaxed));
}

/* Descriptors that a queue may process; none with a head or tail outside the ring. */
static uint32_t pending(struct rw_card *card, uint32_t queue)
{
    const uint32_t count = rw_get(card, at(queue, RW_TDLEN0)) / RW_DESC_BYTES;
    const uint32_t head = rw_get(card, at(queue, RW_TDH0)), tail = rw_get_tail(card, at(queue, RW_TDT0));

    if (head >= count || tail >= count || !(rw_get(card, at(queue, RW_TARC0)) & RW_TARC0_ENABLE))
        return 0;
    return tail >= head ? tail - head : tail + count - head;
}

/* The queue whose turn it is, and whether the other one waits (TARC, datasheet, Transmit). False: no work. */
static bool choose(struct rw_card *card, uint32_t *queue, bool *contended)
{
    const uint32_t mine = card->turn, other = 1 - mine;
    const bool waits = pending(card, other) > 0, work = pending(card, mine) > 0;

    if (work && (card->left || !waits)) {
        *queue = mine;
        *contended = waits;
        return true;
    }
    if (!waits)
        return false;
    card->turn = other;
    card->left = rw_get(card, at(other, RW_TARC0)) & RW_TARC0_COUNT;
    if (!card->left)
        card->left = 1;
    *queue = other;
    *contended = work;
    return true;
}

/* Move the fragments to the queue's own store. */
static void settle(struct rw_txq *queue)
{
    for (uint32_t n = 0; n < queue->frags; n++) {
        RW_TOUCHES();
        memcpy(queue->store + queue->stored, queue->frag[n].base, queue->frag[n].length);
        queue->stored += queue->frag[n].length;
    }
    queue->frags = 0;
}

static void gather(struct rw_card *card, struct rw_txq *queue, uint64_t address, uint32_t length)
{
    const uint8_t *host;

    if (!length || queue->dropping)
        return;
    card->tx_work += length >> RW_WORK_GATHER_BITS;
    if (queue->size + length > RW_GATHER_BYTES) {
        queue->dropping = true;
        return;
    }
    host = rw_dma_host(card, &card->tx_data_cache, address, length, RW_DMA_READ);
    if (host) {
        struct rw_fragment *last = queue->frags ? &queue->frag[queue->frags - 1] : NULL;

        if (last && last->base + last->length == host)
            last->length += length;
        else {
            if (queue->frags == RW_FRAGS)
                settle(queue);
            queue->frag[queue->frags++] = (struct rw_fragment){host, length};
        }
    } else {
        settle(queue);
        if (rw_dma_load(card, &card->tx_data_cache, address, queue->store + queue->stored, length)) {
            queue->dropping = !rw_slow_wanted;
            return;
        }
        queue->stored += length;
    }
    queue->size += length;
}

static void remember(struct rw_txq *queue, const struct descriptor *d)
{
    const struct rw_context context = {
        .ipcss = (uint8_t)d->address,
        .ipcso = (uint8_t)(d->address >> 8),
        .ipcse = (uint16_t)(d->address >> 16),
        .tucss = (uint8_t)(d->address >> 32),
        .tucso = (uint8_t)(d->address >> 40),
        .tucse = (uint16_t)(d->address >> 48),
        .command = (uint8_t)(d->low >> 24),
        .hdrlen = (uint8_t)(d->high >> 8),
        .mss = (uint16_t)(d->high >> 16),
    };

    if (d->low & RW_TXD_TSE)
        queue->segmentation = context;
    else
        queue->context = context;
}

/* One descriptor's frame part; false when it is to be done again: the wire is blocked, or rw_slow_wanted. */
static bool process(struct rw_card *card, struct rw_txq *queue, const struct descriptor *d)
{
    const uint32_t size = queue->size;

    if (d->low & RW_TXD_DEXT && !(d->low & RW_TXD_DTYP)) {
        remember(queue, d);
        return true;
    }
    if (d->low & RW_TXD_DEXT) {
        if (!queue->started) {
            queue->options = (uint8_t)(d->high >> 8 & (RW_POPTS_IXSM | RW_POPTS_TXSM));
            queue->segmenting = d->low & RW_TXD_TSE;
        }
        if (d->high & RW_TXD_STAMP)
            queue->stamp = true;
        queue->started = true;
        gather(card, queue, d->address, d->low & 0xfffff);
    } else {
        if (!queue->started)
            queue->css = (uint8_t)(d->high >> 8);
        queue->started = true;
        gather(card, queue, d->address, d->low & 0xffff);
    }
    if (rw_slow_wanted)
        return false;
    if (!(d->low & RW_TXD_EOP))
        return true;
    if (!rw_finish(card, queue, d->low, d->high)) {
        settle(queue); /* keep what came before this descriptor */
        queue->stored = queue->size = size;
        return false;
    }
    clear(queue);
    return true;
}

static uint32_t fetch(struct rw_card *card, uint32_t queue, uint32_t most, struct descriptor *out)
{
    const uint32_t count = rw_get(card, at(queue, RW_TDLEN0)) / RW_DESC_BYTES;
    const uint32_t head = rw_get(card, at(queue, RW_TDH0)), tail = rw_get_tail(card, at(queue, RW_TDT0));
    /* the tail may have moved since it was judged, out of the ring too: no descriptor behind the ring is read */
    uint32_t run = (tail > head && tail < count ? tail : count) - head;

    card->tx_at = ((uint64_t)rw_get(card, at(queue, RW_TDBAH0)) << 32 | rw_get(card, at(queue, RW_TDBAL0))) +
                  (uint64_t)RW_DESC_BYTES * head;
    if (run > most)
        run = most;
    if (run > PREFETCH)
        run = PREFETCH;
    if (run > 1 && !rw_dma_try_load(card, &card->tx_ring_cache, card->tx_at, out, run * RW_DESC_BYTES))
        return run;
    /* a ring outside memory reads as nothing: the card walks over it, sending and reporting nothing */
    if (rw_dma_load(card, &card->tx_ring_cache, card->tx_at, out, RW_DESC_BYTES))
        memset(out, 0, sizeof *out);
    return 1;
}

/* Call the bytes of a descriptor's frame that will be read first: `gathered` copies them. A hint: it touches nothing. */
RW_INLINE void call_ahead(struct rw_card *card, const struct descriptor *d)
{
    const uint32_t length = d->low & (d->low & RW_TXD_DEXT ? 0xfffffu : 0xffffu);
    const bool rewritten = d->low & RW_TXD_TSE || d->high >> 8 & (RW_POPTS_IXSM | RW_POPTS_TXSM);
    const uint32_t wanted = rewritten ? RW_HEAD_BYTES : RW_PLAIN_BYTES;
    const uint32_t head = length < wanted ? length : wanted;
    const uint8_t *host;

    if (d->low & RW_TXD_DEXT && !(d->low & RW_TXD_DTYP))
        return;
    host = rw_dma_host(card, &card->tx_data_cache, d->address, head, RW_DMA_READ);
    for (uint32_t n = 0; host && n < head; n += CACHE_LINE)
        __builtin_prefetch(host + n);
}

/* Whether the batch has used its budget: the rest is done by the next one, with the locks free in between. */
RW_INLINE bool spent(struct rw_card *card)
{
    return card->tx_done + card->tx_work >= RW_WORK_BUDGET || rw_tx_late(card);
}

/* Consume descriptors of one queue; false when the wire is blocked, or with rw_slow_wanted. Adds to tx_done, tx_causes, tx_delayed. */
static bool burst(struct rw_card *card, uint32_t number, uint32_t most, bool one_frame)
{
    struct rw_txq *queue = &card->txq[number];
    struct descriptor ring[PREFETCH];
    const uint32_t count = rw_get(card, at(number, RW_TDLEN0)) / RW_DESC_BYTES;
    const uint32_t tail = rw_get_tail(card, at(number, RW_TDT0));
    const uint32_t threshold = 8 * (rw_get(card, at(number, RW_TXDCTL0)) >> RW_TXDCTL0_LWTHRESH_SHIFT);
    const bool every = rw_get(card, RW_IVAR) & RW_IVAR_TX_EVERY_WB;
    const uint32_t written = RW_ICS_TXDW | RW_TXQ(number); /* TXQn with MSI-X alone */
    const uint32_t run = fetch(card, number, most, ring);
    uint32_t head = rw_get(card, at(number, RW_TDH0));

    if (rw_slow_wanted)
        return false;
    for (uint32_t n = 1; n < run && n < AHEAD; n++)
        call_ahead(card, &ring[n]);
    for (uint32_t n = 0; n < run; n++) {
        const struct descriptor *d = &ring[n];
        const bool ends = d->low & RW_TXD_EOP && !(d->low & RW_TXD_DEXT && !(d->low & RW_TXD_DTYP));

        if (n + AHEAD < run)
            call_ahead(card, &ring[n + AHEAD]);
        if (!process(card, queue, d)) {
            if (head == tail)
                card->tx_causes |= RW_ICS_TXQE;
            return false;
        }
        if (d->low & RW_TXD_RS || every) {
            const uint8_t status = (uint8_t)(d->high | RW_TXD_DD);

            rw_dma_store_done(card, &card->tx_ring_cache, card->tx_at + 12, status);
            if (d->low & RW_TXD_IDE)
                card->tx_delayed |= written;
            else
                card->tx_causes |= written;
        }
        card->tx_done++;
        card->tx_at += RW_DESC_BYTES;
        head = head + 1 < count ? head + 1 : 0;
        rw_put_head(card, at(number, RW_TDH0), head);
        if (threshold && (tail >= head ? tail - head : tail + count - head) == threshold)
            card->tx_causes |= RW_ICS_TXD_LOW;
        if (ends) {
            card->left -= card->left ? 1 : 0;
            if (one_frame)
                break;
        }
        if (spent(card))
            break;
    }
    if (head == tail)
        card->tx_causes |= RW_ICS_TXQE;
    return true;
}

/* A SIGBUS in the descriptor at work: its frame is lost, and the ring goes on behind it. */
static void sigbus(struct rw_card *card)
{
    const uint32_t number = card->tx_active, head = at(number, RW_TDH0);
    const uint32_t count = rw_get(card, at(number, RW_TDLEN0)) / RW_DESC_BYTES;
    const uint32_t next = rw_get(card, head) + 1;

    RW_COUNT(card, sigbus, 1);
    rw_fault(card, card->tx_at, RW_DESC_BYTES, false);
    clear(&card->txq[number]);
    rw_put_head(card, head, next < count ? next : 0);
    card->tx_done++;
}

/* A burst that a SIGBUS cannot kill. */
static __attribute__((noinline)) bool guarded(struct rw_card *card, uint32_t queue, uint32_t most, bool one_frame)
{
    struct rw_guard guard;
    bool going;

    card->tx_active = queue;
    if (RW_GUARD(guard)) {
        sigbus(card);
        return true;
    }
    going = burst(card, queue, most, one_frame);
    rw_guard_leave(&guard);
    return going;
}

/* The batch is over: nothing may point into guest memory any more. */
static __attribute__((noinline)) void keep_parts(struct rw_card *card)
{
    struct rw_guard guard;

    if (RW_GUARD(guard)) { /* what is left of a frame is in memory that went away */
        for (uint32_t n = 0; n < RW_QUEUES; n++) {
            card->txq[n].dropping |= card->txq[n].frags > 0;
            card->txq[n].frags = 0;
        }
        return;
    }
    for (uint32_t n = 0; n < RW_QUEUES; n++)
        settle(&card->txq[n]);
    rw_guard_leave(&guard);
}

static void work(struct rw_card *card, uint32_t most)
{
    uint32_t queue;
    bool contended;

    while (card->tx_done < most && !spent(card) && choose(card, &queue, &contended))
        if (!guarded(card, queue, most - card->tx_done, contended)) {
            if (!rw_slow_wanted && !card->tx_cut) {
                atomic_store(&card->tx_blocked, true);
                RW_COUNT(card, wire_blocked, 1);
            }
            break;
        }
    if (card->txq[0].frags || card->txq[1].frags)
        keep_parts(card);
    atomic_store(&card->tx_unfinished, spent(card) && (pending(card, 0) || pending(card, 1)));
}

/* Raise what the batches so far have caused. tx_lock is held. */
void rw_tx_announce_locked(struct rw_card *card)
{
    card->tx_owing = 0;
    rw_irq_finish_transmit(card, atomic_exchange(&card->tx_owed, 0), atomic_exchange(&card->tx_owed_delayed, 0));
}

bool rw_tx_owes(struct rw_card *card)
{
    return atomic_load(&card->tx_owed) || atomic_load(&card->tx_owed_delayed);
}

void rw_tx_announce(struct rw_card *card)
{
    if (!rw_tx_owes(card))
        return;
    pthread_mutex_lock(&card->tx_lock);
    rw_tx_announce_locked(card);
    pthread_mutex_unlock(&card->tx_lock);
}

/* A batch is over: `later` leaves its causes to rw_tx_announce, unless too many batches wait for it. */
static void report(struct rw_card *card, bool later)
{
    atomic_fetch_or(&card->tx_owed, card->tx_causes);
    atomic_fetch_or(&card->tx_owed_delayed, card->tx_delayed);
    if (!later || ++card->tx_owing >= MOST_OWING)
        rw_tx_announce_locked(card);
}

static uint32_t transmit(struct rw_card *card, uint32_t most, bool later)
{
    uint32_t done = 0;

    pthread_mutex_lock(&card->tx_lock);
    atomic_store(&card->tx_unfinished, false);
    if (ready(card) && !(card->wire_running && atomic_load(&card->tx_blocked))) {
        card->tx_done = card->tx_work = card->tx_causes = card->tx_delayed = 0;
        card->tx_look = RW_SLICE_LOOK;
        card->tx_late = card->tx_cut = false;
        card->tx_until = card->live && !card->recorder ? rw_now(card) + RW_SLICE_NS : 0;
        atomic_store(&card->tx_blocked, false);
        work(card, most);
        done = card->tx_done;
        RW_COUNT(card, tx_descriptors, done);
        RW_COUNT(card, tx_batches, 1);
        report(card, later);
        if (atomic_load(&card->tx_blocked))
            rw_wake(card);
        if (atomic_load(&card->tx_unfinished))
            rw_timer_resume(card);
    }
    pthread_mutex_unlock(&card->tx_lock);
    return done;
}

bool rw_step(rw_card *card)
{
    return transmit(card, 1, false) > 0;
}

uint32_t rw_run(rw_card *card)
{
    uint32_t done = transmit(card, MOST_STEPS, false);

    if (rw_slow_wanted && rw_slow_mode == RW_SLOW_ASKING) {
        rw_slow_begin(card);
        done += transmit(card, MOST_STEPS, false);
    }
    return done;
}

void rw_run_owing(struct rw_card *card)
{
    transmit(card, MOST_STEPS, true);
}

bool rw_tx_waits(struct rw_card *card)
{
    return pending(card, 0) || pending(card, 1);
}
