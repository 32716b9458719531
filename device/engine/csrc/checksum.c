/* See checksum.h. Sums are of native words, folded and swapped at the end (RFC 1071, section 2). */
#include "checksum.h"

#include <endian.h>
#include <pthread.h>
#include <string.h>

static uint64_t add64(uint64_t a, uint64_t b)
{
    const uint64_t sum = a + b;

    return sum + (sum < a);
}

static uint32_t fold(uint64_t value)
{
    while (value >> 16)
        value = (value & 0xffff) + (value >> 16);
    return (uint32_t)value;
}

/* The sum of the 16-bit words in memory order, in the machine's order. */
static uint32_t native_sum(const uint8_t *data, uint32_t length)
{
    uint64_t sum = 0, more = 0;

    for (; length >= 16; data += 16, length -= 16) {
        uint64_t a, b;

        memcpy(&a, data, 8);
        memcpy(&b, data + 8, 8);
        sum = add64(sum, a);
        more = add64(more, b);
    }
    sum = add64(sum, more);
    for (; length >= 2; data += 2, length -= 2) {
        uint16_t word;

        memcpy(&word, data, 2);
        sum = add64(sum, word);
    }
    if (length) {
        uint16_t word = 0;

        memcpy(&word, data, 1);
        sum = add64(sum, word);
    }
    return fold(sum);
}

void rw_sum_add(struct rw_sum *sum, const uint8_t *data, uint32_t length)
{
    uint32_t part = be16toh((uint16_t)native_sum(data, length));

    if (sum->odd)
        part = (part << 8 | part >> 8) & 0xffff;
    sum->value += part;
    sum->odd ^= length & 1;
}

uint32_t rw_sum_fold(const struct rw_sum *sum)
{
    return fold(sum->value);
}

uint32_t rw_ones_sum(const uint8_t *data, uint32_t length, uint32_t initial)
{
    struct rw_sum sum = {initial, false};

    rw_sum_add(&sum, data, length);
    return rw_sum_fold(&sum);
}

bool rw_sum_insert(uint8_t *frame, uint32_t size, uint32_t start, uint32_t end, uint32_t where, uint32_t add)
{
    uint32_t value;

    if (end > size)
        end = size;
    if (start >= end || where + 2 > size)
        return false;
    value = 0xffff ^ rw_ones_sum(frame + start, end - start, add);
    if (value == 0 && where == start + 6) /* UDP's: zero would say "none" (RFC 768) */
        value = 0xffff;
    frame[where] = (uint8_t)(value >> 8);
    frame[where + 1] = (uint8_t)value;
    return true;
}

static uint32_t crc_table[256];

static void make_crc_table(void)
{
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t crc = n;

        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
        crc_table[n] = crc;
    }
}

/* IEEE 802.3, 3.2.9. `before`: the FCS of what went before, 0 at the start. */
uint32_t rw_fcs(uint32_t before, const uint8_t *data, uint32_t length)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    uint32_t crc = ~before;

    pthread_once(&once, make_crc_table);
    for (uint32_t n = 0; n < length; n++)
        crc = crc >> 8 ^ crc_table[(crc ^ data[n]) & 0xff];
    return ~crc;
}
