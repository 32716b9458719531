/* A guest's access as the pump sees it. */
#pragma once

#include "core.h"

uint32_t rw_access_read(struct rw_card *card, uint32_t offset);
/* rw_write, and the work it makes. False: Python is to do it again, because it touches slow memory. */
bool rw_access_write(struct rw_card *card, uint32_t offset, uint32_t value);
