/*
 * The card's own threads. The wire's thread reads frames off the cable into the rings, and goes on with
 * transmission when a cable that could take nothing can again; the timers' thread fires what is due.
 *
 * Backpressure: while the receiver is on and its packet buffer is full, the cable is not read, so that its other end
 * feels it; a write to RDT that makes room wakes the thread. While the receiver or the link is off, frames are read
 * and lost; without DMA (a sleeping card) they are read, because one may wake it.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "card.h"
#include "fifo.h"
#include "receive.h"
#include "timer.h"
#include "record.h"
#include "threads.h"

#define SLICE_PAUSE_MS 1 /* between two batches of a guest that asks for more than a budget: who waits for a lock gets it */
#define SLACK_NS 1000ul
#define LEAVING_S 5
#define PAUSE_MS 10 /* after an error of the descriptor that poll keeps reporting */

void rw_wake(struct rw_card *card)
{
    const uint64_t one = 1;

    if (card->wake_fd >= 0 && write(card->wake_fd, &one, sizeof one) < 0)
        return; /* full: it is signalled */
}

static void lock_rx(struct rw_card *card)
{
    while (atomic_load_explicit(&card->rx_waiters, memory_order_relaxed))
        sched_yield();
    pthread_mutex_lock(&card->rx_lock);
}

struct rw_moved rw_moved(struct rw_card *card, struct rw_moved *last)
{
    const struct rw_moved before = *last;
    struct rw_account now;
    struct rw_moved moved;

    rw_account_of(card, &now);
    *last = (struct rw_moved){now.frames_sent, now.frames_received, now.octets_sent, now.octets_received,
                              before.pace};
    moved = (struct rw_moved){
        .frames_sent = now.frames_sent - before.frames_sent,
        .frames_received = now.frames_received - before.frames_received,
        .octets_sent = now.octets_sent - before.octets_sent,
        .octets_received = now.octets_received - before.octets_received,
    };
    if (!rw_pace_goes_on(&last->pace, rw_now(card), moved.frames_sent + moved.frames_received,
                         moved.octets_sent + moved.octets_received)) {
        moved.octets_sent = moved.octets_received = 0;
        if (moved.frames_received > RW_BUSY_POLL_FEW)
            moved.frames_received = RW_BUSY_POLL_FEW;
        if (moved.frames_sent > RW_BUSY_POLL_FEW - moved.frames_received)
            moved.frames_sent = RW_BUSY_POLL_FEW - moved.frames_received;
    }
    return moved;
}

_Noreturn void rw_die(const char *thread, const char *reason)
{
    dprintf(STDERR_FILENO, "ringwalk: the %s thread: %s: %s\n", thread, reason, strerror(errno));
    abort();
}

void rw_join(pthread_t thread, const char *name)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LEAVING_S;
    errno = pthread_timedjoin_np(thread, NULL, &until);
    if (errno)
        rw_die(name, "it was told to end");
}

bool rw_be_punctual(void)
{
    return !prctl(PR_SET_TIMERSLACK, SLACK_NS, 0ul, 0ul, 0ul);
}

enum appetite { FULL, HUNGRY, DISCARD };

static enum appetite appetite(struct rw_card *card)
{
    if (!rw_rx_listening(card))
        return DISCARD;
    if (!atomic_load_explicit(&card->mastering, memory_order_relaxed))
        return FULL;
    return rw_can_receive(card) ? FULL : HUNGRY;
}

bool rw_rx_wanted(struct rw_card *card)
{
    return appetite(card) == FULL;
}

/* Read and lose what comes while nobody listens. */
static void discard(struct rw_card *card)
{
    struct rw_offload offload;

    pthread_mutex_lock(&card->rx_lock);
    for (uint32_t n = 0; n < RW_BATCH && !rw_rx_listening(card) && rw_wire_read(card, &offload) > 0; n++)
        RW_COUNT(card, rx_discarded, 1);
    pthread_mutex_unlock(&card->rx_lock);
}

