/* A recorder's inside, for the parts that make records: record.c, outcome.c, backlog.c. */
#pragma once

#include "record.h"

#define RW_BACKLOG_BYTES (16u << 20)

struct rw_recorder {
    pthread_mutex_t order;
    _Atomic int waiters; /* somebody wants the order lock: the wire's thread lets it pass */
    uint32_t depth;      /* order lock: enters without their leave */
    struct rw_tape *tape;
    uint64_t limit;
    bool ended, held;
    struct rw_record_status status;
    uint8_t *backlog; /* frames that a full wire did not take: struct waiting and its bytes, one behind the other */
    uint32_t backlog_at, backlog_end;
};

/* A record's header; returns where its data go, NULL when the recording has ended. Under the order lock. */
uint8_t *rw_recorder_record(struct rw_recorder *recorder, uint32_t kind, uint32_t which, uint32_t amount,
                            uint64_t value, uint32_t length);
void rw_recorder_data(struct rw_recorder *recorder, uint32_t kind, uint32_t which, uint64_t value,
                      const void *data, uint32_t length);
/* Whether outcomes of this thread are an input's; what is done between inputs (a ring looked at) is nobody's. */
bool rw_recorder_listening(struct rw_card *card);
/* Hold the transmitter back, or let it go on: an input of its own. */
void rw_recorder_hold(struct rw_card *card, bool held);
