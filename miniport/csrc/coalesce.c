/* Receive segment coalescing over a ring. The Python twin is coalescing.py: the rules, their source and the
 * reasons are there. Nothing is allocated, nothing calls back; two passes over what the card is done with: the first
 * finds out which frames belong together, the second copies them to the room. In between, a card that breaks its word
 * may write to the frames, and another thread may switch coalescing off: the second pass trusts nothing of the first
 * but slots.
 */
#include "coalesce.h"

#include <string.h>

enum {
    DESCRIPTOR = 16,
    STAGE = 2048,
    DD = 1,
    EOP = 2,
    IXSM = 4,
    TCPCS = 1 << 5,
    IPCS = 1 << 6,
    OPEN_UNITS = 8,
    ETHERNET = 14,
    LARGEST_IP = 0xFFFF,
    TCP = 6,
    FLAG_ACK = 0x10,
    FLAG_PSH = 0x08,
};

/* A TCP segment in a frame; offsets from the frame's first byte. */
struct segment {
    const uint8_t *frame;
    uint32_t tcp, payload, end;
    int plain;
};

/* A unit that may go on. */
struct open_unit {
    struct segment head;
    uint32_t unit, next_sequence, size;
};

enum found { OTHER, NEUTRAL, SEGMENT };

static uint32_t get16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }
static uint32_t get32(const uint8_t *at) { return get16(at) << 16 | get16(at + 2); }

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint32_t load32(const uint8_t *at)
{
    /* The card writes it: a plain load could be hoisted out of a loop. */
    return __atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_ACQUIRE);
}

static uint32_t after(const struct mp_rsc *rsc, uint32_t slot)
{
    return slot + 1 < rsc->count ? slot + 1 : 0;
}

static uint8_t *descriptor_of(const struct mp_rsc *rsc, uint32_t slot)
{
    return rsc->ring + (size_t)slot * DESCRIPTOR;
}

static uint32_t length_of(const struct mp_rsc *rsc, uint32_t slot)
{
    const uint8_t *descriptor = descriptor_of(rsc, slot);
    const uint32_t length = (uint32_t)descriptor[12] | (uint32_t)descriptor[13] << 8;

    return length < STAGE ? length : STAGE;
}

static void arm(struct mp_rsc *rsc, uint32_t slot)
{
    const uint64_t words[2] = {rsc->addresses[slot], 0};

    memcpy(descriptor_of(rsc, slot), words, sizeof words);
}

/* Give the card every slot but one. The caller rings. */
void mp_rsc_arm(struct mp_rsc *rsc)
{
    for (uint32_t slot = 0; slot < rsc->count; slot++)
        arm(rsc, slot);
    rsc->next = 0;
    rsc->tail = rsc->count - 1;
}

/* --- what a frame is */

static int is_neutral(const uint8_t *frame, uint32_t length)
{
    const uint32_t kind = get16(frame + 12);
    uint8_t protocol;

    if (kind == 0x0806)
        return 1;
    if (kind == 0x0800 && length >= 34 && frame[14] == 0x45)
        protocol = frame[23];
    else if (kind == 0x86DD && length >= 54)
        protocol = frame[20];
    else
        return 0;
    return protocol == 17 || protocol == 1 || protocol == 58;
}

static int has_plain_options(const uint8_t *tcp, uint32_t size)
{
    static const uint8_t timestamp[4] = {1, 1, 8, 10};

    return size == 20 || (size == 32 && !memcmp(tcp + 20, timestamp, sizeof timestamp));
}

static enum found parse(const struct mp_rsc *rsc, const uint8_t *frame, uint32_t length, struct segment *out)
{
    const enum found other = length >= ETHERNET && is_neutral(frame, length) ? NEUTRAL : OTHER;
    uint32_t kind, flags, size;

