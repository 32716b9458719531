/* The IEEE 1588 clock: SYSTIM, TIMINCA, TIMADJ. Python twin: device.clock. */
#pragma once

#include "card.h"

/* Hold the time of a frame in stamp and stamp + 4, unless one is held already (datasheet, Time Sync). */
void rw_clock_stamp(struct rw_card *card, uint32_t control, uint32_t stamp);
uint64_t rw_clock_value_locked(struct rw_card *card);
uint32_t rw_clock_read(struct rw_card *card, uint32_t offset);
uint32_t rw_clock_release(struct rw_card *card, uint32_t offset);
void rw_clock_write(struct rw_card *card, uint32_t offset, uint32_t value);
