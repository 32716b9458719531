/*
 * A hostile guest on a card with everything attached: a wire of each framing that may be full, eventfds, memory in a
 * file that is cut short, in one region or in scraps, with parts that only a callback reaches, and a recorder.
 * A program of program.h; the first instruction says what card it is.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "access.h"
#include "failing.h"
#include "guest.h"
#include "mapped.h"
#include "program.h"
#include "receive.h"
#include "record.h"
#include "threads.h"
#include "timer.h"
#include "transmit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAM = 0x40000, TX_RING = 0x0000, RX_RING = 0x4000, TX_DATA = 0x10000, RX_DATA = 0x20000, RING = 256 };
enum { DATA_DESCRIPTOR = RW_TXD_DEXT | 1 << 20, SLOW_IOVA = 0x4000000, MOST_STEPS = 96 };

static const uint32_t registers[] = {
    RW_RCTL,   RW_TCTL,   RW_RFCTL,  RW_PSRCTL,  RW_RXCSUM, RW_MRQC,   RW_VET,    RW_FCT,    RW_FCAL,  RW_FCAH,
    RW_FCRTH,  RW_FCRTL,  RW_FCTTV,  RW_RDTR,    RW_TIDV,   RW_TADV,   RW_RADV,   RW_RAID,   RW_RSRPD, RW_TXDCTL0,
    RW_IVAR,   RW_IMS,    RW_IMC,    RW_ICR,     RW_ICS,    RW_EIAC,   RW_IAM,    RW_ITR,    RW_EITR,  RW_RETA,
    RW_RSSRK,  RW_TARC0,  RW_TARC1,  RW_TDH0,    RW_RDH0,   RW_TDLEN0, RW_RDLEN0, RW_TDBAL0, RW_RDBAL0, RW_TDBAH0,
    RW_RDBAH0, RW_TDT0,   RW_RDT0,   RW_RAL,     RW_RAH,    RW_MTA,    RW_VFTA,   RW_GPRC,   RW_GORCL, RW_GORCH,
    RW_WUS,    RW_WUPL,   RW_PBA,    RW_SYSTIML, RW_SYSTIMH, RW_TIMINCA, RW_TIMADJL, RW_TIMADJH, RW_TSYNCRXCTL,
    RW_TSYNCTXCTL, RW_RXMTRL, RW_RXUDP, RW_RXSTMPL, RW_RXSTMPH, RW_TXSTMPL, RW_TXSTMPH, RW_RXSATRL, RW_FFLT, RW_CTRL,
};

struct bench {
    rw_card *card;
    uint8_t *ram, *slow;
    int memory, pair[2], interrupt, tape, framing;
    bool recorded;
    uint32_t tail[RW_QUEUES];
};

static int slow_dma(void *context, uint64_t address, uint32_t length, void *data, int write)
{
    struct bench *bench = context;
    const uint64_t at = address - SLOW_IOVA;

    if (at >= RAM || length > RAM - at)
        return 1;
    if (write)
        memcpy(bench->slow + at, data, length);
    else
        memcpy(data, bench->slow + at, length);
    return at % 4096 == 4095; /* one byte in each page is not to be had */
}

/* An access of the guest, in the order that a recording has. */
static void store(struct bench *bench, uint32_t offset, uint32_t value)
{
    if (offset == RW_CTRL)
        rw_poke(bench->card, offset, value | RW_CTRL_SLU);
    else if (rw_access_write(bench->card, offset, value))
        return;
    rw_slow_mode = RW_SLOW_ALLOWED; /* as Python does it again */
    if (offset != RW_CTRL)
        rw_write(bench->card, offset, value);
    rw_run(bench->card);
}

static void enter(struct bench *bench)
{
    if (bench->recorded)
        rw_record_enter(bench->card);
}

static void leave(struct bench *bench)
{
    if (bench->recorded)
        rw_record_leave(bench->card);
}

/* -- memory ---------------------------------------------------------------------------------------------------- */

static void map(struct bench *bench, const struct instruction *how)
{
    uint64_t state = how->y * 2 + 1;

    rw_dma_map(bench->card, SLOW_IOVA, RAM, NULL, RW_DMA_READ | RW_DMA_WRITE);
    if (how->b & 1) {
        rw_dma_map(bench->card, GUEST_IOVA, RAM, bench->ram, RW_DMA_READ | RW_DMA_WRITE);
        return;
    }
    for (uint64_t at = 0; at < RAM;) { /* in scraps, a few of them for reading or writing alone */
        const uint32_t pick = program_random(&state);
        uint64_t length = pick % 4 ? 0x1000 : 1 + pick % 3000;

        length = length < RAM - at ? length : RAM - at;
        rw_dma_map(bench->card, GUEST_IOVA + at, length, bench->ram + at, pick >> 8 & 15 ? 3 : 1 + (int)(pick >> 12 & 1));
        at += length;
    }
}

static void hear(struct bench *bench);
static void put(struct bench *bench, uint32_t queue, uint64_t first, uint32_t low, uint32_t high);

