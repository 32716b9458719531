/* What comes of an input of a recorded card: DMA, messages, the line's level. Digests stand for what follows from the
 * input by itself: device.trace.judge. */
#include <endian.h>

#include "recorder.h"

#define WHOLE_WRITE 64u /* a DMA write up to this length is kept as it is, a longer one as its digest */

static void fault(struct rw_card *card, uint32_t kind, uint64_t address, uint32_t length, bool tried)
{
    const uint32_t length_le = htole32(length);

    rw_recorder_data(card->recorder, kind, tried, address, &length_le, sizeof length_le);
}

void rw_record_loaded(struct rw_card *card, uint64_t address, const void *data, uint32_t length, bool done,
                      bool tried)
{
    if (!length || !rw_recorder_listening(card))
        return;
    if (done)
        rw_recorder_data(card->recorder, RW_REC_DMA_READ, 0, address, data, length);
    else
        fault(card, RW_REC_DMA_READ_FAULT, address, length, tried);
}

void rw_record_stored(struct rw_card *card, uint64_t address, const void *data, uint32_t length, bool done)
{
    uint64_t value;
    uint8_t *at;

    if (!length || !rw_recorder_listening(card))
        return;
    if (!done) {
        fault(card, RW_REC_DMA_WRITE_FAULT, address, length, false);
    } else if (length <= WHOLE_WRITE) {
        rw_recorder_data(card->recorder, RW_REC_DMA_WRITE, 0, address, data, length);
    } else {
        at = rw_recorder_record(card->recorder, RW_REC_DMA_WRITE_SUM, 0, 0, address, 12);
        if (!at)
            return;
        length = htole32(length);
        value = htole64(rw_digest_of(data, le32toh(length)));
        memcpy(at, &length, sizeof length);
        memcpy(at + sizeof length, &value, sizeof value);
    }
}

void rw_record_message(struct rw_card *card, uint32_t vector)
{
    if (rw_recorder_listening(card))
        rw_recorder_record(card->recorder, RW_REC_SIGNAL, vector, 0, 0, 0);
}

void rw_record_line(struct rw_card *card, bool level)
{
    if (rw_recorder_listening(card))
        rw_recorder_record(card->recorder, RW_REC_LEVEL, level, 0, 0, 0);
}
