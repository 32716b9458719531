/*
 * The IOVA table: which addresses the guest lets the card reach. Sorted, never overlapping, searched from
 * where the caller found its last region. BARs are never in it, so no DMA reaches a register.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "card.h"
#include "record.h"

/* The index of the first region that ends at or behind `address`. */
static uint32_t find(const struct rw_card *card, uint64_t address)
{
    uint32_t low = 0, high = card->region_count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (card->regions[middle].last < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void lock_both(struct rw_card *card)
{
    pthread_mutex_lock(&card->tx_lock);
    atomic_fetch_add(&card->rx_waiters, 1);
    pthread_mutex_lock(&card->rx_lock);
    atomic_fetch_sub(&card->rx_waiters, 1);
}

static void unlock_both(struct rw_card *card)
{
    card->tx_ring_cache = card->tx_data_cache = card->rx_ring_cache = card->rx_data_cache = 0;
    pthread_mutex_unlock(&card->rx_lock);
    pthread_mutex_unlock(&card->tx_lock);
}

static int map_locked(struct rw_card *card, const struct rw_region *region)
{
    const uint32_t at = find(card, region->first);

    if (at < card->region_count && card->regions[at].first <= region->last)
        return -EEXIST;
    if (card->region_count >= RW_MAX_REGIONS)
        return -ENOSPC;
    if (card->region_count == card->region_room) {
        const uint32_t room = card->region_room ? card->region_room * 2 : 64;
        struct rw_region *more = realloc(card->regions, room * sizeof *more);

        if (!more)
            return -ENOMEM;
        card->regions = more;
        card->region_room = room;
    }
    memmove(&card->regions[at + 1], &card->regions[at], (card->region_count - at) * sizeof *card->regions);
    card->regions[at] = *region;
    card->region_count++;
    return 0;
}

int rw_dma_map(rw_card *card, uint64_t address, uint64_t size, void *host, int protection)
{
    const struct rw_region region = {address, address + size - 1, host, protection};
    int result;

    if (!size || region.last < address || !(protection & (RW_DMA_READ | RW_DMA_WRITE)))
        return -EINVAL;
    lock_both(card);
    result = map_locked(card, &region);
    if (card->recorder && !result && !host && protection & RW_DMA_WRITE)
        atomic_store(&card->slow_used, true); /* a recorded input is never left to Python in its middle */
    unlock_both(card);
    return result;
}

int rw_dma_unmap(rw_card *card, uint64_t address, uint64_t size)
{
    const uint64_t last = address + size - 1;
    uint32_t first, end;

    if (!size || last < address)
        return -EINVAL;
    lock_both(card);
    first = end = find(card, address);
    while (end < card->region_count && card->regions[end].first <= last)
        end++;
    memmove(&card->regions[first], &card->regions[end], (card->region_count - end) * sizeof *card->regions);
    card->region_count -= end - first;
    unlock_both(card);
    return 0;
}

void rw_dma_clear(rw_card *card)
{
    lock_both(card);
    card->region_count = 0;
    atomic_store(&card->slow_used, false);
    unlock_both(card);
}

void rw_dma_slow(rw_card *card, rw_slow_dma call, void *context)
{
    lock_both(card);
    card->slow = call;
    card->slow_context = context;
    unlock_both(card);
}

RW_INLINE uint8_t *place(struct rw_card *card, uint32_t *cache, uint64_t address, uint64_t length, int right)
{
    const struct rw_region *region;

    if (*cache < card->region_count) {
        region = &card->regions[*cache];
        if (address < region->first || address > region->last)
            *cache = find(card, address);
    } else {
        *cache = find(card, address);
    }
    if (*cache >= card->region_count)
        return NULL;
    region = &card->regions[*cache];
    if (address < region->first || !region->host || !(region->protection & right))
        return NULL;
    if (!length || length - 1 > region->last - address)
        return NULL;
    return region->host + (address - region->first);
}

uint8_t *rw_dma_place(struct rw_card *card, uint32_t *cache, uint64_t address, uint64_t length, int right)
{
    return place(card, cache, address, length, right);
}

uint8_t *rw_dma_host(struct rw_card *card, uint32_t *cache, uint64_t address, uint64_t length, int right)
{
    return __builtin_expect(card->recorder != NULL, 0) ? NULL : place(card, cache, address, length, right);
}

RW_THREAD_LOCAL enum rw_slow rw_slow_mode;
RW_THREAD_LOCAL bool rw_slow_wanted;

void rw_slow_begin(struct rw_card *card)
{
    rw_slow_wanted = false;
    atomic_store(&card->slow_used, true);
    while (atomic_load(&card->pump_busy)) /* in an access; the next one it leaves to Python */
        sched_yield();
}

bool rw_dma_is_slow(const struct rw_card *card, uint64_t address)
{
    const uint32_t at = find(card, address);

    return at < card->region_count && card->regions[at].first <= address && !card->regions[at].host;
}

enum cover { NOT_COVERED, COVERED, COVERED_LATER };

/* Whether every byte of a range is covered with a right, be it by several regions. */
static enum cover covered(const struct rw_card *card, uint64_t address, uint32_t length, int right)
{
    const uint64_t last = address + length - 1;
    uint32_t at = find(card, address);
    bool slow = false;

    if (last < address) /* wraps: no region covers that */
        return NOT_COVERED;
    for (;; at++) {
        const struct rw_region *region;

        if (at >= card->region_count)
            return NOT_COVERED;
        region = &card->regions[at];
        if (region->first > address || !(region->protection & right))
            return NOT_COVERED;
        slow |= !region->host;
        if (region->last >= last)
            break;
        address = region->last + 1;
    }
    if (!slow)
        return COVERED;
    if (!card->slow || rw_slow_mode == RW_SLOW_NEVER)
        return NOT_COVERED;
    if (card->recorder && !atomic_load(&card->slow_used)) /* an input cannot be begun twice */
        return NOT_COVERED;
    if (rw_slow_mode == RW_SLOW_LATER || (rw_slow_mode == RW_SLOW_ASKING && !atomic_load(&card->slow_used)))
        return COVERED_LATER;
    return COVERED;
}

/* A range in pieces, mapped or slow. The range is covered. */
static int pieces(struct rw_card *card, uint64_t address, uint8_t *data, uint32_t length, bool write)
{
    for (uint32_t at = find(card, address); length; at++) {
        const struct rw_region *region = &card->regions[at];
        const uint64_t left = region->last - address;
        const uint32_t part = left < length ? (uint32_t)left + 1 : length;

        if (!region->host) {
            struct rw_guard *const guard = rw_guard_on;
            int failed;

            rw_guard_on = NULL; /* never jump over somebody else's code */
            failed = card->slow(card->slow_context, address, part, data, write);
            rw_guard_on = guard;
            if (failed)
                return -EFAULT;
        } else if (write) {
            RW_TOUCHES();
            memcpy(region->host + (address - region->first), data, part);
        } else {
            RW_TOUCHES();
            memcpy(data, region->host + (address - region->first), part);
        }
        address += part;
        data += part;
        length -= part;
    }
    return 0;
}

/* A range that is not in one mapped region. -EFAULT: not to be had; said, if `tell`. */
static RW_COLD int across(struct rw_card *card, uint64_t address, uint8_t *data, uint32_t length, bool write,
                          bool tell)
{
    enum cover cover;

    if (!length)
        return 0;
    cover = covered(card, address, length, write ? RW_DMA_WRITE : RW_DMA_READ);
    if (cover == COVERED_LATER) {
        rw_slow_wanted = true;
        return -EFAULT;
    }
    if (cover == COVERED && !pieces(card, address, data, length, write))
        return 0;
    if (tell)
        rw_fault(card, address, length, write);
    return -EFAULT;
}

static int load(struct rw_card *card, uint32_t *cache, uint64_t address, void *to, uint32_t length, bool tell)
{
    const uint8_t *host = place(card, cache, address, length, RW_DMA_READ);
    int result = 0;

    if (host) {
        RW_TOUCHES();
        memcpy(to, host, length);
    } else {
        result = across(card, address, to, length, false, tell);
    }
    if (card->recorder)
        rw_record_loaded(card, address, to, length, !result, !tell);
    return result;
}

int rw_dma_try_load(struct rw_card *card, uint32_t *cache, uint64_t address, void *to, uint32_t length)
{
    return load(card, cache, address, to, length, false);
}

int rw_dma_load(struct rw_card *card, uint32_t *cache, uint64_t address, void *to, uint32_t length)
{
    return load(card, cache, address, to, length, true);
}

int rw_dma_store_done(struct rw_card *card, uint32_t *cache, uint64_t address, uint8_t status)
{
    uint8_t *host = place(card, cache, address, sizeof status, RW_DMA_WRITE);

    if (!host)
        return rw_dma_store(card, cache, address, &status, sizeof status);
    RW_TOUCHES();
    __atomic_store_n(host, status, __ATOMIC_RELEASE);
    if (card->recorder)
        rw_record_stored(card, address, &status, sizeof status, true);
    return 0;
}

int rw_dma_store(struct rw_card *card, uint32_t *cache, uint64_t address, const void *from, uint32_t length)
{
    uint8_t *host = place(card, cache, address, length, RW_DMA_WRITE);
    int result = 0;

    if (host) {
        RW_TOUCHES();
        memcpy(host, from, length);
    } else { /* only read from: `write` is true */
        result = across(card, address, (uint8_t *)(uintptr_t)from, length, true, true);
    }
    if (card->recorder)
        rw_record_stored(card, address, from, length, !result);
    return result;
}
