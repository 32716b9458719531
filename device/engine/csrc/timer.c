/*
 * Time, and when something is next to be done. A card that has threads reads the monotonic clock and sets a
 * timerfd to its earliest deadline; one that has none is told the time by rw_advance.
 */
#include "timer.h"

#include <sys/timerfd.h>
#include <time.h>

#include "irq.h"

#define NS 1000000000ull

/* A recorded card's clock stands still while it works on an input (record.h). */
static bool keeps_time(const struct rw_card *card)
{
    return card->live && !card->recorder;
}

uint64_t rw_now(struct rw_card *card)
{
    struct timespec at;

    if (!keeps_time(card))
        return atomic_load_explicit(&card->now, memory_order_relaxed);
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * NS + (uint64_t)at.tv_nsec;
}

bool rw_timer_next_locked(struct rw_card *card, uint64_t *at_ns)
{
    bool any = false;

    for (int id = 0; id < RW_TIMERS; id++)
        if (card->timer[id].armed && (!any || card->timer[id].at_ns < *at_ns)) {
            *at_ns = card->timer[id].at_ns;
            any = true;
        }
    for (uint32_t n = 0; n <= RW_LEGACY; n++)
        if (card->held & 1u << n && (!any || card->quiet_until[n] < *at_ns)) {
            *at_ns = card->quiet_until[n];
            any = true;
        }
    return any;
}

/* The same with the end of a pause, and with what a budget left over: nothing fires, but transmission goes on. */
static bool next_wake_locked(struct rw_card *card, uint64_t *at_ns)
{
    const uint64_t paused = atomic_load_explicit(&card->paused_until, memory_order_relaxed);
    bool any = rw_timer_next_locked(card, at_ns);

    if (paused && paused > rw_now(card) && (!any || paused < *at_ns)) {
        *at_ns = paused;
        any = true;
    }
    if (atomic_load(&card->tx_unfinished)) {
        *at_ns = rw_now(card);
        any = true;
    }
    return any;
}

void rw_timer_set_locked(struct rw_card *card)
{
    struct itimerspec until = {0};
    uint64_t at;

    if (!card->timer_running || atomic_load(&card->stopping) || !next_wake_locked(card, &at))
        return;
    if (card->timer_set_ns && card->timer_set_ns <= at)
        return; /* it wakes before, and looks again */
    until.it_value.tv_sec = (time_t)(at / NS);
    until.it_value.tv_nsec = (long)(at % NS);
    timerfd_settime(card->timer_fd, TFD_TIMER_ABSTIME, &until, NULL);
    card->timer_set_ns = at;
}

/* Fire the delays and the throttles that are due at rw_now. */
static void fire_due_locked(struct rw_card *card, uint64_t now_ns)
{
    for (;;) {
        int due = -1;

        for (int id = 0; id < RW_TIMERS; id++)
            if (card->timer[id].armed && card->timer[id].at_ns <= now_ns &&
                (due < 0 || card->timer[id].order < card->timer[due].order))
                due = id;
        if (due < 0)
            break;
        card->timer[due].armed = false;
        rw_irq_fire_delay_locked(card, (enum rw_timer_id)due);
    }
    rw_irq_fire_throttles_locked(card);
}

void rw_timer_fire_locked(struct rw_card *card, uint64_t now_ns)
{
    uint64_t at;

    if (keeps_time(card) && now_ns > rw_now(card))
        now_ns = rw_now(card); /* what runs by itself has no future */
    while (rw_timer_next_locked(card, &at) && at <= now_ns) {
        if (at > atomic_load_explicit(&card->now, memory_order_relaxed))
            atomic_store_explicit(&card->now, at, memory_order_relaxed);
        fire_due_locked(card, keeps_time(card) ? now_ns : rw_now(card));
    }
    if (now_ns > atomic_load_explicit(&card->now, memory_order_relaxed))
        atomic_store_explicit(&card->now, now_ns, memory_order_relaxed);
}

void rw_advance(rw_card *card, uint64_t now_ns)
{
    pthread_mutex_lock(&card->irq_lock);
    rw_timer_fire_locked(card, now_ns);
    pthread_mutex_unlock(&card->irq_lock);
}

bool rw_deadline(rw_card *card, uint64_t *at_ns)
{
    bool any;

    pthread_mutex_lock(&card->irq_lock);
    any = next_wake_locked(card, at_ns);
    pthread_mutex_unlock(&card->irq_lock);
    return any;
}

bool rw_timer_expire(struct rw_card *card)
{
    uint64_t paused;
    bool ended;

    pthread_mutex_lock(&card->irq_lock);
    paused = atomic_load(&card->paused_until);
    ended = paused && paused <= rw_now(card);
    if (ended)
        atomic_store(&card->paused_until, 0);
    ended |= atomic_exchange(&card->tx_unfinished, false);
    card->timer_set_ns = 0;
    if (!card->recorder) /* else they fired when the tick began */
        fire_due_locked(card, rw_now(card));
    rw_timer_set_locked(card);
    pthread_mutex_unlock(&card->irq_lock);
    return ended;
}

/* The clock starts to run by itself. */
void rw_timer_resume(struct rw_card *card)
{
    pthread_mutex_lock(&card->irq_lock);
    rw_timer_set_locked(card);
    pthread_mutex_unlock(&card->irq_lock);
}
