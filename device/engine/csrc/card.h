/*
 * One card's state, and what the parts of the core call in each other.
 *
 * Locks, taken in this order: tx_lock, rx_lock, irq_lock, effect_lock.
 *   tx_lock      the transmit queues, their registers and counters; held for a batch
 *   rx_lock      the receive queues, their registers and counters; held for a batch
 *   irq_lock     ICR, IMS and their kin, the timers, the interrupt descriptors; held for a few instructions
 *   effect_lock  the effect buffer (no effects are made when descriptors are attached, but faults)
 * The DMA table and whole resets are changed under tx_lock and rx_lock, so a batch sees one table. Registers
 * are relaxed atomics: a driver's plain store needs no lock, and a doorbell never waits for the other
 * direction. Where the order of two accesses can be seen by somebody, docs/memory-model.md has the pair's number.
 */
#pragma once

#ifdef NDEBUG
#error "the core is built with its assertions: -UNDEBUG"
#endif

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "core.h"
#include "eventfd.h"
#include "debug.h"
#include "frame.h"
#include "guard.h" /* guard.c: see there */
#include "regs.h"

#define RW_WORDS (RW_BAR_BYTES / 4)
#define RW_SCRATCH_BYTES (RW_GATHER_BYTES + RW_TAG_BYTES + RW_FCS_BYTES + RW_MIN_FRAME) /* see the assertions below */
#define RW_SPLIT_BUFFERS 4u
#define RW_FIFO_BLOCK (1u << 17) /* what fifo.c keeps them in */
#define RW_SLICE_LOOK 64u /* units of work between two looks at the clock */
#define RW_MAX_REGIONS 65535u
#define RW_BATCH 64u /* frames off the wire before the interrupt is evaluated */
#ifndef RW_INLINE /* a coverage build counts a function once, not wherever it is inlined */
#define RW_INLINE static inline __attribute__((always_inline))
#endif
#define RW_COLD __attribute__((cold, noinline))

/* What the scratch buffers hold: a gathered frame with a tag and, looped, its FCS; one segment; a frame off the wire,
 * padded, with its FCS. */
_Static_assert(RW_SCRATCH_BYTES >= RW_GATHER_BYTES + RW_TAG_BYTES + RW_FCS_BYTES, "a looped frame");
_Static_assert(RW_SCRATCH_BYTES >= 255u + 65535u, "a segment: HDRLEN and MSS bytes");
_Static_assert(RW_SCRATCH_BYTES >= RW_LARGEST_FRAME + 1u + RW_FCS_BYTES, "a frame off the wire, and one byte too many");

enum rw_access {
    RW_ACC_NONE,
    RW_ACC_RW,
    RW_ACC_RO,
    RW_ACC_WO,
    RW_ACC_RC,
    RW_ACC_RC64L,
    RW_ACC_RC64H,
    RW_ACC_RC_W1C,
};
enum rw_owner { RW_OWN_ENGINE, RW_OWN_CARD };

/* What regs.h declares of a word of BAR0. */
struct rw_reg_info {
    uint16_t canonical; /* the word an alias stands for */
    uint8_t access, owner;
    uint32_t mask, reset;
};

struct rw_region {
    uint64_t first, last; /* both included */
    uint8_t *host;        /* NULL: reached by the slow callback */
    int protection;
};

/* A receive descriptor as it was read: one buffer, or four for packet split. */
struct rw_slot {
    uint64_t buffer[RW_SPLIT_BUFFERS];
};

/* The context descriptor last seen on a queue: device.rings.transmit.ContextTx. */
struct rw_context {
    uint8_t ipcss, ipcso, tucss, tucso, command, hdrlen;
    uint16_t ipcse, tucse, mss;
    uint32_t paylen;
};

/* The frame that a queue gathers: `stored` bytes at `store`, then the fragments. These point into guest memory,
 * so they live only while a batch runs: what is left of a frame when it ends is moved to `store`, because the
 * DMA table may change before the next. */