static void cut(struct bench *bench, const struct instruction *how)
{
    if (ftruncate(bench->memory, (off_t)(how->a % 64) * 4096))
        abort();
    store(bench, RW_TDT0, how->b);
    store(bench, RW_RDT0, how->c);
    if (how->c & 1 && bench->framing == RW_FRAMING_DATAGRAM) { /* a frame for a buffer that is gone */
        uint8_t frame[200] = {[0 ... 11] = 0xff};

        (void)!send(bench->pair[1], frame, sizeof frame, MSG_DONTWAIT | MSG_NOSIGNAL);
        hear(bench);
    }
    if (ftruncate(bench->memory, RAM))
        abort();
}

/* Frames of any length round the loop, runts too, into buffers that may be gone. */
static void loop_round(struct bench *bench, const struct instruction *how)
{
    rw_set_loopback(bench->card, true);
    store(bench, RW_TCTL, RW_TCTL_EN);
    store(bench, RW_RCTL, RW_RCTL_EN | RW_RCTL_UPE | RW_RCTL_BAM | (how->a & 1 ? RW_RCTL_SBP : 0));
    put(bench, 0, GUEST_IOVA + TX_DATA, (how->b % 64 + 1) | RW_TXD_EOP | RW_TXD_IFCS, 0);
    if (how->c & 1 && ftruncate(bench->memory, TX_DATA + 4096))
        abort();
    store(bench, RW_TDT0, bench->tail[0]);
    if (ftruncate(bench->memory, RAM))
        abort();
    rw_set_loopback(bench->card, false);
}

/* -- frames ---------------------------------------------------------------------------------------------------- */

/* The start of a packet of some kind at `at`; returns its headers' length. */
static uint32_t a_packet(uint8_t *at, uint32_t kind, uint32_t length)
{
    const bool six = kind & 1, udp = kind & 2, tagged = kind & 4;
    const uint32_t ip = tagged ? 18 : 14, options = six ? 0 : (kind >> 3 & 1) * 4;
    const uint32_t transport = ip + (six ? 40 : 20 + options), header = transport + (udp ? 8 : 20);

    memset(at, kind & 16 ? 0xff : 2, 12);
    if (tagged)
        memcpy(at + 12, (const uint8_t[]){0x81, 0, 0x10, 7}, 4);
    memcpy(at + ip - 2, six ? (const uint8_t[]){0x86, 0xdd} : (const uint8_t[]){8, 0}, 2);
    memset(at + ip, 0, header - ip);
    at[ip] = six ? 0x60 : (uint8_t)(0x45 + options / 4);
    length = length > header ? length : header;
    if (six) {
        at[ip + 4] = (uint8_t)((length - ip - 40) >> 8);
        at[ip + 5] = (uint8_t)(length - ip - 40);
    } else {
        at[ip + 2] = (uint8_t)((length - ip) >> 8);
        at[ip + 3] = (uint8_t)(length - ip);
        at[ip + 6] = kind & 32 ? 0x20 : 0;
    }
    at[ip + (six ? 6 : 9)] = udp ? 17 : 6;
    if (six && kind & 32 && length > header + 64) { /* extension headers in place of the transport's */
        static const uint8_t chains[][3] = {{0, 60, 43}, {44, 17, 6}, {43, 44, 60}, {60, 60, 59}};
        const uint8_t *chain = chains[kind >> 6 & 3];

        at[ip + 6] = chain[0];
        for (uint32_t n = 0; n < 2; n++) { /* 24 bytes each: a routing header of type 2, a home address option */
            uint8_t *extension = at + transport + n * 24;

            memset(extension, 0, 24);
            extension[0] = chain[n + 1];
            extension[1] = 2;
            extension[2] = chain[n] == 43 ? 2 : kind & 8 ? 0xc9 : 0;
            extension[3] = chain[n] == 43 ? 1 : 16;
        }
        return header;
    }
    at[transport] = 1;
    at[transport + 2] = 1;
    at[transport + 3] = 0x3f; /* PTP's event port */
    at[transport + (udp ? 5 : 12)] = udp ? (uint8_t)(length - transport) : 0x50;
    if (!udp)
        at[transport + 13] = 0x10;
    return header;
}

static void put(struct bench *bench, uint32_t queue, uint64_t first, uint32_t low, uint32_t high)
{
    uint8_t *at = bench->ram + TX_RING + queue * 0x1000 + bench->tail[queue] * RW_DESC_BYTES;
    const uint32_t words[2] = {low, high};

    memcpy(at, &first, sizeof first);
    memcpy(at + 8, words, sizeof words);
    bench->tail[queue] = (bench->tail[queue] + 1) % RING;
}

