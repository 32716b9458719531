/* A hostile recording: the input becomes records, whose lengths add up and whose contents do not matter. */
#include "guest.h"

#define MOST_BYTES 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t kinds[] = {
    RW_REC_ADVANCE, RW_REC_READ,  RW_REC_WRITE,          RW_REC_WRITE,     RW_REC_RECEIVE,       RW_REC_RECEIVE,
    RW_REC_HOLD,    RW_REC_WRITE, RW_REC_DMA_READ,       RW_REC_DMA_READ,  RW_REC_DMA_WRITE,     RW_REC_ANSWER,
    RW_REC_STORED,  RW_REC_LEVEL, RW_REC_DMA_READ_FAULT, RW_REC_FRAME_SUM, RW_REC_DMA_WRITE_SUM, RW_REC_SIGNAL,
};

static const uint32_t registers[] = {RW_TDT0, RW_RDT0, RW_TCTL,  RW_RCTL, RW_TDLEN0, RW_RDLEN0,
                                     RW_ICR,  RW_IMS,  RW_TDBAL0, RW_ICS, RW_RDBAL0, RW_IVAR};

/* One record; returns its length. */
static uint32_t a_record(struct input *input, uint8_t *to, uint32_t room)
{
    const uint8_t kind = kinds[take(input, 1) % sizeof kinds];
    const bool access = kind == RW_REC_READ || kind == RW_REC_WRITE;
    uint32_t length = take(input, 1) % 8 ? take(input, 1) % 40 : take(input, 2);
    uint64_t value = access ? registers[take(input, 1) % (sizeof registers / sizeof *registers)] : take(input, 4);
    const uint16_t amount = access ? 4 : (uint16_t)take(input, 2);

    if (access && take(input, 1) % 4)
        length = kind == RW_REC_WRITE ? 4 : 0;
    if (!access && take(input, 1) % 4 == 0)
        value = value << 32 | take(input, 4);
    if (length + 16 > room)
        return 0;
    to[0] = kind;
    to[1] = (uint8_t)(take(input, 1) % 3);
    memcpy(to + 2, &amount, sizeof amount);
    memcpy(to + 4, &length, sizeof length);
    memcpy(to + 8, &value, sizeof value);
    for (uint32_t n = 0; n < length; n++)
        to[16 + n] = n < 64 ? (uint8_t)take(input, 1) : (uint8_t)n;
    return 16 + length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    rw_card *card = rw_new(false);
    uint8_t *room = malloc(MOST_BYTES), *file;
    struct rw_play_status status;
    uint64_t start = 0, length = 0;
    uint32_t last, part;
    rw_play *play;

    if (!card || !room)
        abort();
    while (input.left && (part = a_record(&input, room + length, MOST_BYTES - (uint32_t)length)))
        length += part;
    file = malloc(length ? length : 1); /* of its exact length, for the sanitizer's sake */
    if (!file || rw_records_survey(room, length, &last) < 0)
        abort();
    memcpy(file, room, length);
    rw_dma_map(card, 0, UINT64_MAX, NULL, RW_DMA_READ | RW_DMA_WRITE);
    guest_setup(card);
    play = rw_play_new(card, file, &start, &length, 1);
    if (!play)
        abort();
    for (uint64_t at = 0; rw_play_run(play, 0, at, &status) == RW_PLAY_FOREIGN && status.block == 0;) {
        uint32_t skip; /* as Python does, which plays that input itself */

        memcpy(&skip, file + status.at + 4, sizeof skip);
        at = status.at + 16 + skip;
    }
    rw_play_free(play);
    rw_free(card);
    free(room);
    free(file);
    return 0;
}