struct rw_txq {
    struct rw_context context, segmentation;
    bool started, segmenting, stamp, dropping;
    uint8_t options, css;
    uint32_t size, stored, frags;
    uint32_t resume; /* segments of the frame that a blocked wire took already */
    struct rw_fragment frag[RW_FRAGS];
    uint8_t *store; /* RW_GATHER_BYTES */
};

enum rw_timer_id {
    RW_TIMER_RDTR,
    RW_TIMER_RADV,
    RW_TIMER_RAID,
    RW_TIMER_TIDV,
    RW_TIMER_TADV,
    RW_TIMERS,
};

struct rw_timer {
    bool armed;
    uint32_t order; /* of those due at one instant, the one armed first fires first */
    uint64_t at_ns;
};

struct rw_irq_fd {
    int fd;
    bool masked, pending;
};

/* The receive packet buffer: fifo.h. */
struct rw_fifo {
    uint8_t *block;
    uint32_t at, end;      /* the frames that wait lie from here to there */
    _Atomic uint32_t held; /* bytes of the buffer that they take */
};

/* What the link partner was told: reference.flow.Partner. */
enum rw_partner { RW_PARTNER_SENDS, RW_PARTNER_STOPPED, RW_PARTNER_STOPPED_TWICE };

struct rw_buffer {
    uint8_t *bytes;
    size_t length, room;
};

/* The account's counters. Each has one writer at a time (its lock's holder) and any number of readers. */
#define RW_ACCOUNT(X)                                                                                  \
    X(frames_sent) X(frames_received) X(octets_sent) X(octets_received) X(tx_descriptors)              \
    X(rx_descriptors) X(doorbells) X(tx_batches) X(rx_batches) X(interrupts) X(moderated) X(faults)    \
    X(sigbus) X(wire_lost) X(wire_refused) X(wire_blocked) X(rx_discarded) X(rx_starved)               \
    X(inline_reads) X(inline_writes) X(forwarded)

struct rw_mapped;
struct rw_recorder;
struct rw_play;

struct rw_card {
    _Atomic uint32_t reg[RW_WORDS];

    pthread_mutex_t tx_lock, rx_lock, irq_lock, effect_lock;
    _Atomic int rx_waiters; /* somebody wants rx_lock: the wire's thread lets it pass */

    bool offload;
    _Atomic bool mastering, loopback, link;

    /* DMA: tx_lock and rx_lock to change, either to read */
    struct rw_region *regions;
    uint32_t region_count, region_room;
    rw_slow_dma slow;
    void *slow_context;
    _Atomic bool slow_used, pump_busy; /* see rw_slow */

    /* transmit: tx_lock */
    struct rw_txq txq[RW_QUEUES];
    uint32_t tx_ring_cache, tx_data_cache; /* where transmit found its last regions */
    uint32_t turn, left; /* arbitration: the queue whose turn it is, and the frames it may still send */
    uint32_t tx_active;  /* the queue at work, for the guard */
    uint64_t tx_at;      /* the descriptor at work, for the guard */
    uint32_t tx_done, tx_causes, tx_delayed; /* of the batch at hand */
    uint32_t tx_work; /* of the batch at hand: what its descriptors cost beyond one each */
    uint32_t tx_look; /* and when the clock is looked at next, by units of work */
    uint64_t tx_until; /* when it ends by the clock; 0: never */
    bool tx_late;      /* it has */
    bool tx_cut;       /* in the middle of a segmented frame: it goes on there */
    _Atomic uint32_t tx_owed, tx_owed_delayed; /* causes of batches that rw_tx_announce is to raise */
    uint32_t tx_owing; /* batches since it last did */
    _Atomic bool tx_unfinished; /* the last batch ended with its budget: there is more to do, at once */
    uint8_t *segment; /* scratch: one segment, or a frame to be changed */
    uint8_t *loop;    /* scratch: a frame on its way back */

