/*
 * How long the socket's thread looks for the next message, or rests, before it sleeps. Knows of pauses, frames and
 * octets, of no socket.
 *
 * To wake a thread costs the VMM's processor more than to send it a message, and the message waits 10 µs and more
 * for it; on a machine with few processors the thread often wakes up on the very one that the VMM's vCPU runs on
 * (the kernel takes who writes to a socket to be about to sleep), and takes it away. There are two ways to avoid it.
 *
 * To look: 25 µs, without sleeping. What share of the last pauses was short enough is estimated (each new one counts
 * an eighth), and only while it is most of them is there any looking. A pause that was slept through counts as well,
 * so a stream of doorbells is noticed after a few, and its end too: at worst half of the looks are for nothing.
 *
 * To rest: by a timer, so that messages wake nobody and gather. It pays while much comes, and costs latency:
 * What moved much once may be a lone request, for whose answer somebody waits: bulk and many count when the turn before
 * moved much as well, a moment ago (rw_pace_goes_on).
 *   bulk      8 KiB and more moved in a turn: as long as a gigabit wire takes for them, half a millisecond at most
 *   many      8 frames and more in a turn, however short
 *   a stream  a frame a message, close together. That may also be a driver that waits for each; so a rest is tried, and
 *             goes on while 3 frames and more gather in each. What is in vain uses up a credit of four, and then the
 *             next is tried 64 pauses later.
 */
#include "core.h"

#define ADAPTIVE_NS 25000u /* about what two wake-ups of a thread cost: who rings less often is not worth a look */
#define WAKING_NS 10000u   /* a slept pause is longer by the wake-up */
#define EIGHTH 8u

#define OCTET_NS 8u          /* a gigabit a second */
#define BULK_OCTETS 8192u
#define MOST_REST_NS 500000u /* 1 ms was no better, 250 µs worse by a tenth (docs/performance.md) */
#define MANY_FRAMES (RW_BUSY_POLL_FEW + 1u)
#define MANY_NS 200000u      /* a ring of 256 lasts longer at a gigabit's 1.2 million frames a second */
#define STREAM_NS 100000u
#define STREAM_FRAMES 3u
#define MOST_CREDIT 4u
#define AGAIN 64u
#define MOMENT_NS 4000000u /* the longest rest, and the scheduler's slice that may follow it */

void rw_busy_poll_init(struct rw_busy_poll *busy_poll, uint32_t spin_us)
{
    busy_poll->adaptive = spin_us == RW_SPIN_ADAPTIVE;
    busy_poll->look_ns = busy_poll->adaptive ? ADAPTIVE_NS : spin_us * 1000ull;
    busy_poll->worth = 0;
    busy_poll->credit = busy_poll->again = 0;
}

uint64_t rw_busy_poll_look(const struct rw_busy_poll *busy_poll)
{
    return busy_poll->adaptive && busy_poll->worth < RW_BUSY_POLL_CERTAIN / 2 ? 0 : busy_poll->look_ns;
}

void rw_busy_poll_learn(struct rw_busy_poll *busy_poll, uint64_t pause_ns)
{
    busy_poll->worth -= busy_poll->worth / EIGHTH;
    if (pause_ns <= ADAPTIVE_NS + WAKING_NS)
        busy_poll->worth += RW_BUSY_POLL_CERTAIN / EIGHTH;
}

/* Whether rests pay: while messages come close together one is tried, and then as long as frames gather in it. */
static bool streams(struct rw_busy_poll *busy_poll, uint64_t frames)
{
    if (busy_poll->worth < RW_BUSY_POLL_CERTAIN / 2)
        busy_poll->credit = 0;
    else if (busy_poll->credit && frames >= STREAM_FRAMES)
        busy_poll->credit += busy_poll->credit < MOST_CREDIT;
    else if (busy_poll->credit && --busy_poll->credit == 0)
        busy_poll->again = AGAIN;
    else if (!busy_poll->credit && busy_poll->again)
        busy_poll->again--;
    else if (!busy_poll->credit)
        busy_poll->credit = 1;
    return busy_poll->credit;
}

uint64_t rw_busy_poll_bulk(uint64_t frames, uint64_t octets)
{
    uint64_t rest = frames >= MANY_FRAMES ? MANY_NS : 0;

    if (octets >= BULK_OCTETS && rest < octets * OCTET_NS)
        rest = octets * OCTET_NS < MOST_REST_NS ? octets * OCTET_NS : MOST_REST_NS;
    return rest;
}

bool rw_pace_goes_on(struct rw_pace *pace, uint64_t now_ns, uint64_t frames, uint64_t octets)
{
    const bool goes_on = pace->much && now_ns - pace->at_ns <= MOMENT_NS;

    pace->much = rw_busy_poll_bulk(frames, octets) > 0;
    pace->at_ns = now_ns;
    return goes_on && pace->much;
}

uint64_t rw_busy_poll_rest(struct rw_busy_poll *busy_poll, uint64_t frames, uint64_t octets)
{
    const uint64_t bulk = busy_poll->adaptive ? rw_busy_poll_bulk(frames, octets) : 0;

    return busy_poll->adaptive && streams(busy_poll, frames) && bulk < STREAM_NS ? STREAM_NS : bulk;
}
