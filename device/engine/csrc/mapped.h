/* Ring registers in memory that the client maps; see mapped.c. */
#pragma once

#include "card.h"

/* Do what the client wrote to the mapped registers before now. Nothing where none are mapped. */
void rw_mapped_sync(struct rw_card *card);