    /* receive: rx_lock */
    uint32_t rx_ring_cache, rx_data_cache;
    uint8_t *rx_frame;    /* scratch: the wire's last frame */
    struct rw_slot *plan; /* RW_MOST_SLOTS */
    struct rw_fifo fifo;
    _Atomic uint32_t partner; /* enum rw_partner; tx_lock to change */

    /* interrupts and timers: irq_lock */
    int mode;
    bool line;
    uint32_t announced; /* causes a message was sent for, and that are still pending */
    uint32_t held;      /* bit n: EITR[n] holds a message back; bit RW_VECTORS: ITR does */
    uint32_t delayed_receive, delayed_transmit; /* causes that wait for a timer */
    struct rw_timer timer[RW_TIMERS];
    uint32_t timer_order;
    uint64_t quiet_until[RW_VECTORS + 1]; /* no message before; 0: at any time */
    bool irqs_attached;
    struct rw_irq_fd irq_fd[3][RW_VECTORS];
    struct rw_signaller signaller;
    uint32_t held_vectors; /* rw_hold_messages; irq_lock */
    int timer_fd;
    uint64_t timer_set_ns; /* what timer_fd is set to; 0: it is not */

    /* time, ns of the monotonic clock: read, when `live`, else what rw_advance said */
    _Atomic bool live;
    _Atomic uint64_t now;
    _Atomic uint64_t paused_until; /* an XOFF frame was obeyed */
    struct { /* IEEE 1588: device.clock; irq_lock */
        uint64_t base, since_ns;
        uint32_t timinca;
    } time;

    struct rw_buffer effects;

    /* the wire: tx_lock to write, its thread reads */
    int wire_fd, framing;
    _Atomic bool rests; /* the threads rest while there is much traffic: busy_poll.c */
    _Atomic bool wire_closed, tx_blocked, rx_hungry;
    uint8_t *tail; /* the part of a frame that a stream did not take */
    uint32_t tail_at, tail_length;
    uint8_t *stream; /* what a stream gave that is not yet a frame; its thread's */
    uint32_t stream_at, stream_end, stream_skip;
    bool wire_attached; /* else frames become effects */
    bool wire_ends;     /* an empty read is the wire's end */
    _Atomic int wake_fd; /* eventfd: stop, or look at the rings again */
    _Atomic bool stopping;
    _Atomic bool running, wire_running, timer_running;
    pthread_t wire_thread, timer_thread;
    struct rw_mapped *mapped; /* mapped.c; NULL: doorbells are messages */
    struct rw_play *play; /* play.c, while a recording is played: what leaves is compared with it */
    struct rw_recorder *recorder; /* record.c; NULL: nothing is recorded. Set and cleared without threads */

    struct {
#define X(name) _Atomic uint64_t name;
        RW_ACCOUNT(X)
#undef X
    } account;
};

/* regs.c */
extern struct rw_reg_info rw_regs[RW_WORDS];
void rw_regs_init(void);

RW_INLINE uint32_t rw_get(struct rw_card *card, uint32_t offset)
{
    return atomic_load_explicit(&card->reg[offset / 4], memory_order_relaxed);
}

RW_INLINE void rw_put(struct rw_card *card, uint32_t offset, uint32_t value)
{
    atomic_store_explicit(&card->reg[offset / 4], value, memory_order_relaxed);
}

/* A tail: behind it lie descriptors, and in front of it may be rx_hungry (docs/memory-model.md, pairs 1 and 6). */
RW_INLINE uint32_t rw_get_tail(struct rw_card *card, uint32_t offset)
{
    return atomic_load_explicit(&card->reg[offset / 4], memory_order_seq_cst);
}

/* A head, behind what was written back: pair 4. */
RW_INLINE void rw_put_head(struct rw_card *card, uint32_t offset, uint32_t value)
{
    atomic_store_explicit(&card->reg[offset / 4], value, memory_order_release);
}

