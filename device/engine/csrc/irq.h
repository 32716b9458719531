/* Interrupt causes, masks, messages, moderation. irq_lock is held where a name says so. */
#pragma once

#include "card.h"

#define RW_TXQ(n) (RW_ICS_TXQ0 << (n))
#define RW_RXQ(n) (RW_ICS_RXQ0 << (n))
#define RW_LEGACY RW_VECTORS /* the throttle of INTx and MSI (ITR) stands behind those of the vectors */

uint32_t rw_irq_read_icr(struct rw_card *card);
void rw_irq_write_icr(struct rw_card *card, uint32_t value);
void rw_irq_write_ims(struct rw_card *card, uint32_t value);
void rw_irq_write_imc(struct rw_card *card, uint32_t value);
void rw_irq_write_delay(struct rw_card *card, uint32_t offset, uint32_t value);
void rw_irq_store(struct rw_card *card, uint32_t offset, uint32_t value);
void rw_irq_delay_receive(struct rw_card *card, uint32_t causes);
void rw_irq_finish_transmit(struct rw_card *card, uint32_t causes, uint32_t delayed);
void rw_irq_reset_locked(struct rw_card *card);
void rw_irq_fire_delay_locked(struct rw_card *card, enum rw_timer_id id);
void rw_irq_fire_throttles_locked(struct rw_card *card);
