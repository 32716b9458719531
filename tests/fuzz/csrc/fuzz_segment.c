/* A hostile sender: contexts and data descriptors of segmentation and checksums, over headers that are often right. */
#include "guest.h"
#include "transmit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DATA 0x1000u
#define DATA_DESCRIPTOR (RW_TXD_DEXT | 1u << 20)
#define LONGEST 0xffffu /* bytes a frame may have that nobody segmented */

/* An IPv4 or IPv6 frame with TCP or UDP, of which the input changes some bytes. Returns where its payload begins. */
static uint32_t a_packet(struct input *input, uint8_t *at)
{
    static const uint8_t ethernet[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
    const uint32_t kind = take(input, 1), tagged = kind & 1 ? 4 : 0, options = (kind >> 1 & 3) * 4;
    const bool six = kind & 8, udp = kind & 16;
    const uint32_t ip = 14 + tagged, transport = ip + (six ? 40 : 20 + options);

    memcpy(at, ethernet, sizeof ethernet);
    if (tagged)
        memcpy(at + 12, (const uint8_t[]){0x81, 0, 0, 7}, 4);
    memcpy(at + ip - 2, six ? (const uint8_t[]){0x86, 0xdd} : (const uint8_t[]){8, 0}, 2);
    at[ip] = six ? 0x60 : (uint8_t)(0x45 + options / 4);
    at[ip + (six ? 6 : 9)] = udp ? 17 : 6;
    at[transport + 12] = 0x50;
    for (uint32_t changes = take(input, 1) & 7; changes; changes--)
        at[take(input, 1) % 128] = (uint8_t)take(input, 1);
    return transport + (udp ? 8 : 20);
}

static void put(uint8_t *ram, uint32_t slot, uint64_t low, uint32_t command, uint32_t high)
{
    uint32_t words[2] = {command, high};

    memcpy(ram + slot % 64 * RW_DESC_BYTES, &low, sizeof low);
    memcpy(ram + slot % 64 * RW_DESC_BYTES + 8, words, sizeof words);
}

static uint32_t a_context(struct input *input, uint8_t *ram, uint32_t slot, uint32_t header)
{
    const uint32_t how = take(input, 1);
    const uint32_t ip = 14, transport = header > 34 ? header - 20 : 34;
    uint64_t low = ip | (uint64_t)(ip + 10) << 8 | (uint64_t)(transport - 1) << 16 | (uint64_t)transport << 32 |
                   (uint64_t)(transport + 16) << 40;
    uint32_t command = RW_TXD_DEXT | take(input, 1) << 24;
    uint32_t mss = how & 16 ? take(input, 2) : 100 + (how & 15) * 97;

    if (how & 32)
        low ^= (uint64_t)take(input, 4) << (how >> 6) * 10;
    command |= (how & 64 ? take(input, 3) & 0xfffff : 3000);
    put(ram, slot, low, command, (how & 128 ? take(input, 1) : header) << 8 | mss << 16);
    return slot + 1;
}

/* What was sent lies in the effects, record by record, and no frame is longer than a wire's. */
static void check_effects(rw_card *card)
{
    size_t length, at = 0;
    const uint8_t *bytes = rw_effects(card, &length);

    while (at < length) {
        struct rw_effect effect;

        if (length - at < sizeof effect)
            abort();
        memcpy(&effect, bytes + at, sizeof effect);
        if (effect.length > length - at - sizeof effect)
            abort();
        if (effect.kind == RW_FRAME_SENT && effect.length > LONGEST + 256)
            abort();
        at += sizeof effect + (effect.length + 7u) / 8u * 8u;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    rw_card *card = rw_new(take(&input, 1) & 1);
    uint8_t *ram = calloc(1, GUEST_BYTES);

    if (!card || !ram)
        abort();
    rw_dma_map(card, GUEST_IOVA, GUEST_BYTES, ram, RW_DMA_READ | RW_DMA_WRITE);
    guest_setup(card);
    for (int frames = 0; input.left && frames < 16; frames++) {
        const uint32_t start = rw_read(card, RW_TDT0), header = a_packet(&input, ram + DATA);
        uint32_t slot = a_context(&input, ram, start, header);

        for (uint32_t parts = 1 + take(&input, 1) % 6; parts; parts--) {
            const uint32_t where = take(&input, 1) ? DATA : DATA + take(&input, 2) % GUEST_BYTES;
            const uint32_t length = take(&input, 1) & 3 ? take(&input, 2) & 0xfff : header;
            const uint32_t command = DATA_DESCRIPTOR | take(&input, 1) << 24;

            put(ram, slot++, GUEST_IOVA + where, command | length | (parts == 1 ? RW_TXD_EOP : 0),
                take(&input, 1) << 8 | take(&input, 2) << 16);
        }
        rw_write(card, RW_TDT0, slot % 64);
        rw_run(card);
        check_effects(card);
        rw_effects_forget(card);
    }
    rw_free(card);
    free(ram);
    return 0;
}
