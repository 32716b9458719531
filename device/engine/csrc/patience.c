/*
 * How long the socket's thread looks for the next message before it sleeps. Knows of pauses, of no socket.
 *
 * To wake a thread costs the VMM's processor more than to send it a message, and the message waits 10 µs and more
 * for it; to look without need costs a core. So adaptively: what share of the last pauses was short enough is
 * estimated (each new one counts an eighth), and only while it is most of them is there any looking. A pause that
 * was slept through counts as well, so a stream of doorbells is noticed after a few, and its end too: at worst
 * half of the looks are for nothing.
 */
#include "core.h"

#define ADAPTIVE_NS 25000u /* about what two wake-ups of a thread cost: who rings less often is not worth a look */
#define WAKING_NS 10000u   /* a slept pause is longer by the wake-up */
#define EIGHTH 8u

void rw_patience_init(struct rw_patience *patience, uint32_t spin_us)
{
    patience->adaptive = spin_us == RW_SPIN_ADAPTIVE;
    patience->look_ns = patience->adaptive ? ADAPTIVE_NS : spin_us * 1000ull;
    patience->worth = 0;
}

uint64_t rw_patience_look(const struct rw_patience *patience)
{
    return patience->adaptive && patience->worth < RW_PATIENCE_CERTAIN / 2 ? 0 : patience->look_ns;
}

void rw_patience_learn(struct rw_patience *patience, uint64_t pause_ns)
{
    patience->worth -= patience->worth / EIGHTH;
    if (pause_ns <= ADAPTIVE_NS + WAKING_NS)
        patience->worth += RW_PATIENCE_CERTAIN / EIGHTH;
}
