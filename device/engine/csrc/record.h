/*
 * Recording while the card's threads run: record.c orders inputs and keeps records, tape.c writes them to a file.
 *
 * The order lock comes before tx_lock. Whoever gives the card an input holds it from the input's record to its
 * last outcome, so the file has one order in which all that happened can happen again. With a recorder the card's
 * clock stands still during an input: `now` is set when the input begins.
 */
#pragma once

#include "card.h"

/* tape.c: blocks of records, filled by who holds the order lock, written by a thread of its own. */
struct rw_tape;
struct rw_tape *rw_tape_new(int fd);
/* Room for one record of `bytes`, to be filled before the next call; waits for the disk. NULL: the tape ended. */
uint8_t *rw_tape_room(struct rw_tape *tape, uint32_t bytes);
bool rw_tape_flush_due(struct rw_tape *tape); /* what is kept has waited long enough */
void rw_tape_flush(struct rw_tape *tape);
uint64_t rw_tape_bytes(const struct rw_tape *tape);
uint64_t rw_tape_waits(const struct rw_tape *tape); /* times that the card waited for the disk */
int rw_tape_close(struct rw_tape *tape); /* frees it; 0 or a negated errno: why not all is in the file */
int rw_tape_error(struct rw_tape *tape);

/* record.c: what other parts of the core do instead when there is a recorder. */
uint32_t rw_record_read(struct rw_card *card, uint32_t offset);
void rw_record_write(struct rw_card *card, uint32_t offset, uint32_t value);
bool rw_record_frame(struct rw_card *card); /* one frame off the wire; false: there is none, or nobody wants it */
void rw_record_tick(struct rw_card *card);     /* time passes */
void rw_record_writable(struct rw_card *card); /* the wire takes frames again */
enum rw_sent rw_record_send(struct rw_card *card, struct rw_frame *frame, const struct rw_offload *offload);

#define RW_OFFLOAD_BYTES 12u
void rw_record_offload(uint8_t *at, const struct rw_offload *offload); /* as a record carries it */
bool rw_record_makes_work(uint32_t offset); /* a write there has the transmitter look for work: device.card */

/* Outcomes of the input at hand. */
void rw_record_loaded(struct rw_card *card, uint64_t address, const void *data, uint32_t length, bool done,
                      bool tried);
void rw_record_stored(struct rw_card *card, uint64_t address, const void *data, uint32_t length, bool done);
void rw_record_message(struct rw_card *card, uint32_t vector);
void rw_record_line(struct rw_card *card, bool level);
