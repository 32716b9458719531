/*
 * Interrupt causes, masks, messages, moderation (datasheet, Interrupts). Python twin: device.interrupts.
 *
 * Invariant: `announced` is the part of ICR & IMS that was already signalled under the present mode, so a cause
 * that stays pending is announced once.
 */
#include "irq.h"

#include "record.h"
#include "stats.h"
#include "timer.h"

#define FLUSH (1u << 31) /* RDTR.FPD and TIDV.FPD */
#define ENTRY_VALID 8u
#define OTHER_CAUSES                                                                                   \
    (RW_ICS_LSC | RW_ICS_RXO | RW_ICS_MDAC | RW_ICS_SRPD | RW_ICS_ACK | RW_ICS_MNG | RW_ICS_RXSEQ)

static void fire_fd(struct rw_card *card, int type, uint32_t vector)
{
    struct rw_irq_fd *irq = &card->irq_fd[type][vector];

    if (irq->fd < 0 || irq->masked || (type == RW_IRQ_MSIX && card->held_vectors & 1u << vector)) {
        irq->pending = true;
        return;
    }
    irq->pending = false;
    if (type == RW_IRQ_INTX)
        irq->masked = true; /* AUTOMASKED: until the client has seen it */
    rw_signal(&card->signaller, irq->fd); /* waits for nobody, so irq_lock may be held */
}

static void flush_delays(struct rw_card *card)
{
    const uint32_t causes = card->delayed_receive | card->delayed_transmit;

    card->delayed_receive = card->delayed_transmit = 0;
    for (int id = 0; id < RW_TIMERS; id++)
        card->timer[id].armed = false;
    rw_put(card, RW_ICR, rw_get(card, RW_ICR) | causes);
    card->announced |= causes & rw_get(card, RW_IMS);
}

static bool any_delay(const struct rw_card *card)
{
    for (int id = 0; id < RW_TIMERS; id++)
        if (card->timer[id].armed)
            return true;
    return false;
}

static void drive(struct rw_card *card, bool level)
{
    if (level == card->line)
        return;
    card->line = level;
    if (card->recorder)
        rw_record_line(card, level);
    if (!card->irqs_attached)
        rw_effect(card, RW_LINE, level);
    else if (level)
        fire_fd(card, RW_IRQ_INTX, 0);
    else
        card->irq_fd[RW_IRQ_INTX][0].pending = false;
}

static bool throttled(struct rw_card *card, uint32_t throttle)
{
    if (!card->quiet_until[throttle] || card->quiet_until[throttle] <= rw_now(card))
        return false;
    if (!(card->held & 1u << throttle))
        RW_COUNT(card, moderated, 1);
    card->held |= 1u << throttle;
    rw_timer_set_locked(card);
    return true;
}

static void start_throttle(struct rw_card *card, uint32_t throttle)
{
    const uint32_t where = throttle == RW_LEGACY ? RW_ITR : RW_EITR + 4 * throttle;
    const uint32_t interval = rw_get(card, where) & 0xffff;

    card->quiet_until[throttle] = interval ? rw_now(card) + interval * 256ull : 0;
}

/* What every interrupt does, whichever way it leaves. */
static void account(struct rw_card *card)
{
    rw_tally(card, RW_IAC, 1);
    RW_COUNT(card, interrupts, 1);
    if (rw_get(card, RW_CTRL_EXT) & RW_CTRL_EXT_INT_TIMER_CLR && any_delay(card))
        flush_delays(card);
}

static void send_message(struct rw_card *card, uint32_t vector, uint32_t throttle)
{
    start_throttle(card, throttle);
    if (card->recorder)
        rw_record_message(card, vector);
    if (card->irqs_attached)
        fire_fd(card, card->mode == RW_MODE_MSIX ? RW_IRQ_MSIX : RW_IRQ_MSI, vector);
    else
        rw_effect(card, RW_MESSAGE, vector);
    account(card);
}

static void assert_line(struct rw_card *card)
{
    start_throttle(card, RW_LEGACY);
    drive(card, true);
    account(card);
}

/* What a message does by itself: EIAC clears the cause, EIAME with IAM masks it. */
static void acknowledge(struct rw_card *card, uint32_t cause)
{
    rw_put(card, RW_ICR, rw_get(card, RW_ICR) & ~(rw_get(card, RW_EIAC) & cause));
    if (rw_get(card, RW_CTRL_EXT) & RW_CTRL_EXT_EIAME)
        rw_put(card, RW_IMS, rw_get(card, RW_IMS) & ~(rw_get(card, RW_IAM) & cause));
    card->announced &= rw_get(card, RW_ICR) & rw_get(card, RW_IMS);
}

