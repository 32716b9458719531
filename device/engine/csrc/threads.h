/* What other parts say to the card's threads. */
#pragma once

#include "card.h"

/* Make the wire's thread look at the rings, the link and the receiver again. */
void rw_wake(struct rw_card *card);
/* Whether a frame off the wire would be taken now. */
bool rw_rx_wanted(struct rw_card *card);