/* Frames off the wire into the ring, a batch of them at most. False: the wire has no more now. */
static bool take_locked(struct rw_card *card, struct rw_rx_outcome *outcome)
{
    struct rw_offload offload;
    uint32_t n;
    int32_t length = 1;

    for (n = 0; n < RW_BATCH && appetite(card) == FULL; n++) {
        length = rw_wire_read(card, &offload);
        if (length <= 0)
            break;
        rw_rx_frame_locked(card, card->rx_frame, (uint32_t)length, offload.needs_csum ? &offload : NULL, outcome);
    }
    RW_COUNT(card, rx_batches, n ? 1 : 0);
    return length > 0;
}

/* One batch off the wire. False: the wire has no more now. */
static bool batch(struct rw_card *card)
{
    struct rw_rx_outcome outcome = {0};
    bool more;

    if (card->recorder)
        return rw_record_frame(card);
    if (rw_slow_wanted || rw_rx_ring_is_slow(card))
        rw_slow_begin(card); /* a frame that was met before this was known waits, or is lost */
    lock_rx(card);
    if (rw_fifo_held(card))
        rw_rx_deliver_locked(card, &outcome);
    more = take_locked(card, &outcome);
    pthread_mutex_unlock(&card->rx_lock);
    rw_rx_announce(card, &outcome);
    return more || rw_slow_wanted;
}

void rw_wire_glance(struct rw_card *card)
{
    struct rw_rx_outcome outcome = {0};

    if (card->recorder || !atomic_load(&card->wire_running) || atomic_load(&card->slow_used) ||
        atomic_load(&card->tx_blocked) || atomic_load(&card->wire_closed) || atomic_load(&card->rx_waiters) ||
        appetite(card) != FULL || pthread_mutex_trylock(&card->rx_lock))
        return;
    if (!rw_rx_ring_is_slow_locked(card)) {
        rw_slow_mode = RW_SLOW_LATER;
        take_locked(card, &outcome);
        rw_slow_mode = RW_SLOW_ALLOWED;
    }
    pthread_mutex_unlock(&card->rx_lock);
    rw_rx_announce(card, &outcome);
    if (rw_slow_wanted) { /* the wire's thread can wait for it from now on */
        rw_slow_wanted = false;
        rw_slow_begin(card);
        rw_wake(card);
    }
}

static void resume_transmit(struct rw_card *card)
{
    bool free_again;

    if (card->recorder) {
        rw_record_writable(card);
        return;
    }
    pthread_mutex_lock(&card->tx_lock);
    free_again = rw_wire_flush(card);
    atomic_store(&card->tx_blocked, !free_again);
    pthread_mutex_unlock(&card->tx_lock);
    if (free_again)
        rw_run(card);
}

/* While much comes off the wire let it gather, so that its other end wakes nobody; rw_wake ends that. */
static void rest(struct rw_card *card, struct rw_moved *moved)
{
    struct pollfd wake = {.fd = card->wake_fd, .events = POLLIN};
    const struct rw_moved now = rw_moved(card, moved);
    const uint64_t rest_ns = rw_busy_poll_bulk(now.frames_received, now.octets_received);
    const struct timespec time = {.tv_nsec = (long)rest_ns};

    if (rest_ns && atomic_load(&card->rests) && !atomic_load(&card->stopping))
        ppoll(&wake, 1, &time, NULL);
}