static void messages(struct rw_card *card, uint32_t fresh)
{
    static const uint32_t causes[5] = {RW_ICS_RXQ0, RW_ICS_RXQ1, RW_ICS_TXQ0, RW_ICS_TXQ1, RW_ICS_OTHER};
    const uint32_t ivar = rw_get(card, RW_IVAR);

    for (uint32_t n = 0; n < 5; n++) {
        const uint32_t entry = ivar >> 4 * n & 0xf, vector = entry & 7;

        if (!(fresh & causes[n]) || !(entry & ENTRY_VALID))
            continue;
        if (vector < RW_VECTORS && !throttled(card, vector))
            send_message(card, vector, vector);
        acknowledge(card, causes[n]);
    }
}

/* Announce what of ICR & IMS is new, and let the line follow. */
static void evaluate(struct rw_card *card)
{
    const uint32_t effective = rw_get(card, RW_ICR) & rw_get(card, RW_IMS) & RW_ALL_CAUSES;
    const uint32_t fresh = effective & ~card->announced;

    if (card->mode == RW_MODE_NONE)
        return;
    card->announced = effective;
    if (card->mode == RW_MODE_MSIX) {
        if (fresh)
            messages(card, fresh);
    } else if (!effective) {
        card->held &= ~(1u << RW_LEGACY);
        if (card->mode == RW_MODE_INTX)
            drive(card, false);
    } else if (card->mode == RW_MODE_MSI) {
        if (fresh && !throttled(card, RW_LEGACY))
            send_message(card, 0, RW_LEGACY);
    } else if (!card->line && !throttled(card, RW_LEGACY)) {
        assert_line(card);
    }
}

static void raise_locked(struct rw_card *card, uint32_t causes)
{
    if (causes & RW_ICS_TXQE)
        rw_tally(card, RW_ICTXQEC, 1);
    if (causes & RW_ICS_TXD_LOW)
        rw_tally(card, RW_ICTXQMTC, 1);
    if (causes & RW_ICS_RXDMT0)
        rw_tally(card, RW_ICRXDMTC, 1);
    if (causes & RW_ICS_RXO)
        rw_tally(card, RW_ICRXOC, 1);
    if (card->mode == RW_MODE_MSIX) {
        if (causes & OTHER_CAUSES)
            causes |= RW_ICS_OTHER;
        card->announced &= ~causes; /* each event of a cause that EIAC does not clear is a message */
    }
    rw_put(card, RW_ICR, rw_get(card, RW_ICR) | causes);
    evaluate(card);
}

void rw_raise(rw_card *card, uint32_t causes)
{
    pthread_mutex_lock(&card->irq_lock);
    raise_locked(card, causes);
    pthread_mutex_unlock(&card->irq_lock);
}

static void arm(struct rw_card *card, enum rw_timer_id id, uint32_t ticks, bool again)
{
    struct rw_timer *timer = &card->timer[id];

    if (timer->armed && !again)
        return;
    if (!timer->armed)
        timer->order = ++card->timer_order;
    timer->armed = true;
    timer->at_ns = rw_now(card) + ticks * 1024ull;
    rw_timer_set_locked(card);
}

void rw_irq_delay_receive(struct rw_card *card, uint32_t causes)
{
    const uint32_t delay = rw_get(card, RW_RDTR) & 0xffff;

    pthread_mutex_lock(&card->irq_lock);
    if (card->mode != RW_MODE_MSIX)
        causes &= ~(RW_ICS_RXQ0 | RW_ICS_RXQ1);
    if (card->mode == RW_MODE_MSIX || !delay) {
        raise_locked(card, causes);
    } else {
        card->delayed_receive |= causes;
        arm(card, RW_TIMER_RDTR, delay, true);
        if (rw_get(card, RW_RADV))
            arm(card, RW_TIMER_RADV, rw_get(card, RW_RADV), false);
        if (causes & RW_ICS_ACK && rw_get(card, RW_RAID))
            arm(card, RW_TIMER_RAID, rw_get(card, RW_RAID), false);
    }
    pthread_mutex_unlock(&card->irq_lock);
}

static void delay_transmit_locked(struct rw_card *card, uint32_t causes)
{
    const uint32_t delay = rw_get(card, RW_TIDV) & 0xffff;

    if (card->mode == RW_MODE_MSIX || !delay) {
        raise_locked(card, causes);
        return;
    }
    card->delayed_transmit |= causes;
    arm(card, RW_TIMER_TIDV, delay, true);
    if (rw_get(card, RW_TADV))
        arm(card, RW_TIMER_TADV, rw_get(card, RW_TADV), false);
}