    if (length < ETHERNET + 40)
        return other;
    kind = get16(frame + 12);
    if (kind == 0x0800 && rsc->v4) {
        if (frame[14] != 0x45 || frame[20] & 0x3F || frame[21] || frame[23] != TCP)
            return other;
        out->tcp = 34;
        out->end = ETHERNET + get16(frame + 16);
    } else if (kind == 0x86DD && rsc->v6) {
        if (length < 74 || frame[14] >> 4 != 6 || frame[20] != TCP)
            return other;
        out->tcp = 54;
        out->end = 54 + get16(frame + 18);
    } else {
        return other;
    }
    size = (uint32_t)(frame[out->tcp + 12] >> 4) * 4;
    if (size < 20 || out->tcp + size > out->end || out->end > length)
        return other;
    out->frame = frame;
    out->payload = out->tcp + size;
    flags = get16(frame + out->tcp + 12) & 0x1FF;
    out->plain = (flags & ~(uint32_t)FLAG_PSH) == FLAG_ACK && out->end > out->payload &&
                 has_plain_options(frame + out->tcp, size);
    return SEGMENT;
}

static int same_flow(const struct segment *a, const struct segment *b)
{
    const uint32_t at = a->tcp == 34 ? 26 : 22;

    /* Addresses and ports lie one behind the other. */
    return a->tcp == b->tcp && !memcmp(a->frame + at, b->frame + at, a->tcp + 4 - at);
}

static int same_headers(const struct segment *a, const struct segment *b)
{
    const uint8_t *x = a->frame, *y = b->frame, *tx = x + a->tcp, *ty = y + b->tcp;
    const int network = a->tcp == 34 ? !memcmp(x, y, 16) && !memcmp(x + 20, y + 20, 3)
                                     : !memcmp(x, y, 18) && x[21] == y[21];

    return network && !memcmp(tx + 8, ty + 8, 5) && a->payload == b->payload &&
           !memcmp(tx + 20, ty + 20, a->payload - a->tcp - 20);
}

static int continues(const struct open_unit *open, const struct segment *next)
{
    const struct segment *head = &open->head;

    return next->plain && get32(next->frame + next->tcp + 4) == open->next_sequence &&
           next->end - next->payload <= head->end - head->payload && same_headers(head, next);
}

static int fits(const struct open_unit *open, const struct segment *next)
{
    return open->head.payload - ETHERNET + open->size + next->end - next->payload <= LARGEST_IP;
}

/* --- first pass: which frames belong together */

struct table {
    struct open_unit entries[OPEN_UNITS]; /* oldest first */
    uint32_t count;
};

static void close_entry(struct table *table, uint32_t at)
{
    table->count--;
    memmove(table->entries + at, table->entries + at + 1, (table->count - at) * sizeof *table->entries);
}

static void open_entry(struct table *table, const struct segment *head, uint32_t unit)
{
    struct open_unit *entry;

    if (table->count == OPEN_UNITS)
        close_entry(table, 0);
    entry = table->entries + table->count++;
    entry->head = *head;
    entry->unit = unit;
    entry->size = head->end - head->payload;
    entry->next_sequence = get32(head->frame + head->tcp + 4) + entry->size;
}

/* Join the frame in `slot` to a unit that it continues; 0 when it begins one of its own. */
static int place(struct mp_rsc *rsc, struct table *table, const struct segment *segment, uint32_t slot)
{
    for (uint32_t at = 0; at < table->count; at++) {
        struct open_unit *entry = table->entries + at;
        struct mp_unit *unit = rsc->units + entry->unit;
        const uint32_t length = segment->end - segment->payload;

        int goes_on;

        if (!same_flow(&entry->head, segment))
            continue;
        goes_on = continues(entry, segment);
        if (!goes_on || !fits(entry, segment)) {
            rsc->aborts += !goes_on; /* a unit that is full is no exception */
            close_entry(table, at);
            return 0;
        }
        rsc->following[unit->last] = slot;
        unit->last = slot;
        if (!unit->segments) {
            unit->segments = 1;
            unit->segment_bytes = (uint16_t)entry->size;
            rsc->events++;
            rsc->coalesced++;
            rsc->octets += entry->size;
        }
        unit->segments++;
        rsc->coalesced++;
        rsc->octets += length;
        entry->size += length;
        entry->next_sequence += length;
        if (length < entry->head.end - entry->head.payload)
            close_entry(table, at);
        return 1;
    }
    return 0;
}

static int is_verified(const struct segment *segment, uint32_t status, uint32_t errors)
{
    const uint32_t wanted = segment->tcp == 34 ? TCPCS | IPCS : TCPCS;

    return !(status & IXSM) && (status & wanted) == wanted && !errors;
}

