/* How long the socket's thread looks for the next message before it sleeps: patience.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rw_patience {
    bool adaptive;
    uint64_t look_ns;
    uint32_t worth; /* of RW_PATIENCE_CERTAIN: how often a look would have been enough of late */
};

enum { RW_PATIENCE_CERTAIN = 256 };

void rw_patience_init(struct rw_patience *patience, uint32_t spin_us);
/* The ns to look for in the pause that begins now; 0: sleep at once. */
uint64_t rw_patience_look(const struct rw_patience *patience);
/* A pause is over: how long it was. */
void rw_patience_learn(struct rw_patience *patience, uint64_t pause_ns);
