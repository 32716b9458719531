/* A guest's access as the pump sees it. */
#pragma once

#include "core.h"

/* rw_write, and the work it makes. */
void rw_access_write(struct rw_card *card, uint32_t offset, uint32_t value);
