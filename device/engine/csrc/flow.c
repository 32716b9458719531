/* Flow control frames that the card sends (IEEE 802.3 annex 31B; 8254x manual, 8.7.5 and 13.4.23 f.). FCRTH and FCRTL
 * are thresholds in the packet buffer. Python twin: reference.flow. */
#include "fifo.h"
#include "receive.h"
#include "stats.h"
#include "transmit.h"

#define PAUSE 1

static void put_address(uint8_t *at, uint32_t low, uint32_t high)
{
    for (int n = 0; n < 4; n++)
        at[n] = (uint8_t)(low >> 8 * n);
    at[4] = (uint8_t)high;
    at[5] = (uint8_t)(high >> 8);
}

/* A PAUSE frame; of 0 quanta it is an XON. Nothing leaves without a link or in a loop. */
void rw_flow_send_locked(struct rw_card *card, uint32_t quanta)
{
    uint8_t frame[RW_MIN_FRAME] = {0};
    struct rw_frame whole;
    const uint32_t type = rw_get(card, RW_FCT);

    if (!atomic_load(&card->link) || rw_looped(card))
        return;
    put_address(frame, rw_get(card, RW_FCAL), rw_get(card, RW_FCAH));
    put_address(frame + 6, rw_get(card, RW_RAL), rw_get(card, RW_RAH));
    frame[12] = (uint8_t)(type >> 8);
    frame[13] = (uint8_t)type;
    frame[15] = PAUSE;
    frame[16] = (uint8_t)(quanta >> 8);
    frame[17] = (uint8_t)quanta;
    rw_frame_of(&whole, frame, sizeof frame);
    rw_tally(card, quanta & 0xffff ? RW_XOFFTXC : RW_XONTXC, 1);
    if (!card->wire_attached && !card->live)
        rw_effect_frame(card, &whole, NULL);
    else if (rw_wire_send(card, &whole, NULL) == RW_BLOCKED)
        RW_COUNT(card, wire_lost, 1); /* the partner that is to stop does not read */
}

/* Let the partner follow the buffer's fullness. It may have changed again since the frame came that says so: what
 * counts is how it is. */
void rw_flow_follow_locked(struct rw_card *card, const struct rw_rx_outcome *outcome)
{
    const uint32_t held = rw_fifo_held(card), high = rw_get(card, RW_FCRTH) & RW_FCRTH_RTH;
    const uint32_t low = rw_get(card, RW_FCRTL), partner = atomic_load(&card->partner);

    if (partner != RW_PARTNER_SENDS && outcome->drained && held <= (low & RW_FCRTL_RTL)) {
        atomic_store(&card->partner, RW_PARTNER_SENDS);
        if (low & RW_FCRTL_XONE)
            rw_flow_send_locked(card, 0);
    } else if (partner == RW_PARTNER_SENDS && outcome->filled && high && high <= held &&
               rw_get(card, RW_CTRL) & RW_CTRL_TFCE) {
        atomic_store(&card->partner, RW_PARTNER_STOPPED);
        rw_flow_send_locked(card, rw_get(card, RW_FCTTV));
    } else if (partner == RW_PARTNER_STOPPED && outcome->overflowed) {
        /* the first XOFF did not reach the partner */
        atomic_store(&card->partner, RW_PARTNER_STOPPED_TWICE);
        rw_flow_send_locked(card, rw_get(card, RW_FCTTV));
    }
}

void rw_flow_follow(struct rw_card *card, const struct rw_rx_outcome *outcome)
{
    const bool stopped = atomic_load(&card->partner) != RW_PARTNER_SENDS;
    const bool stops = rw_get(card, RW_CTRL) & RW_CTRL_TFCE && rw_get(card, RW_FCRTH);

    if (!(stopped ? outcome->drained || outcome->overflowed : outcome->filled && stops))
        return;
    pthread_mutex_lock(&card->tx_lock);
    rw_flow_follow_locked(card, outcome);
    pthread_mutex_unlock(&card->tx_lock);
}