/* A transmit batch is over: what is due now takes with it what would have waited. */
void rw_irq_finish_transmit(struct rw_card *card, uint32_t causes, uint32_t delayed)
{
    if (!causes && !delayed)
        return;
    pthread_mutex_lock(&card->irq_lock);
    if (card->mode != RW_MODE_MSIX) {
        causes &= ~(RW_ICS_TXQ0 | RW_ICS_TXQ1);
        delayed &= ~(RW_ICS_TXQ0 | RW_ICS_TXQ1);
    }
    if (causes)
        raise_locked(card, causes);
    if (delayed & ~causes)
        delay_transmit_locked(card, delayed & ~causes);
    pthread_mutex_unlock(&card->irq_lock);
}

static void flush_receive(struct rw_card *card)
{
    const uint32_t causes = card->delayed_receive;

    card->delayed_receive = 0;
    card->timer[RW_TIMER_RDTR].armed = false;
    card->timer[RW_TIMER_RADV].armed = false;
    card->timer[RW_TIMER_RAID].armed = false;
    if (causes)
        raise_locked(card, causes);
}

static void flush_transmit(struct rw_card *card)
{
    const uint32_t causes = card->delayed_transmit;

    card->delayed_transmit = 0;
    card->timer[RW_TIMER_TIDV].armed = false;
    card->timer[RW_TIMER_TADV].armed = false;
    if (causes)
        raise_locked(card, causes);
}

void rw_irq_fire_delay_locked(struct rw_card *card, enum rw_timer_id id)
{
    static const uint32_t counter[RW_TIMERS] = {
        [RW_TIMER_RDTR] = RW_ICRXPTC,
        [RW_TIMER_RADV] = RW_ICRXATC,
        [RW_TIMER_TIDV] = RW_ICTXPTC,
        [RW_TIMER_TADV] = RW_ICTXATC,
    };

    if (counter[id])
        rw_tally(card, counter[id], 1);
    if (id == RW_TIMER_TIDV || id == RW_TIMER_TADV)
        flush_transmit(card);
    else
        flush_receive(card);
}

void rw_irq_fire_throttles_locked(struct rw_card *card)
{
    for (uint32_t throttle = 0; throttle <= RW_LEGACY; throttle++) {
        if (!(card->held & 1u << throttle) || card->quiet_until[throttle] > rw_now(card))
            continue;
        card->held &= ~(1u << throttle);
        if (throttle != RW_LEGACY)
            send_message(card, throttle, throttle);
        else if (card->mode == RW_MODE_MSI)
            send_message(card, 0, RW_LEGACY);
        else if (card->mode == RW_MODE_INTX && card->announced)
            assert_line(card);
    }
}

uint32_t rw_irq_read_icr(struct rw_card *card)
{
    uint32_t causes, ims;
    bool asserted;

    pthread_mutex_lock(&card->irq_lock);
    causes = rw_get(card, RW_ICR);
    ims = rw_get(card, RW_IMS);
    asserted = causes & ims & RW_ALL_CAUSES;
    if (asserted) {
        causes |= RW_ICR_INT_ASSERTED;
        if (rw_get(card, RW_CTRL_EXT) & RW_CTRL_EXT_IAME)
            rw_put(card, RW_IMS, ims & ~rw_get(card, RW_IAM));
    }
    if (asserted || !rw_get(card, RW_IMS)) {
        rw_put(card, RW_ICR, 0);
        evaluate(card);
    }
    pthread_mutex_unlock(&card->irq_lock);
    return causes;
}

void rw_irq_write_icr(struct rw_card *card, uint32_t value)
{
    pthread_mutex_lock(&card->irq_lock);
    if (rw_get(card, RW_ICR) & rw_get(card, RW_IMS) && rw_get(card, RW_CTRL_EXT) & RW_CTRL_EXT_IAME)
        rw_put(card, RW_IMS, rw_get(card, RW_IMS) & ~rw_get(card, RW_IAM));
    rw_put(card, RW_ICR, rw_get(card, RW_ICR) & ~value);
    evaluate(card);
    pthread_mutex_unlock(&card->irq_lock);
}

void rw_irq_write_ims(struct rw_card *card, uint32_t value)
{
    pthread_mutex_lock(&card->irq_lock);
    rw_put(card, RW_IMS, rw_get(card, RW_IMS) | (value & RW_ALL_CAUSES));
    evaluate(card);
    pthread_mutex_unlock(&card->irq_lock);
}

