/* Timers and time. irq_lock is held where a name says so. */
#pragma once

#include "card.h"

uint64_t rw_now(struct rw_card *card);
bool rw_timer_next_locked(struct rw_card *card, uint64_t *at_ns);
void rw_timer_set_locked(struct rw_card *card); /* a timer was armed: set the timerfd */
void rw_timer_fire_locked(struct rw_card *card, uint64_t now_ns);
bool rw_timer_expire(struct rw_card *card); /* true: a pause ended, transmission may go on */
void rw_timer_resume(struct rw_card *card);
