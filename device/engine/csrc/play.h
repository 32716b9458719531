/* What the core does with its effects while a recording is played (play.c). */
#pragma once

#include "card.h"

/* A frame that leaves, a message or a level: compared with the recording instead of kept. */
void rw_play_frame(struct rw_card *card, const struct rw_frame *frame, const struct rw_offload *offload);
void rw_play_signal(struct rw_card *card, uint32_t kind, uint64_t value);