/* A register for the guest, which goes by it: a head says what was written back. */
RW_INLINE uint32_t rw_get_shown(struct rw_card *card, uint32_t offset)
{
    return atomic_load_explicit(&card->reg[offset / 4], memory_order_acquire);
}

#define RW_COUNT(card, name, n)                                                                        \
    atomic_store_explicit(&(card)->account.name,                                                       \
                          atomic_load_explicit(&(card)->account.name, memory_order_relaxed) + (n),     \
                          memory_order_relaxed)

/* Memory without a host address is reached by Python, which asks the client and waits for its answer. Whoever
 * waits reads the socket (device.vfio_user.channel), unless the pump is reading: so a thread may not wait while the
 * pump answers accesses itself, for which it may want the thread's locks. LATER is the pump's: the whole access is
 * left to Python. ASKING is our threads' and the housekeeper's: they stop, ask the pump to answer nothing any more
 * (rw_slow_begin, with no lock held), and go on. NEVER is that of mapped doorbells: a fault. Per thread. */
enum rw_slow { RW_SLOW_ALLOWED, RW_SLOW_LATER, RW_SLOW_ASKING, RW_SLOW_NEVER };
extern RW_THREAD_LOCAL enum rw_slow rw_slow_mode;
extern RW_THREAD_LOCAL bool rw_slow_wanted; /* LATER or ASKING, and something slow was met */
void rw_slow_begin(struct rw_card *card);

/* dma.c: 0 when every byte of the range is covered with the right; else a fault was reported, but by try */
int rw_dma_try_load(struct rw_card *card, uint32_t *cache, uint64_t address, void *to, uint32_t length);
int rw_dma_load(struct rw_card *card, uint32_t *cache, uint64_t address, void *to, uint32_t length);
int rw_dma_store(struct rw_card *card, uint32_t *cache, uint64_t address, const void *from, uint32_t length);
/* The same for the byte that has DD: behind all that was read and written before (docs/memory-model.md, pair 2). */
int rw_dma_store_done(struct rw_card *card, uint32_t *cache, uint64_t address, uint8_t status);
/* The host address of the whole range, or NULL: not covered by one mapped region, or the
 * card is recorded, which has all bytes pass by rw_dma_load and rw_dma_store. Reports nothing. */
uint8_t *rw_dma_host(struct rw_card *card, uint32_t *cache, uint64_t address, uint64_t length, int right);

/* The same, also for a card that is recorded: who stores there tells the recorder. */
uint8_t *rw_dma_place(struct rw_card *card, uint32_t *cache, uint64_t address, uint64_t length, int right);

/* Whether an address lies in a region that is reached by the slow callback. */
bool rw_dma_is_slow(const struct rw_card *card, uint64_t address);

/* effects.c */
/* How many frames of the cable a frame is; Python twin: device.effects.FrameSent.frames. */
uint32_t rw_frames_of(uint32_t size, const struct rw_offload *offload);
void rw_effect_frame(struct rw_card *card, const struct rw_frame *frame, const struct rw_offload *offload);
void rw_effect(struct rw_card *card, uint32_t kind, uint64_t value);
void rw_fault(struct rw_card *card, uint64_t address, uint32_t length, bool write);

/* wire.c: the wire's header is put into the room in front of the frame's head; the frame stays as it is */
enum rw_sent { RW_SENT, RW_BLOCKED };
enum rw_sent rw_wire_send(struct rw_card *card, struct rw_frame *frame, const struct rw_offload *offload);
/* The same past the recorder. */
enum rw_sent rw_wire_send_now(struct rw_card *card, struct rw_frame *frame, const struct rw_offload *offload);
bool rw_wire_flush(struct rw_card *card);
/* One frame off the wire into rx_frame: its length; 0: nothing now; -1: the wire's end. */
int32_t rw_wire_read(struct rw_card *card, struct rw_offload *offload);
