/* Flow control frames that the card sends (IEEE 802.3 annex 31B). Python twin: reference.flow.
 * A frame that finds no descriptor stands for the FIFO's high threshold, new descriptors for the low one. */
#include "receive.h"
#include "stats.h"
#include "transmit.h"

#define XON_ENABLE (1u << 31) /* FCRTL.XONE */
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

/* Whether an XOFF is to be sent: the driver enabled it (CTRL.TFCE, FCRTH), and none was yet. */
bool rw_flow_wanted(struct rw_card *card)
{
    return rw_get(card, RW_CTRL) & RW_CTRL_TFCE && rw_get(card, RW_FCRTH) && !atomic_load(&card->flow_stopped);
}

/* Send XOFF once. */
void rw_flow_missed_locked(struct rw_card *card)
{
    if (rw_flow_wanted(card) && !atomic_exchange(&card->flow_stopped, true))
        rw_flow_send_locked(card, rw_get(card, RW_FCTTV));
}

void rw_flow_missed(struct rw_card *card)
{
    pthread_mutex_lock(&card->tx_lock);
    rw_flow_missed_locked(card);
    pthread_mutex_unlock(&card->tx_lock);
}

void rw_starve(rw_card *card)
{
    rw_flow_missed(card);
}

/* Send XON after an XOFF, if the driver enabled it (FCRTL bit 31). No lock is held. */
void rw_flow_replenished(struct rw_card *card)
{
    if (!atomic_load(&card->flow_stopped))
        return;
    atomic_store(&card->flow_stopped, false);
    if (!(rw_get(card, RW_FCRTL) & XON_ENABLE))
        return;
    pthread_mutex_lock(&card->tx_lock);
    rw_flow_send_locked(card, 0);
    pthread_mutex_unlock(&card->tx_lock);
}
