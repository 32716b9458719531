/* What other parts say to the card's threads. */
#pragma once

#include "card.h"

/* Make the wire's thread look at the rings, the link and the receiver again. */
void rw_wake(struct rw_card *card);
/* rw_run for the socket's thread: the causes wait for rw_tx_announce, so that several doorbells make one message. */
void rw_run_owing(struct rw_card *card);
/* What the card has moved by the account. */
struct rw_moved {
    uint64_t frames_sent, frames_received, octets_sent, octets_received;
    struct rw_pace pace;
};
/* What it has moved since `last`, which is brought up to date; of what does not go on, as much as is worth no rest. */
struct rw_moved rw_moved(struct rw_card *card, struct rw_moved *last);
/* Let the calling thread's timers be late by 1 µs, not 50. */
bool rw_be_punctual(void);
/* Wait for a thread that was told to end, a few seconds at most: then nothing that it uses may be freed, and the
 * process ends with that reason. */
void rw_join(pthread_t thread, const char *name);
/* A thread of ours cannot go on: end the process with the reason, and errno's. */
_Noreturn void rw_die(const char *thread, const char *reason);
/* Whether there is anything to announce. */
bool rw_tx_owes(struct rw_card *card);
/* No lock is held. */
void rw_tx_announce(struct rw_card *card);
/* Whether a frame off the wire would be taken now. */
bool rw_rx_wanted(struct rw_card *card);
/* The socket's thread, before it sleeps: take what came in on the wire, as the wire's thread would, if that needs
 * no waiting. No lock is held. */
void rw_wire_glance(struct rw_card *card);