void rw_irq_write_imc(struct rw_card *card, uint32_t value)
{
    pthread_mutex_lock(&card->irq_lock);
    rw_put(card, RW_IMS, rw_get(card, RW_IMS) & ~value);
    evaluate(card);
    pthread_mutex_unlock(&card->irq_lock);
}

/* RDTR or TIDV; bit 31 flushes. */
void rw_irq_write_delay(struct rw_card *card, uint32_t offset, uint32_t value)
{
    pthread_mutex_lock(&card->irq_lock);
    rw_put(card, offset, value & rw_regs[offset / 4].mask);
    if (value & FLUSH && offset == RW_RDTR)
        flush_receive(card);
    else if (value & FLUSH)
        flush_transmit(card);
    pthread_mutex_unlock(&card->irq_lock);
}

/* A plain register that interrupts look at. */
void rw_irq_store(struct rw_card *card, uint32_t offset, uint32_t value)
{
    pthread_mutex_lock(&card->irq_lock);
    rw_put(card, offset, value);
    pthread_mutex_unlock(&card->irq_lock);
}

static void forget_pending(struct rw_card *card)
{
    for (uint32_t n = 0; n < 3 * RW_VECTORS; n++)
        card->irq_fd[n / RW_VECTORS][n % RW_VECTORS].pending = false;
}

void rw_irq_reset_locked(struct rw_card *card)
{
    card->announced = card->held = 0;
    card->delayed_receive = card->delayed_transmit = 0;
    memset(card->timer, 0, sizeof card->timer);
    memset(card->quiet_until, 0, sizeof card->quiet_until);
    drive(card, false);
    forget_pending(card);
}

void rw_set_mode(rw_card *card, int mode)
{
    pthread_mutex_lock(&card->irq_lock);
    if (mode != card->mode) {
        const uint32_t waiting = card->delayed_receive | card->delayed_transmit;

        card->delayed_receive = card->delayed_transmit = 0;
        memset(card->timer, 0, sizeof card->timer);
        card->held = 0;
        drive(card, false);
        forget_pending(card); /* of the mode that was */
        card->mode = mode;
        card->announced = 0;
        rw_put(card, RW_ICR, rw_get(card, RW_ICR) | waiting);
        evaluate(card);
    }
    pthread_mutex_unlock(&card->irq_lock);
}

void rw_attach_irqs(rw_card *card, bool attached)
{
    pthread_mutex_lock(&card->irq_lock);
    card->irqs_attached = attached;
    if (attached && card->signaller.empty_fd < 0)
        rw_signaller_init(&card->signaller);
    for (uint32_t n = 0; n < 3 * RW_VECTORS; n++)
        card->irq_fd[n / RW_VECTORS][n % RW_VECTORS] = (struct rw_irq_fd){.fd = -1};
    pthread_mutex_unlock(&card->irq_lock);
}

void rw_hold_messages(rw_card *card, uint32_t vectors)
{
    pthread_mutex_lock(&card->irq_lock);
    card->held_vectors = vectors;
    for (uint32_t vector = 0; vector < RW_VECTORS; vector++)
        if (card->irq_fd[RW_IRQ_MSIX][vector].pending)
            fire_fd(card, RW_IRQ_MSIX, vector); /* stays pending where it is held */
    pthread_mutex_unlock(&card->irq_lock);
}

uint32_t rw_pending_messages(rw_card *card)
{
    uint32_t found = 0;

    pthread_mutex_lock(&card->irq_lock);
    for (uint32_t vector = 0; vector < RW_VECTORS; vector++)
        found |= (uint32_t)card->irq_fd[RW_IRQ_MSIX][vector].pending << vector;
    pthread_mutex_unlock(&card->irq_lock);
    return found;
}

/* What the client armed. A message that came while there was no descriptor leaves now; a line that is still
 * asserted when INTx is unmasked or armed is signalled again. */
void rw_set_irq(rw_card *card, int type, uint32_t vector, int fd, bool masked, bool unmasked)
{
    struct rw_irq_fd *irq;

    if (type < 0 || type > RW_IRQ_MSIX || vector >= RW_VECTORS)
        return;
    pthread_mutex_lock(&card->irq_lock);
    irq = &card->irq_fd[type][vector];
    if (type == RW_IRQ_INTX) {
        const bool armed = irq->fd != fd;

        irq->fd = fd;
        if (unmasked || armed)
            irq->masked = false;
        if (masked)
            irq->masked = true;
        if (card->line && (unmasked || armed))
            fire_fd(card, type, vector);
    } else {
        irq->fd = fd;
        irq->masked = masked;
        if (irq->pending && fd >= 0 && !masked)
            fire_fd(card, type, vector);
    }
    pthread_mutex_unlock(&card->irq_lock);
}