static void begin_unit(struct mp_rsc *rsc, struct mp_unit *unit, uint32_t first, uint32_t last)
{
    const uint8_t *told = descriptor_of(rsc, last); /* what the card says of a frame is in its last descriptor */
    const uint32_t status = load32(told + 8);

    memset(unit, 0, sizeof *unit);
    unit->first = first;
    unit->last = last;
    unit->status = status & 0xFFFFF;
    unit->errors = (uint8_t)(status >> 24);
    unit->hash_type = told[0] & 0xF;
    memcpy(&unit->hash, told + 4, 4);
    unit->vlan = (uint16_t)(told[14] | told[15] << 8);
}

/* The last slot of the frame that begins at `slot`, or count when its end has not come. */
static uint32_t end_of_frame(const struct mp_rsc *rsc, uint32_t slot)
{
    for (; slot != rsc->tail; slot = after(rsc, slot)) {
        const uint32_t status = load32(descriptor_of(rsc, slot) + 8);

        if (!(status & DD))
            return rsc->count;
        if (status & EOP)
            return slot;
    }
    return rsc->tail; /* the whole ring and no end: nothing is that long */
}

/* The first pass: which frames belong together, of about `budget` descriptors. Nothing is copied yet. */
uint32_t mp_rsc_find(struct mp_rsc *rsc, uint32_t budget)
{
    struct table table = {.count = 0};
    uint32_t units = 0, looked = 0;

    while (looked < budget && rsc->next != rsc->tail) {
        const uint32_t first = rsc->next, last = end_of_frame(rsc, first);
        struct segment segment;
        enum found found = OTHER;
        uint32_t slot, length, word;

        if (last == rsc->count)
            break;
        length = length_of(rsc, first); /* not before DD was seen: until then the card writes there */
        word = load32(descriptor_of(rsc, first) + 8);
        for (slot = first; slot != last; slot = after(rsc, slot), looked++)
            rsc->following[slot] = after(rsc, slot);
        rsc->next = after(rsc, last);
        looked++;
        if (last == rsc->tail) { /* see end_of_frame: the slots go back to the card with nothing told */
            rsc->next = rsc->tail;
            rsc->dropped++;
            break;
        }
        rsc->following[last] = rsc->count;
        if (first == last && !(word >> 24 & 0xFF) && length >= ETHERNET)
            found = parse(rsc, rsc->buffers[first], length, &segment);
        if (found == SEGMENT && !is_verified(&segment, word, word >> 24))
            found = OTHER;
        if (found == OTHER)
            table.count = 0; /* it may belong to any flow: nothing overtakes it */
        if (found == SEGMENT && place(rsc, &table, &segment, first))
            continue;
        begin_unit(rsc, rsc->units + units, first, last);
        if (found == SEGMENT && segment.plain)
            open_entry(&table, &segment, units);
        units++;
    }
    return units;
}

/* --- second pass: the bytes */

/* Ones' complement sums are sums modulo 0xFFFF: a carry wraps. */
static uint32_t sum(const uint8_t *at, uint32_t length)
{
    uint64_t total = 0;

    for (uint32_t n = 0; n + 1 < length; n += 2)
        total += get16(at + n);
    return (uint32_t)(total % 0xFFFF);
}

static uint32_t pseudo_sum(const struct segment *segment, uint32_t size)
{
    const uint32_t at = segment->tcp == 34 ? 26 : 22;

    return (sum(segment->frame + at, segment->tcp - at) + TCP + size) % 0xFFFF;
}

/* The payload's sum, from the segment's own checksum, which the card has found right: all is then 0 modulo 0xFFFF. */
static uint32_t payload_sum(const struct segment *segment)
{
    const uint32_t header = sum(segment->frame + segment->tcp, segment->payload - segment->tcp);

    return (2 * 0xFFFF - header - pseudo_sum(segment, segment->end - segment->tcp)) % 0xFFFF;
}

/* Headers are never all zero, so a sum of 0 modulo 0xFFFF is 0xFFFF: its complement is 0. */
static uint32_t complement(uint32_t value) { return value ? 0xFFFF - value : 0; }