/* A frame in up to 255 pieces, with what the flags ask for. */
static void send_chain(struct bench *bench, const struct instruction *how)
{
    /* about as many as a queue keeps apart, and that many more (RW_FRAGS) */
    static const uint8_t edges[] = {1, 2, 3, 62, 63, 64, 65, 66, 67, 126, 127, 128, 129, 190, 191, 192};
    const uint32_t queue = how->y >> 63, flags = how->c;
    const uint32_t pieces = how->b & 1 ? edges[how->b / 2 % sizeof edges] : how->b % 255 + 1;
    const uint32_t length = 1 + how->x % (how->x >> 31 ? 5000 : 97), stride = length + (how->x >> 8 & 3) * 13;
    const uint32_t header = a_packet(bench->ram + TX_DATA, how->a, pieces * length);
    const uint32_t ip = how->a & 4 ? 18 : 14, transport = header - (how->a & 2 ? 8 : 20);
    const uint32_t mss = how->x >> 9 & 2047;
    const bool segment = flags & 1, legacy = flags & 2 && how->x >> 30 & 1, slow = (how->y >> 60 & 7) == 7;
    uint64_t context = ip | (uint64_t)(ip + 10) << 8 | (uint64_t)(transport - 1) << 16 | (uint64_t)transport << 32 |
                       (uint64_t)(transport + (how->a & 2 ? 6 : 16)) << 40;
    uint32_t command = (uint32_t)(flags & 4 ? RW_TXD_VLE : 0) | (flags & 8 ? 0 : RW_TXD_IFCS) | RW_TXD_RS;

    if (flags & 128)
        context ^= how->y & 0xffffffffffffull;
    if (!legacy) {
        put(bench, queue, context,
            RW_TXD_DEXT | (segment ? RW_TXD_TSE : 0) | (how->a & 2 ? 0 : RW_TUCMD_TCP << 24) |
                (how->a & 1 ? 0 : RW_TUCMD_IP << 24),
            (how->a & 64 ? (uint32_t)(how->y & 255) : header) << 8 | mss << 16);
        command |= DATA_DESCRIPTOR | (segment ? RW_TXD_TSE : 0);
    } else if (flags & 16) {
        command |= RW_TXD_IC | (uint32_t)(how->y & 255) << 16;
    }
    for (uint32_t n = 0; n < pieces; n++) {
        const uint64_t where = (slow && n % 3 == 1 ? SLOW_IOVA : GUEST_IOVA) + (TX_DATA + (uint64_t)n * stride) % RAM;
        uint32_t high = (flags >> 5 & 3) << 8 | how->x << 16 | (how->a & 128 ? RW_TXD_STAMP : 0);

        if (legacy)
            high = (uint32_t)(how->y >> 8 & 255) << 8 | how->x << 16;
        put(bench, queue, where, command | length | (n + 1 == pieces ? RW_TXD_EOP : 0) | (n % 7 ? 0 : RW_TXD_IDE), high);
    }
    store(bench, RW_TDT0 + queue * RW_QUEUE_STRIDE, bench->tail[queue]);
}

static void hear(struct bench *bench)
{
    struct rw_rx_outcome outcome = {0};
    struct rw_offload offload;
    int32_t length;

    if (bench->recorded) {
        while (rw_record_frame(bench->card))
            ;
        return;
    }
    pthread_mutex_lock(&bench->card->rx_lock);
    for (int n = 0; n < 32 && (length = rw_wire_read(bench->card, &offload)) > 0; n++)
        rw_rx_frame_locked(bench->card, bench->card->rx_frame, (uint32_t)length,
                           offload.needs_csum ? &offload : NULL, &outcome);
    pthread_mutex_unlock(&bench->card->rx_lock);
    rw_rx_announce(bench->card, &outcome);
}

