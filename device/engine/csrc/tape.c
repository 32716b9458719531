/*
 * A recording on its way to the file: a ring of blocks, filled by whoever holds the recorder's order lock and written
 * by one thread. Bounded: when the disk is so slow that every block is full, the card waits for one; nothing is
 * left out. When the disk fails, what comes is dropped, and `rw_tape_close` says why.
 *
 * A block in the file (device.trace.recording, version 2), little-endian:
 *     "RWB2" | payload length 4 | records 4 | 0 4 | XXH64 of the payload 8 | payload
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "record.h"

#define BLOCK_BYTES (4u << 20) /* no message of a client is longer (device.vfio_user: 2 MiB) */
#define SEALED_BYTES (256u << 10) /* a block is given to the writer when it holds that much */
#define BLOCKS 8u
#define HEAD_BYTES 24u
#define FLUSH_MS 100

struct block {
    uint32_t length, count;
    uint8_t bytes[HEAD_BYTES + BLOCK_BYTES];
};

struct rw_tape {
    int fd;
    struct block *block[BLOCKS];
    uint32_t filling; /* the block that is being filled; those before it, from `next` on, are sealed */
    uint64_t bytes, waits; /* order lock */
    pthread_mutex_t lock; /* next, sealed, stopping, error */
    pthread_cond_t work, room;
    uint32_t next, sealed;
    bool stopping;
    int error;
    _Atomic bool due;
    pthread_t writer;
};

static void put32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

static void put64(uint8_t *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}

static int write_all(int fd, const uint8_t *data, size_t length)
{
    while (length) {
        const ssize_t done = write(fd, data, length);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -EIO;
        data += done;
        length -= (size_t)done;
    }
    return 0;
}

static int write_block(int fd, struct block *block)
{
    memcpy(block->bytes, "RWB2", 4);
    put32(block->bytes + 4, block->length);
    put32(block->bytes + 8, block->count);
    put32(block->bytes + 12, 0);
    put64(block->bytes + 16, rw_digest_of(block->bytes + HEAD_BYTES, block->length));
    return write_all(fd, block->bytes, HEAD_BYTES + block->length);
}

/* With `lock` held: wait for a sealed block, false when there will be none. */
static bool wait_for_work(struct rw_tape *tape)
{
    while (!tape->sealed && !tape->stopping) {
        struct timespec until;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += FLUSH_MS * 1000000l;
        until.tv_sec += until.tv_nsec / 1000000000l;
        until.tv_nsec %= 1000000000l;
        if (pthread_cond_timedwait(&tape->work, &tape->lock, &until) == ETIMEDOUT)
            atomic_store(&tape->due, true);
    }
    return tape->sealed;
}

static void *writer_main(void *argument)
{
    struct rw_tape *tape = argument;

    pthread_mutex_lock(&tape->lock);
    while (wait_for_work(tape)) {
        struct block *block = tape->block[tape->next];
        int result = tape->error;

        pthread_mutex_unlock(&tape->lock);
        if (!result)
            result = write_block(tape->fd, block);
        block->length = block->count = 0;
        pthread_mutex_lock(&tape->lock);
        tape->error = result;
        tape->next = (tape->next + 1) % BLOCKS;
        tape->sealed--;
        pthread_cond_signal(&tape->room);
    }
    pthread_mutex_unlock(&tape->lock);
    return NULL;
}

static void dispose(struct rw_tape *tape)
{
    for (uint32_t n = 0; n < BLOCKS; n++)
        free(tape->block[n]);
    pthread_cond_destroy(&tape->work);
    pthread_cond_destroy(&tape->room);
    pthread_mutex_destroy(&tape->lock);
    free(tape);
}

struct rw_tape *rw_tape_new(int fd)
{
    struct rw_tape *tape = calloc(1, sizeof *tape);
    pthread_condattr_t attributes;
    bool whole = true;

    if (!tape)
        return NULL;
    tape->fd = fd;
    pthread_mutex_init(&tape->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&tape->work, &attributes);
    pthread_cond_init(&tape->room, NULL);
    pthread_condattr_destroy(&attributes);
    for (uint32_t n = 0; n < BLOCKS; n++) {
        tape->block[n] = malloc(sizeof *tape->block[n]); /* touched as far as it is filled */
        if (tape->block[n])
            tape->block[n]->length = tape->block[n]->count = 0;
        whole &= tape->block[n] != NULL;
    }
    if (!whole || pthread_create(&tape->writer, NULL, writer_main, tape)) {
        dispose(tape);
        return NULL;
    }
    return tape;
}

void rw_tape_flush(struct rw_tape *tape)
{
    if (!tape->block[tape->filling]->length)
        return;
    pthread_mutex_lock(&tape->lock);
    tape->sealed++;
    tape->filling = (tape->filling + 1) % BLOCKS;
    pthread_cond_signal(&tape->work);
    if (tape->sealed == BLOCKS)
        tape->waits++;
    while (tape->sealed == BLOCKS) /* the one to be filled next is still to be written */
        pthread_cond_wait(&tape->room, &tape->lock);
    pthread_mutex_unlock(&tape->lock);
}

uint8_t *rw_tape_room(struct rw_tape *tape, uint32_t bytes)
{
    struct block *block = tape->block[tape->filling];
    uint8_t *at;

    if (bytes > BLOCK_BYTES)
        return NULL;
    if (block->length && block->length + bytes > SEALED_BYTES) {
        rw_tape_flush(tape);
        block = tape->block[tape->filling];
    }
    at = block->bytes + HEAD_BYTES + block->length;
    block->length += bytes;
    block->count++;
    tape->bytes += bytes;
    return at;
}

bool rw_tape_flush_due(struct rw_tape *tape)
{
    return atomic_load_explicit(&tape->due, memory_order_relaxed) && atomic_exchange(&tape->due, false);
}

uint64_t rw_tape_bytes(const struct rw_tape *tape)
{
    return tape->bytes;
}

uint64_t rw_tape_waits(const struct rw_tape *tape)
{
    return tape->waits;
}

int rw_tape_error(struct rw_tape *tape)
{
    int error;

    pthread_mutex_lock(&tape->lock);
    error = tape->error;
    pthread_mutex_unlock(&tape->lock);
    return error;
}

int rw_tape_close(struct rw_tape *tape)
{
    int result;

    rw_tape_flush(tape);
    pthread_mutex_lock(&tape->lock);
    tape->stopping = true;
    pthread_cond_signal(&tape->work);
    pthread_mutex_unlock(&tape->lock);
    pthread_join(tape->writer, NULL);
    result = tape->error;
    dispose(tape);
    return result;
}
