/* Recordings read by C: for now, a survey of a block. */
#include <endian.h>
#include <string.h>

#include "core.h"

#define HEADER_BYTES 16u

int64_t rw_records_survey(const uint8_t *records, size_t length, uint32_t *last)
{
    int64_t count = 0;

    *last = 0;
    while (length) {
        uint32_t data;

        if (length < HEADER_BYTES)
            return -1;
        memcpy(&data, records + 4, sizeof data);
        data = le32toh(data);
        if (data > length - HEADER_BYTES)
            return -1;
        *last = records[0];
        records += HEADER_BYTES + data;
        length -= HEADER_BYTES + data;
        count++;
    }
    return count;
}