/* Frames from the wire's far end. */
static void arrive(struct bench *bench, const struct instruction *how)
{
    static uint8_t message[RW_WIRE_HEADER_BYTES + 20100];
    static const uint8_t others[][4] = {{0x88, 8, 0, 1}, {0x88, 0xf7, 0, 2}, {0x88, 0xf7, 0x10, 2}, {8, 6, 0, 1},
                                        {0, 46, 0xaa, 0xaa}, {0x81, 0, 0x10, 7}, {0x86, 0xdd, 0x60, 0}, {8, 0, 0x4f, 0}};
    const uint32_t length = how->x % (how->x >> 30 ? 1600 : 20000) + (how->x >> 29 & 1 ? 0 : 14);
    uint64_t state = how->y * 2 + 1;
    uint8_t *frame = message;
    uint32_t prefix = 0;

    if (bench->framing == RW_FRAMING_VNET) {
        const uint16_t numbers[4] = {0, 0, (uint16_t)(how->y & 127), (uint16_t)(how->y >> 8 & 31)};

        prefix = 10;
        message[0] = how->c & 1;
        message[1] = how->c & 128 ? 1 : 0;
        memcpy(message + 2, numbers, sizeof numbers);
    } else if (bench->framing == RW_FRAMING_STREAM) {
        const uint32_t said = __builtin_bswap32(how->c & 64 ? (uint32_t)how->y : length);

        prefix = 4;
        memcpy(message, &said, sizeof said);
    }
    frame += prefix;
    for (uint32_t n = 0; n < length && n < 256; n++)
        frame[n] = (uint8_t)program_random(&state);
    if (length >= 100 && !(how->c & 2))
        a_packet(frame, how->a, length);
    else if (length >= 18)
        memcpy(frame + 12, others[how->a & 7], 4);
    if (length >= 18 && how->c & 4)
        memset(frame, 0xff, 12);
    if (length >= 22 && how->c & 8) /* to the flow control address, of the type that the driver set */
        memcpy(frame, (const uint8_t[]){1, 0x80, 0xc2, 0, 0, 1}, 6);
    for (uint32_t n = 0; n <= length && n < 160; n += 1 + how->b % 7) { /* what the parser makes of it when it ends early */
        uint8_t *part = malloc(n ? n : 1);
        struct rw_packet packet;

        if (!part)
            break;
        memcpy(part, frame, n);
        rw_packet_parse(part, n, 0x8100, &packet);
        if (packet.end > n || packet.transport > n || packet.payload > n)
            abort();
        free(part);
    }
    for (uint32_t n = how->b % 40 + 1; n; n--)
        if (send(bench->pair[1], message, prefix + length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            break;
    hear(bench);
}

/* The far end reads, and the card goes on. */
static void drain(struct bench *bench, const struct instruction *how)
{
    static char sink[1 << 17];

    for (uint32_t n = how->b; n && recv(bench->pair[1], sink, sizeof sink, MSG_DONTWAIT) > 0; n--)
        ;
    if (bench->recorded) {
        rw_record_writable(bench->card);
        return;
    }
    pthread_mutex_lock(&bench->card->tx_lock);
    atomic_store(&bench->card->tx_blocked, !rw_wire_flush(bench->card));
    pthread_mutex_unlock(&bench->card->tx_lock);
    rw_run(bench->card);
}

/* -- the rest ---------------------------------------------------------------------------------------------------- */

/* Which queue a frame goes to, and what is said of it. */
static void sort(struct bench *bench, const struct instruction *how)
{
    store(bench, RW_MRQC, 1 | (how->x & ~3u));
    store(bench, RW_RXCSUM, (how->c & 1 ? RW_RXCSUM_PCSD : RW_RXCSUM_IPPCSE) | RW_RXCSUM_IPOFL | RW_RXCSUM_TUOFL);
    for (uint32_t n = 0; n < RW_RSSRK_COUNT; n++)
        store(bench, RW_RSSRK + 4 * n, (uint32_t)(how->y >> n % 32));
    for (uint32_t n = 0; n < 32; n++)
        store(bench, RW_RETA + 4 * n, how->a & 1 ? 0x80808080 : 0x80);
    store(bench, RW_RFCTL, RW_RFCTL_EXTEN | (how->b & 1 ? RW_RFCTL_NEW_IPV6_EXT_DIS : 0) | (how->b & 2 ? RW_RFCTL_IPV6_EX_DIS : 0));
}

/* Interrupts that wait for timers, and clear them. */
static void moderate(struct bench *bench, const struct instruction *how)
{
    rw_poke(bench->card, RW_CTRL_EXT, how->x & (RW_CTRL_EXT_INT_TIMER_CLR | RW_CTRL_EXT_EIAME | RW_CTRL_EXT_IAME));
    store(bench, RW_RDTR, how->a);
    store(bench, RW_RADV, how->b);
    store(bench, RW_RAID, how->c & 15);
    store(bench, RW_TIDV, how->a / 2);
    store(bench, RW_TADV, how->b / 2);
    store(bench, RW_ITR, how->c);
    store(bench, RW_EITR + 4 * (how->a % 5), how->c * 2);
    store(bench, RW_IAM, (uint32_t)how->y);
    store(bench, RW_EIAC, (uint32_t)(how->y >> 32));
    store(bench, RW_IVAR, how->c & 1 ? 0x000a0908 : (uint32_t)how->y);
    store(bench, RW_IMS, UINT32_MAX);
}

/* Receive descriptors of a kind, all of them the card's. */
static void buffers(struct bench *bench, const struct instruction *how)
{
    const uint32_t queue = how->a & 1, spacing = how->x % 4096 + 1;

    for (uint32_t n = 0; n < RING; n++) {
        const uint64_t base = how->c & 1 && n % 5 == 4 ? SLOW_IOVA : GUEST_IOVA;
        const uint64_t at = how->b % 32 == 31 && n % 8 == 7 ? 0 : base + (RX_DATA + (uint64_t)n * spacing) % RAM;

        memcpy(bench->ram + RX_RING + queue * 0x1000 + n * RW_DESC_BYTES, &at, sizeof at);
        memset(bench->ram + RX_RING + queue * 0x1000 + n * RW_DESC_BYTES + 8, how->c & 2 ? 0x12 : 0, 8);
    }
    store(bench, RW_RFCTL, (how->c & 4 ? RW_RFCTL_EXTEN : 0) | (uint32_t)(how->y & 0xffff & ~(uint32_t)RW_RFCTL_EXTEN));
    store(bench, RW_PSRCTL, (uint32_t)(how->y >> 32));
    store(bench, RW_RCTL,
          RW_RCTL_EN | RW_RCTL_UPE | RW_RCTL_MPE | RW_RCTL_BAM | (how->c & 8 ? RW_RCTL_SECRC : 0) |
              (how->c & 16 ? RW_RCTL_LPE : 0) | (how->c & 32 ? 1u << RW_RCTL_DTYP_SHIFT : 0) |
              (how->c & 64 ? RW_RCTL_BSEX : 0) | (uint32_t)(how->b & 3) << RW_RCTL_BSIZE_SHIFT);
    store(bench, RW_RDT0 + queue * RW_QUEUE_STRIDE, (rw_peek(bench->card, RW_RDH0 + queue * RW_QUEUE_STRIDE) + 255) % RING);
}

/* What another engine would get, and this one takes back. */
static void save_and_restore(struct bench *bench, const struct instruction *how)
{
    static uint8_t gathered[RW_QUEUES * RW_GATHER_BYTES], frames[8][2048];
    struct rw_state state;
    uint32_t lengths[8], status[8], count = 0, at = 0;

    enter(bench);
    rw_state_get(bench->card, &state);
    for (uint32_t queue = 0; queue < RW_QUEUES; queue++) {
        memcpy(gathered + at, rw_state_gathered(bench->card, queue), state.queue[queue].gathered);
        at += state.queue[queue].gathered;
    }
    for (; count < 8; count++) {
        const uint8_t *frame = rw_state_waiting(bench->card, count, &lengths[count], &status[count]);

        if (!frame)
            break;
        lengths[count] = lengths[count] < sizeof frames[0] ? lengths[count] : sizeof frames[0];
        memcpy(frames[count], frame, lengths[count]);
    }
    if (how->c & 1) {
        state.timer[how->a % RW_STATE_TIMERS] = (int64_t)how->y;
        state.armed[how->a % RW_STATE_TIMERS] = true;
        state.quiet[how->b % RW_STATE_THROTTLES] = how->x;
        state.held = how->b;
        state.turn = how->x;
        state.left = how->a;
    }
    if (how->c & 2)
        state.paused = how->x;
    rw_state_set(bench->card, &state, gathered);
    for (uint32_t n = 0; n < count; n++)
        rw_state_wait(bench->card, frames[n], lengths[n], status[n]);
    rw_state_wait(bench->card, frames[0], how->x % (how->c & 4 ? 14 : (uint32_t)sizeof frames), 0);
    rw_state_wait(bench->card, frames[0], (RW_FIFO_KIB << 10) + how->a, 0); /* more than there ever is room for */
    rw_line(bench->card);
    leave(bench);
    rw_peek(bench->card, how->x);
    rw_poke(bench->card, how->x % 2 ? how->x : how->x % (2 * RW_BAR_BYTES), 0);
    rw_write(bench->card, how->x % (2 * RW_BAR_BYTES), 0);
    rw_read(bench->card, how->x % (2 * RW_BAR_BYTES) & ~3u);
}

/* A card without DMA that frames may wake. */
static void sleep_and_wake(struct bench *bench, const struct instruction *how)
{
    struct instruction frame = *how;

    rw_set_mastering(bench->card, false);
    store(bench, RW_WUC, RW_WUC_PME_EN);
    store(bench, RW_WUFC, (uint32_t)(how->y >> 32) | RW_WUFC_MAG | RW_WUFC_EX | RW_WUFC_ARP | RW_WUFC_IPV4 | RW_WUFC_IPV6);
    store(bench, RW_IPAV, how->x);
    for (uint32_t n = 0; n < 4; n++) {
        store(bench, RW_FFLT + 8 * n, how->b % 140);
        store(bench, RW_FFMT + 8 * (n + 12), how->a);
        store(bench, RW_FFVT + 8 * (n + 12), (uint32_t)how->y);
    }
    store(bench, RW_RAL, 0x02020202);
    store(bench, RW_RAH, 0x0202 | RW_RAH_AV);
    frame.b = 2;
    arrive(bench, &frame);
    if (how->c & 32) { /* a magic packet, wherever the framing lets it be */
        uint8_t message[10 + 14 + 6 + 96 + 4] = {0};
        const uint32_t prefix = bench->framing == RW_FRAMING_VNET ? 10 : bench->framing == RW_FRAMING_STREAM ? 4 : 0;

        message[3] = bench->framing == RW_FRAMING_STREAM ? 116 : 0;
        memset(message + prefix, 0xff, 20);
        memset(message + prefix + 20, 2, 96);
        memset(message + prefix + 6, 2, 6);
        if (send(bench->pair[1], message, prefix + 116, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
            hear(bench);
    }
    rw_set_mastering(bench->card, true);
    rw_read(bench->card, RW_WUS);
}

static void surroundings(struct bench *bench, const struct instruction *how)
{
    rw_card *card = bench->card;

    enter(bench);
    switch (how->a % 12) {
    case 0: rw_set_mode(card, how->b & 3); break;
    case 1: rw_set_link(card, how->b & 3); break;
    case 2: rw_set_loopback(card, how->b & 1); break;
    case 3: rw_set_mastering(card, how->b & 3); break;
    case 4: rw_hold_messages(card, how->b); break;
    case 5:
        rw_set_irq(card, (int)(how->b % 5) - 1, how->c % 6, -1, false, false);
        rw_raise(card, UINT32_MAX);
        rw_set_irq(card, how->b % 4, how->c % 6, how->x & 1 ? -1 : bench->interrupt, how->x & 2, how->x & 4);
        break;
    case 6: rw_raise(card, how->x); break;
    case 7: rw_pending_messages(card); break;
    case 8: rw_reset(card, registers, how->b % 8); guest_setup(card); break;
    case 9: rw_attach_irqs(card, how->b & 1); break;
    case 10: rw_tx_announce(card); break;
    default: rw_wire_glance(card); break;
    }
    leave(bench);
}

static void clock_goes(struct bench *bench, const struct instruction *how)
{
    static uint64_t now;
    uint64_t at;

    if (bench->recorded) {
        rw_record_tick(bench->card);
        return;
    }
    now += how->x;
    rw_advance(bench->card, now);
    rw_deadline(bench->card, &at);
    if (how->a & 1)
        rw_timer_expire(bench->card);
}

static void memory_changes(struct bench *bench, const struct instruction *how)
{
    const uint64_t at = GUEST_IOVA + how->x % RAM;

    if (rw_dma_map(bench->card, UINT64_MAX - 100, 4096, bench->ram, 3) != -EINVAL || !rw_dma_map(bench->card, at, 16, bench->ram, 0) ||
        !rw_dma_unmap(bench->card, UINT64_MAX, 2) || !rw_dma_unmap(bench->card, at, 0))
        abort();
    if (how->a % 8 == 0)
        rw_dma_clear(bench->card);
    else
        rw_dma_unmap(bench->card, at, how->y % 8192);
    if (how->a & 1)
        rw_dma_map(bench->card, at, how->y % 8192, bench->ram + how->x % (RAM - 8192), 1 + how->b % 3);
    else
        map(bench, &(struct instruction){.b = 1});
}

/* A call of the C library fails: the next of the program's, or one while something else is made. */
static void fail(struct bench *bench, const struct instruction *how)
{
    static const int errors[] = {EINTR, EAGAIN, EPIPE, ECONNRESET, ESHUTDOWN, EIO, ENOBUFS, ENOMEM};
    _Atomic uint32_t *page = aligned_alloc(4096, RW_MAPPED_BYTES);
    const int spare = dup(bench->interrupt);
    rw_pump *pump;
    rw_card *card;

    if (!page || spare < 0)
        abort();
    memset(page, 0, RW_MAPPED_BYTES);
    fail_next((enum failing)(how->a % FAILINGS), how->b % 16, errors[how->c % 8]);
    if (how->c & 128) {
        const uint8_t frame[4 + 60] = {[3] = 60};

        (void)!send(bench->pair[1], frame, sizeof frame, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (how->b & 1)
            drain(bench, &(struct instruction){.b = how->b});
        hear(bench);
        free(page);
        close(spare);
        return;
    }
    card = rw_new(false);
    if (card) {
        pump = rw_pump_new(card, spare, 4096, 0);
        rw_pump_free(pump);
        rw_dma_map(card, GUEST_IOVA, 4096, bench->ram, RW_DMA_READ);
        rw_attach_wire(card, bench->interrupt, how->c & 64 ? RW_FRAMING_STREAM : RW_FRAMING_DATAGRAM);
        rw_play_free(rw_play_new(card, bench->ram, NULL, NULL, 0));
        if (!rw_record_start(card, spare, 0))
            rw_record_stop(card, "over");
        if (how->a % FAILINGS != FAIL_WRITE) { /* an eventfd that is not full takes what wakes a thread */
            if (!rw_start(card))
                rw_stop(card);
            if (!rw_mapped_start(card, page, 0))
                rw_mapped_stop(card);
        }
    }
    rw_free(card);
    fail_next(FAIL_NOTHING, 0, 0);
    free(page);
    close(spare);
}

/* Counters that are about to stand still, and descriptors and frames at the edges. */
static void fill_counters(struct bench *bench)
{
    for (uint32_t offset = RW_CRCERRS; offset <= RW_ICRXDMTC; offset += 4)
        if (offset != RW_ICRXPTC)
            rw_poke(bench->card, offset, UINT32_MAX - 1);
}

/* What a driver does seldom: odd tails, many doorbells in a turn, both queues at once, steps, frames of odd lengths. */
static void edge(struct bench *bench, const struct instruction *how)
{
    static const uint32_t lengths[] = {0, 13, 14, 20, 59, 60, 61, 1517, 1518, 1519, 16380, 16381, 65557, 65558, 262400};
    const uint32_t length = lengths[how->x % (sizeof lengths / sizeof *lengths)];
    const struct rw_offload offload = {.needs_csum = true, .csum_start = 14, .csum_offset = 6};
    uint8_t *frame;

    switch (how->a % 8) {
    case 0: store(bench, RW_TDT0 + (how->b & 1) * RW_QUEUE_STRIDE, how->x); break;
    case 1:
        for (uint32_t n = 0; n < 70; n++) {
            put(bench, 0, GUEST_IOVA + TX_DATA, RW_MIN_FRAME | RW_TXD_EOP | RW_TXD_IFCS | RW_TXD_RS, 0);
            if (!bench->recorded)
                store(bench, RW_TDT0, bench->tail[0]);
        }
        break;
    case 2:
        store(bench, RW_TARC0, RW_TARC0_ENABLE | how->b % 3);
        store(bench, RW_TARC1, RW_TARC0_ENABLE | how->c % 3);
        for (uint32_t queue = 0; queue < RW_QUEUES; queue++)
            for (uint32_t n = 0; n < how->b % 32; n++)
                put(bench, queue, GUEST_IOVA + TX_DATA, 64 | RW_TXD_EOP | RW_TXD_IFCS | RW_TXD_RS | (n % 3 ? RW_TXD_IDE : 0), 0);
        rw_write(bench->card, RW_TDT0, bench->tail[0]);
        store(bench, RW_TDT1, bench->tail[1]);
        break;
    case 3:
        rw_write(bench->card, RW_TDT0, how->x % RING);
        enter(bench);
        for (uint32_t n = how->b % 8; n; n--)
            rw_step(bench->card);
        leave(bench);
        break;
    case 4: /* bytes that ask for the whole budget */
        for (uint32_t n = 0; n < 60; n++)
            put(bench, n & 1, GUEST_IOVA + TX_DATA, DATA_DESCRIPTOR | 0xfffff, 0);
        store(bench, RW_TDT0, bench->tail[0]);
        break;
    case 5:
        store(bench, RW_RCTL, RW_RCTL_EN | RW_RCTL_UPE | RW_RCTL_BAM | (how->b & 1 ? RW_RCTL_SBP : 0) | (how->b & 2 ? RW_RCTL_LPE : 0) |
                                  (how->b & 4 ? RW_RCTL_PMCF : 0) | (how->b & 8 ? RW_RCTL_DPF : 0) | (how->b & 16 ? 1u << RW_RCTL_LBM_SHIFT : 0));
        break;
    case 6: /* a PAUSE frame, or another of its kind */
        store(bench, RW_RAL, 0x00c28001);
        break;
    default: /* behind the end of the address space */
        put(bench, 0, UINT64_MAX - how->b, 300 | RW_TXD_EOP | RW_TXD_IFCS, 0);
        store(bench, RW_TDT0, bench->tail[0]);
        break;
    }
    if (bench->recorded)
        return;
    frame = calloc(1, length ? length : 1);
    if (!frame)
        return;
    for (uint32_t n = 0; n < length && n < 14; n++)
        frame[n] = how->c & 1 ? (const uint8_t[]){1, 0x80, 0xc2, 0, 0, 1, 2, 2, 2, 2, 2, 2, 0x88, 8}[n] : 0xff;
    if (length > 18) {
        frame[15] = how->c & 2 ? 1 : (uint8_t)how->y;
        frame[17] = how->c & 4 ? 0 : (uint8_t)(how->y >> 8);
    }
    rw_can_receive(bench->card);
    rw_receive(bench->card, frame, length, how->c & 8 && length > 24 ? &offload : NULL);
    free(frame);
}

static void step(struct bench *bench, const struct instruction *one)
{
    const uint32_t offset = registers[one->a % (sizeof registers / sizeof *registers)] + (one->c & 1 ? RW_QUEUE_STRIDE : 0);

    switch (one->op % 32) {
    case 0: case 1: case 2: case 3: case 4: send_chain(bench, one); break;
    case 5: edge(bench, one); break;
    case 6: case 7: store(bench, offset, (uint32_t)one->y); break;
    case 8: rw_access_read(bench->card, offset); break;
    case 9: case 10: case 11: arrive(bench, one); break;
    case 12: case 13: drain(bench, one); break;
    case 14: cut(bench, one); break;
    case 15: memory_changes(bench, one); break;
    case 16: clock_goes(bench, one); break;
    case 17: case 18: surroundings(bench, one); break;
    case 19: case 20: buffers(bench, one); break;
    case 21: save_and_restore(bench, one); break;
    case 22: sleep_and_wake(bench, one); break;
    case 26: fail(bench, one); break;
    case 28: loop_round(bench, one); break;
    case 27: fill_counters(bench); break;
    case 23: sort(bench, one); break;
    case 24: moderate(bench, one); break;
    case 25:
        if (one->a > 250) /* the far end goes away */
            shutdown(bench->pair[1], one->b & 1 ? SHUT_WR : SHUT_RDWR);
        else
            hear(bench);
        break;
    default: put(bench, one->a & 1, one->y, one->x, (uint32_t)one->b << 8 | one->c); break;
    }
}

/* Rings of RING descriptors, where the program's are. */
static void rings(rw_card *card)
{
    guest_setup(card);
    for (uint32_t queue = 0; queue < RW_QUEUES; queue++) {
        rw_write(card, RW_TDBAL0 + queue * RW_QUEUE_STRIDE, GUEST_IOVA + TX_RING + queue * 0x1000);
        rw_write(card, RW_TDLEN0 + queue * RW_QUEUE_STRIDE, RING * RW_DESC_BYTES);
        rw_write(card, RW_RDBAL0 + queue * RW_QUEUE_STRIDE, GUEST_IOVA + RX_RING + queue * 0x1000);
        rw_write(card, RW_RDLEN0 + queue * RW_QUEUE_STRIDE, RING * RW_DESC_BYTES);
    }
}

/* What the first instruction says of flow control, tags and interrupts. */
static void configure(rw_card *card, const struct instruction *how)
{
    rw_set_mode(card, how->a >> 2 & 3);
    rw_write(card, RW_FCT, 0x8808);
    rw_write(card, RW_FCAL, 0x00c28001);
    rw_write(card, RW_FCAH, 0x0100);
    rw_write(card, RW_FCRTH, how->b & 4 ? 0x2000 : 0);
    rw_write(card, RW_FCRTL, 0x80001000);
    rw_poke(card, RW_CTRL, RW_CTRL_SLU | (how->c & 32 ? RW_CTRL_VME : 0) |
                               (how->c & 64 ? RW_CTRL_RFCE | RW_CTRL_TFCE : 0));
}

/* Play what was recorded on a card that starts as the recorded one did; one byte of it may be another. */
static void replay(struct bench *bench, const struct instruction *how)
{
    static uint8_t file[1 << 20];
    const ssize_t length = pread(bench->tape, file, sizeof file, 0);
    uint64_t starts[16], lengths[16], at = 0;
    struct rw_play_status status;
    uint32_t blocks = 0, block = 0, last, payload;
    rw_card *card = rw_new(how->c & 1);
    rw_play *play;

    if (!card || length < 0)
        abort();
    for (uint64_t head = 0; blocks < 16 && head + 24 <= (uint64_t)length; head += 24 + payload) {
        memcpy(&payload, file + head + 4, sizeof payload);
        if (head + 24 + payload > (uint64_t)length)
            break;
        if (payload && how->b & 8)
            file[head + 24 + how->y % payload] ^= (uint8_t)(1u << how->b / 16 % 8);
        if (rw_records_survey(file + head + 24, payload, &last) < 0)
            break;
        starts[blocks] = head + 24;
        lengths[blocks++] = payload;
    }
    rw_dma_map(card, 0, UINT64_MAX, NULL, RW_DMA_READ | RW_DMA_WRITE);
    configure(card, how);
    rings(card);
    play = rw_play_new(card, file, starts, lengths, blocks);
    if (!play)
        abort();
    while (blocks && rw_play_run(play, block, at, &status) == RW_PLAY_FOREIGN && status.block < blocks) {
        uint32_t skip; /* as Python does, which plays that input itself */

        memcpy(&skip, file + starts[status.block] + status.at + 4, sizeof skip);
        block = status.block;
        at = status.at + 16 + skip;
    }
    rw_play_free(play);
    rw_free(card);
}

static bool prepare(struct bench *bench, const struct instruction *how)
{
    static const int framings[] = {RW_FRAMING_VNET, RW_FRAMING_DATAGRAM, RW_FRAMING_STREAM, RW_FRAMING_NONE};
    const int room = 4096;

    bench->framing = framings[how->a & 3];
    bench->card = rw_new(how->c & 1);
    bench->memory = memfd_create("guest", MFD_CLOEXEC);
    bench->interrupt = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    bench->slow = calloc(1, RAM);
    if (!bench->card || !bench->slow || bench->memory < 0 || ftruncate(bench->memory, RAM) ||
        socketpair(AF_UNIX, (bench->framing == RW_FRAMING_STREAM ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_NONBLOCK, 0,
                   bench->pair))
        return false;
    bench->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, bench->memory, 0);
    if (bench->ram == MAP_FAILED)
        return false;
    if (how->c & 2) /* soon full */
        setsockopt(bench->pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    if (how->b & 16) /* the eventfd is full */
        (void)!write(bench->interrupt, &(uint64_t){UINT64_MAX - 1}, sizeof(uint64_t));
    rw_dma_slow(bench->card, slow_dma, bench);
    map(bench, how);
    if (bench->framing != RW_FRAMING_NONE || how->c & 4)
        rw_attach_wire(bench->card, bench->framing == RW_FRAMING_NONE ? -1 : bench->pair[0], bench->framing);
    rw_attach_irqs(bench->card, how->c & 8);
    rw_set_irq(bench->card, RW_IRQ_MSI, 0, bench->interrupt, false, false);
    if (how->c & 16 && how->b & 2) {
        bench->tape = memfd_create("tape", MFD_CLOEXEC);
        bench->recorded = bench->tape >= 0 && !rw_record_start(bench->card, bench->tape, how->x);
    }
    configure(bench->card, how);
    rings(bench->card);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bench bench = {.tape = -1};
    struct instruction first, one;
    uint32_t steps = 0;
    size_t length;

    if (size < sizeof one)
        return 0;
    memcpy(&first, data, sizeof first);
    if (!prepare(&bench, &first))
        abort();
    for (data += sizeof one, size -= sizeof one; size >= sizeof one && steps < MOST_STEPS; steps++) {
        memcpy(&one, data, sizeof one);
        step(&bench, &one);
        data += sizeof one;
        size -= sizeof one;
        rw_effects(bench.card, &length);
        if (length > 1u << 20)
            rw_effects_forget(bench.card);
    }
    fail_next(FAIL_NOTHING, 0, 0);
    if (bench.recorded) {
        struct rw_record_status status;

        rw_record_status_of(bench.card, &status);
        rw_record_stop(bench.card, "over");
        replay(&bench, &first);
    }
    rw_detach_wire(bench.card);
    rw_wire_closed(bench.card);
    rw_free(bench.card);
    munmap(bench.ram, RAM);
    free(bench.slow);
    for (int n = 0; n < 2; n++)
        close(bench.pair[n]);
    close(bench.memory);
    close(bench.interrupt);
    if (bench.tape >= 0)
        close(bench.tape);
    return 0;
}
