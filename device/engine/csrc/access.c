/*
 * A guest's 32-bit accesses: which register does what. Python twin: ReferenceEngine.read and write.
 *
 * A tail is stored without a lock (docs/memory-model.md, pairs 1 and 6). What a running batch must not see half
 * changed (a ring's place, RCTL, TCTL) is stored between batches, so that a driver that turned the receiver off may
 * take its buffers back.
 */
#include "access.h"

#include "card.h"
#include "clock.h"
#include "fifo.h"
#include "irq.h"
#include "receive.h"
#include "record.h"
#include "threads.h"

static void lock_rx(struct rw_card *card)
{
    atomic_fetch_add(&card->rx_waiters, 1);
    pthread_mutex_lock(&card->rx_lock);
    atomic_fetch_sub(&card->rx_waiters, 1);
}

/* A counter is read and cleared between batches of all its writers. */
static uint32_t read_counter(struct rw_card *card, uint32_t offset, bool high)
{
    uint32_t value;

    pthread_mutex_lock(&card->tx_lock);
    lock_rx(card);
    pthread_mutex_lock(&card->irq_lock);
    value = rw_get(card, offset);
    rw_put(card, offset, 0);
    if (high)
        rw_put(card, offset - 4, 0);
    pthread_mutex_unlock(&card->irq_lock);
    pthread_mutex_unlock(&card->rx_lock);
    pthread_mutex_unlock(&card->tx_lock);
    return value;
}

uint32_t rw_read(rw_card *card, uint32_t offset)
{
    const struct rw_reg_info *info;

    if (offset >= RW_BAR_BYTES || rw_regs[offset / 4].access == RW_ACC_NONE)
        return 0;
    info = &rw_regs[offset / 4];
    offset = info->canonical * 4u;
    switch (offset) {
    case RW_ICR:
        return rw_irq_read_icr(card);
    case RW_ICS: /* shows ICR, as QEMU's model does */
        return rw_get(card, RW_ICR);
    case RW_IMC:
        return 0;
    case RW_SYSTIML:
    case RW_SYSTIMH:
        return rw_clock_read(card, offset);
    case RW_TXSTMPH:
    case RW_RXSTMPH:
        return rw_clock_release(card, offset);
    default:
        break;
    }
    if (info->access == RW_ACC_RC)
        return read_counter(card, offset, false);
    if (info->access == RW_ACC_RC64H)
        return read_counter(card, offset, true);
    return rw_get_shown(card, offset);
}

static void write_tail(struct rw_card *card, uint32_t offset, uint32_t value)
{
    /* sequentially consistent, with rx_hungry: docs/memory-model.md, pair 6 */
    atomic_store(&card->reg[offset / 4], value & 0xffff);
    if (offset == RW_TDT0 || offset == RW_TDT1) {
        RW_COUNT(card, doorbells, 1);
        return;
    }
    rw_rx_deliver(card);
    /* half of the buffer free: a wake-up of the wire's thread for many frames, not for each */
    if (atomic_load(&card->rx_hungry) && rw_fifo_held(card) <= rw_fifo_capacity(card) / 2 &&
        atomic_exchange(&card->rx_hungry, false))
        rw_wake(card);
}

/* TCTL.SWXOFF sends one XOFF frame and clears itself (datasheet, Transmit Registers). */
static void write_tctl(struct rw_card *card, uint32_t value)
{
    pthread_mutex_lock(&card->tx_lock);
    rw_put(card, RW_TCTL, value & rw_regs[RW_TCTL / 4].mask & ~RW_TCTL_SWXOFF);
    if (value & RW_TCTL_SWXOFF)
        rw_flow_send_locked(card, rw_get(card, RW_FCTTV));
    pthread_mutex_unlock(&card->tx_lock);
}

static bool is_ring(uint32_t offset, uint32_t first)
{
    return offset >= first && offset < first + 2 * RW_QUEUE_STRIDE;
}

static void write_plain(struct rw_card *card, uint32_t offset, uint32_t value)
{
    if (is_ring(offset, RW_RDBAL0) || offset == RW_RCTL || offset == RW_RFCTL || offset == RW_PSRCTL) {
        lock_rx(card);
        rw_put(card, offset, value);
        pthread_mutex_unlock(&card->rx_lock);
        if (offset != RW_RFCTL && offset != RW_PSRCTL)
            rw_rx_deliver(card);
        rw_wake(card);
    } else if (is_ring(offset, RW_TDBAL0)) {
        pthread_mutex_lock(&card->tx_lock);
        rw_put(card, offset, value);
        pthread_mutex_unlock(&card->tx_lock);
    } else if (offset >= RW_ICR && offset <= RW_EITR + 4 * RW_VECTORS) {
        rw_irq_store(card, offset, value);
    } else {
        rw_put(card, offset, value);
    }
}

void rw_write(rw_card *card, uint32_t offset, uint32_t value)
{
    if (offset >= RW_BAR_BYTES || rw_regs[offset / 4].access == RW_ACC_NONE)
        return;
    offset = rw_regs[offset / 4].canonical * 4u;
    switch (offset) {
    case RW_TDT0:
    case RW_TDT1:
    case RW_RDT0:
    case RW_RDT1:
        write_tail(card, offset, value);
        return;
    case RW_ICR:
        rw_irq_write_icr(card, value);
        return;
    case RW_ICS:
        if (value & RW_ALL_CAUSES)
            rw_raise(card, value & RW_ALL_CAUSES);
        return;
    case RW_IMS:
        rw_irq_write_ims(card, value);
        return;
    case RW_IMC:
        rw_irq_write_imc(card, value);
        return;
    case RW_RDTR:
    case RW_TIDV:
        rw_irq_write_delay(card, offset, value);
        return;
    case RW_SYSTIML:
    case RW_SYSTIMH:
    case RW_TIMINCA:
    case RW_TIMADJH:
    case RW_TSYNCTXCTL:
    case RW_TSYNCRXCTL:
        rw_clock_write(card, offset, value);
        return;
    case RW_TCTL:
        write_tctl(card, value);
        return;
    default:
        if (rw_regs[offset / 4].mask)
            write_plain(card, offset, value & rw_regs[offset / 4].mask);
        return;
    }
}

/* Whether it is all the same to a write if the causes of the doorbells before it are raised before or after it. */
static bool may_overtake(uint32_t offset)
{
    return offset == RW_TDT0 || offset == RW_TDT1 || offset == RW_RDT0 || offset == RW_RDT1 || offset == RW_IMS;
}

uint32_t rw_access_read(struct rw_card *card, uint32_t offset)
{
    rw_tx_announce(card);
    return card->recorder ? rw_record_read(card, offset) : rw_read(card, offset);
}

bool rw_access_write(struct rw_card *card, uint32_t offset, uint32_t value)
{
    bool done;

    if (card->recorder) {
        rw_record_write(card, offset, value);
        return true;
    }
    if (!may_overtake(offset))
        rw_tx_announce(card);
    rw_slow_mode = RW_SLOW_LATER; /* a frame that waits may be stored, or one be sent */
    rw_write(card, offset, value);
    offset = rw_regs[offset / 4].canonical * 4u;
    if (is_ring(offset, RW_TDBAL0) || offset == RW_TCTL)
        rw_run_owing(card);
    done = !rw_slow_wanted;
    rw_slow_wanted = false;
    rw_slow_mode = RW_SLOW_ALLOWED;
    return done;
}
