/* What other parts say to the card's threads. */
#pragma once

#include "card.h"

/* Make the wire's thread look at the rings, the link and the receiver again. */
void rw_wake(struct rw_card *card);
/* Whether a frame off the wire would be taken now. */
bool rw_rx_wanted(struct rw_card *card);
/* The socket's thread, before it sleeps: take what came in on the wire, as the wire's thread would, if that needs
 * no waiting. No lock is held. */
void rw_wire_glance(struct rw_card *card);