static void finish(uint8_t *frame, const struct segment *head, uint32_t payload, uint32_t payload_total)
{
    const uint32_t tcp = head->tcp, size = head->payload - tcp + payload;
    struct segment whole = *head;

    whole.frame = frame;
    if (tcp == 34) {
        put16(frame + 16, 20 + size);
        put16(frame + 24, 0);
        put16(frame + 24, complement(sum(frame + 14, 20)));
    } else {
        put16(frame + 18, size);
    }
    put16(frame + tcp + 16, 0);
    put16(frame + tcp + 16,
          complement((sum(frame + tcp, head->payload - tcp) + pseudo_sum(&whole, size) + payload_total) % 0xFFFF));
}

static uint32_t copy_slot(const struct mp_rsc *rsc, uint32_t slot, uint8_t *to)
{
    const uint32_t length = length_of(rsc, slot);

    memcpy(to, rsc->buffers[slot], length);
    return length;
}

/* What was found is no longer there: tell the first frame as it came, and drop the others. */
static uint32_t copy_changed(struct mp_rsc *rsc, struct mp_unit *unit, uint8_t *to)
{
    rsc->dropped += unit->segments - 1u;
    unit->segments = 0;
    return copy_slot(rsc, unit->first, to);
}

static uint32_t copy_joined(struct mp_rsc *rsc, struct mp_unit *unit, uint8_t *to)
{
    struct segment head, next;
    uint32_t at, total;

    if (parse(rsc, rsc->buffers[unit->first], length_of(rsc, unit->first), &head) != SEGMENT)
        return copy_changed(rsc, unit, to);
    memcpy(to, head.frame, head.end);
    at = head.end;
    total = payload_sum(&head);
    for (uint32_t slot = rsc->following[unit->first]; slot < rsc->count; slot = rsc->following[slot]) {
        const uint32_t odd = (at - head.payload) & 1;
        uint32_t one;

        if (parse(rsc, rsc->buffers[slot], length_of(rsc, slot), &next) != SEGMENT)
            return copy_changed(rsc, unit, to);
        memcpy(to + at, next.frame + next.payload, next.end - next.payload);
        at += next.end - next.payload;
        one = payload_sum(&next);
        total = (total + (odd ? one * 256 % 0xFFFF : one)) % 0xFFFF; /* at an odd place bytes change columns */
        to[head.tcp + 13] |= next.frame[next.tcp + 13] & FLAG_PSH;
        memcpy(to + head.tcp + 14, next.frame + next.tcp + 14, 2); /* the window is the last one's */
    }
    finish(to, &head, at - head.payload, total);
    return at;
}

static uint32_t copy_whole(const struct mp_rsc *rsc, const struct mp_unit *unit, uint8_t *to)
{
    uint32_t at = 0;

    for (uint32_t slot = unit->first; slot < rsc->count; slot = rsc->following[slot])
        at += copy_slot(rsc, slot, to + at);
    return at;
}

/* The second pass: lay `units` units in the room. */
void mp_rsc_copy(struct mp_rsc *rsc, uint32_t units)
{
    uint32_t used = 0;

    for (uint32_t n = 0; n < units; n++) {
        struct mp_unit *unit = rsc->units + n;

        unit->at = used;
        unit->length = unit->segments ? copy_joined(rsc, unit, rsc->room + used)
                                      : copy_whole(rsc, unit, rsc->room + used);
        used += unit->length;
    }
}

/* Give the card as many slots as were taken since `next` was `begin`. */
void mp_rsc_rearm(struct mp_rsc *rsc, uint32_t begin)
{
    for (uint32_t slot = begin; slot != rsc->next; slot = after(rsc, slot)) {
        arm(rsc, rsc->tail);
        rsc->tail = after(rsc, rsc->tail);
    }
}

/* Take what the card is done with, at most `budget` descriptors (a frame is never cut); return how many units there
 * are now in `units`. Their bytes stay in the room until the next call. The caller rings with `tail`. */
uint32_t mp_rsc_burst(struct mp_rsc *rsc, uint32_t budget)
{
    const uint32_t begin = rsc->next, units = mp_rsc_find(rsc, budget);

    mp_rsc_copy(rsc, units);
    mp_rsc_rearm(rsc, begin);
    return units;
}
