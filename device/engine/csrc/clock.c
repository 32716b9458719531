/* See clock.h, and timestamps of received PTP messages. Python twins: device.clock,
 * device.engine.reference.timestamp. */
#include "clock.h"

#include "receive.h"
#include "timer.h"

#define CLOCK_NS 40u
#define SIGN (1u << 31)
#define TSYNC_VALID RW_TSYNCRXCTL_VALID
#define TSYNC_ENABLED RW_TSYNCRXCTL_ENABLED

enum { L2_V2, L4_V1, L2_L4_V2, ALL = 4, EVENT_V2 };
enum { PTP_HEADER = 34, EVENT_MESSAGES = 8, V1_CONTROL = 32, SOURCE = 22, SEQUENCE = 30 };

uint64_t rw_clock_value_locked(struct rw_card *card)
{
    const uint32_t increment = card->time.timinca & 0xffffff, period = card->time.timinca >> 24;

    if (!period)
        return card->time.base;
    return card->time.base + (rw_now(card) - card->time.since_ns) / (CLOCK_NS * period) * increment;
}

static void set_locked(struct rw_card *card, uint64_t value)
{
    card->time.base = value;
    card->time.since_ns = rw_now(card);
}

uint32_t rw_clock_read(struct rw_card *card, uint32_t offset)
{
    uint64_t value;

    pthread_mutex_lock(&card->irq_lock);
    value = rw_clock_value_locked(card);
    pthread_mutex_unlock(&card->irq_lock);
    return (uint32_t)(offset == RW_SYSTIML ? value : value >> 32);
}

/* Reading the high half releases the stamp. */
uint32_t rw_clock_release(struct rw_card *card, uint32_t offset)
{
    const uint32_t control = offset == RW_TXSTMPH ? RW_TSYNCTXCTL : RW_TSYNCRXCTL;
    uint32_t value;

    pthread_mutex_lock(&card->irq_lock);
    rw_put(card, control, rw_get(card, control) & ~TSYNC_VALID);
    value = rw_get(card, offset);
    pthread_mutex_unlock(&card->irq_lock);
    return value;
}

void rw_clock_write(struct rw_card *card, uint32_t offset, uint32_t value)
{
    pthread_mutex_lock(&card->irq_lock);
    if (offset == RW_SYSTIML) {
        set_locked(card, (rw_clock_value_locked(card) & ~0xffffffffull) | value);
    } else if (offset == RW_SYSTIMH) {
        set_locked(card, (rw_clock_value_locked(card) & 0xffffffffull) | (uint64_t)value << 32);
    } else if (offset == RW_TIMINCA) {
        rw_put(card, offset, value);
        set_locked(card, rw_clock_value_locked(card)); /* what has passed has passed at the old pace */
        card->time.timinca = value;
    } else if (offset == RW_TIMADJH) {
        const uint64_t amount = (uint64_t)(value & ~SIGN) << 32 | rw_get(card, RW_TIMADJL);

        rw_put(card, offset, value);
        set_locked(card, value & SIGN ? rw_clock_value_locked(card) - amount : rw_clock_value_locked(card) + amount);
    } else { /* TSYNCTXCTL, TSYNCRXCTL */
        rw_put(card, offset, (value & rw_regs[offset / 4].mask) | (rw_get(card, offset) & TSYNC_VALID));
    }
    pthread_mutex_unlock(&card->irq_lock);
}

static bool hold_locked(struct rw_card *card, uint32_t control, uint32_t stamp)
{
    const uint32_t state = rw_get(card, control);
    uint64_t value;

    if ((state & (TSYNC_ENABLED | TSYNC_VALID)) != TSYNC_ENABLED)
        return false;
    value = rw_clock_value_locked(card);
    rw_put(card, stamp, (uint32_t)value);
    rw_put(card, stamp + 4, (uint32_t)(value >> 32));
    rw_put(card, control, state | TSYNC_VALID);
    return true;
}

void rw_clock_stamp(struct rw_card *card, uint32_t control, uint32_t stamp)
{
    pthread_mutex_lock(&card->irq_lock);
    hold_locked(card, control, stamp);
    pthread_mutex_unlock(&card->irq_lock);
}

/* Where the PTP message starts, 0 when the frame carries none of the chosen transport. */
static uint32_t message_at(struct rw_card *card, const uint8_t *frame, uint32_t size,
                           const struct rw_packet *packet, uint32_t kind)
{
    const bool on_l2 = kind == L2_V2 || kind == L2_L4_V2 || kind == EVENT_V2;
    const bool on_l4 = kind == L4_V1 || kind == L2_L4_V2 || kind == EVENT_V2;
    uint32_t at = 0;

    if (on_l2 && rw_be16(frame, size, 12) == (rw_get(card, RW_RXMTRL) & 0xffff))
        at = 14;
    else if (on_l4 && rw_is_udp(packet) &&
             (frame[packet->transport + 2] | (uint32_t)frame[packet->transport + 3] << 8) ==
                 rw_get(card, RW_RXUDP))
        at = packet->payload;
    return at && at + PTP_HEADER <= size ? at : 0;
}

static bool wanted(uint32_t rxmtrl, const uint8_t *message, uint32_t kind)
{
    if (kind == L4_V1)
        return message[V1_CONTROL] == (rxmtrl >> 16 & 0xff);
    if (kind == EVENT_V2)
        return (message[0] & 0xf) < EVENT_MESSAGES;
    return (message[0] & 0xf) == (rxmtrl >> 24 & 0xf);
}

bool rw_stamp_received(struct rw_card *card, const uint8_t *frame, uint32_t size, const struct rw_packet *packet)
{
    const uint32_t control = rw_get(card, RW_TSYNCRXCTL);
    const uint32_t kind = (control & RW_TSYNCRXCTL_TYPE) >> RW_TSYNCRXCTL_TYPE_SHIFT;
    const uint8_t *source;
    uint32_t at;
    bool held;

    if ((control & (TSYNC_ENABLED | TSYNC_VALID)) != TSYNC_ENABLED)
        return false;
    at = message_at(card, frame, size, packet, kind);
    if (kind != ALL && (!at || !wanted(rw_get(card, RW_RXMTRL), frame + at, kind)))
        return false;
    pthread_mutex_lock(&card->irq_lock);
    held = hold_locked(card, RW_TSYNCRXCTL, RW_RXSTMPL);
    if (held) {
        source = frame + at + SOURCE;
        rw_put(card, RW_RXSATRL,
               at ? (uint32_t)source[2] << 24 | (uint32_t)source[3] << 16 | (uint32_t)source[4] << 8 | source[5] : 0);
        rw_put(card, RW_RXSATRH,
               at ? (uint32_t)source[0] << 8 | source[1] | rw_be16(frame, size, at + SEQUENCE) << 16 : 0);
    }
    pthread_mutex_unlock(&card->irq_lock);
    return held;
}