static void *wire_main(void *argument)
{
    struct rw_card *card = argument;
    struct rw_moved moved = {0};

    rw_slow_mode = RW_SLOW_ASKING;
    rw_be_punctual();
    while (!atomic_load(&card->stopping)) {
        struct pollfd fds[2] = {{.fd = card->wake_fd, .events = POLLIN}, {.fd = card->wire_fd, .events = 0}};
        enum appetite wanted = appetite(card);
        uint64_t drained;

        if (atomic_load(&card->slow_used) && !card->recorder)
            rw_rx_deliver(card); /* what met memory that its thread could not wait for */
        if (wanted == HUNGRY) { /* say so, then look again: there may be room (docs/memory-model.md, pair 6) */
            atomic_store(&card->rx_hungry, true);
            wanted = appetite(card);
        }
        if (wanted == HUNGRY)
            RW_COUNT(card, rx_starved, 1);
        else
            fds[1].events |= POLLIN;
        if (atomic_load(&card->tx_blocked))
            fds[1].events |= POLLOUT;
        if (!fds[1].events || atomic_load(&card->wire_closed))
            fds[1].fd = -1;
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            rw_die("wire", "poll");
        if (fds[0].revents && read(card->wake_fd, &drained, sizeof drained) < 0)
            continue;
        if (fds[1].revents & POLLOUT)
            resume_transmit(card);
        if (fds[1].revents & POLLIN) {
            if (wanted == DISCARD) {
                discard(card);
            } else {
                while (batch(card) && appetite(card) == FULL && !atomic_load(&card->stopping) &&
                       !atomic_load(&card->tx_blocked))
                    ;
                rest(card, &moved);
            }
        } else if (fds[1].revents & (POLLERR | POLLHUP | POLLNVAL)) {
            struct rw_offload offload;

            if (fds[1].revents & POLLNVAL || rw_wire_read(card, &offload) < 0)
                atomic_store(&card->wire_closed, true);
            else
                poll(fds, 1, PAUSE_MS);
        }
    }
    return NULL;
}

static void *timer_main(void *argument)
{
    struct rw_card *card = argument;

    rw_slow_mode = RW_SLOW_ASKING;
    while (!atomic_load(&card->stopping)) {
        uint64_t times;

        if (read(card->timer_fd, &times, sizeof times) < 0 && errno != EINTR)
            rw_die("timer", "read");
        if (atomic_load(&card->stopping))
            break;
        if (card->recorder) {
            poll(NULL, 0, atomic_load(&card->tx_unfinished) ? SLICE_PAUSE_MS : 0);
            rw_record_tick(card);
        }
        if (rw_timer_expire(card) && !card->recorder) {
            poll(NULL, 0, SLICE_PAUSE_MS);
            rw_run(card);
        }
    }
    return NULL;
}

/* Threads of ours get no signal but those of their own faults. */
static int create(pthread_t *thread, void *(*body)(void *), struct rw_card *card)
{
    sigset_t all, before;
    int result;

    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(thread, NULL, body, card);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -result;
}

int rw_start(rw_card *card)
{
    int result = 0;

    if (card->running)
        return 0;
    if (card->wake_fd < 0)
        card->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (card->timer_fd < 0)
        card->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (card->wake_fd < 0 || card->timer_fd < 0)
        result = -errno;
    atomic_store(&card->stopping, false);
    card->running = true;
    card->live = true;
    card->timer_set_ns = 0;
    if (!result) {
        result = create(&card->timer_thread, timer_main, card);
        card->timer_running = !result;
    }
    if (!result && card->wire_fd >= 0) {
        result = create(&card->wire_thread, wire_main, card);
        card->wire_running = !result;
    }
    if (result)
        rw_stop(card);
    else
        rw_timer_resume(card);
    return result;
}

void rw_stop(rw_card *card)
{
    const struct itimerspec at_once = {.it_value = {.tv_nsec = 1}};

    if (!card->running)
        return;
    atomic_store(&card->stopping, true);
    rw_wake(card);
    if (card->timer_running) {
        pthread_mutex_lock(&card->irq_lock); /* nobody sets it to later behind our back */
        timerfd_settime(card->timer_fd, 0, &at_once, NULL);
        card->timer_set_ns = 1;
        pthread_mutex_unlock(&card->irq_lock);
        rw_join(card->timer_thread, "timer");
    }
    if (card->wire_running)
        rw_join(card->wire_thread, "wire");
    card->timer_running = card->wire_running = card->running = card->live = false;
}
