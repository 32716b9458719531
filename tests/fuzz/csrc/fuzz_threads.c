/*
 * A card that lives: its own threads, a pump that serves a client's socket, a wire whose far end floods, stops or goes
 * away. A program of program.h; nothing here is a matter of time, and everything ends when the client hangs up.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "failing.h"
#include "guest.h"
#include "mapped.h"
#include "program.h"
#include "record.h"
#include "threads.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_STEPS = 40, READ = 9, WRITE = 10, WRITE_MULTI = 15, NO_REPLY = 16, BODY = 64, MOST_FDS = RW_PUMP_FDS + 1 };

static const uint32_t registers[] = {
    RW_TDT0, RW_RDT0, RW_TDT1, RW_RDT1, RW_ICR, RW_IMS, RW_TDH0, RW_RDH0, RW_STATUS, RW_GPRC, RW_TCTL, RW_RCTL, RW_ITR,
};

struct life {
    rw_card *card;
    rw_pump *pump;
    int client[2], wire[2], interrupt, tape, framing;
    bool recorded;
    pthread_t server;
    struct instruction failing;
};

/* The socket's thread: what C leaves to Python is answered with nothing. */
static void *serve(void *argument)
{
    struct life *life = argument;
    uint32_t length;
    int fds[RW_PUMP_FDS], result;

    rw_thread_without_slow();
    if (life->failing.c & 32) {
        const int errors[] = {EINTR, EAGAIN, EPIPE, EINTR};

        fail_next(life->failing.b & 1 ? FAIL_SENDMSG : FAIL_RECVMSG, life->failing.b >> 1 & 7, errors[life->failing.a & 3]);
    }
    while ((result = rw_pump_next(life->pump, true, 0)) == RW_PUMP_MESSAGE || result == -EINTR) {
        const uint8_t *bytes = rw_pump_bytes(life->pump, &length);
        uint8_t reply[16] = {0};

        if (result != RW_PUMP_MESSAGE)
            continue;
        for (uint32_t n = rw_pump_take_fds(life->pump, fds); n; n--)
            close(fds[n - 1]);
        memcpy(reply, bytes, 4);
        reply[4] = sizeof reply;
        reply[8] = 1;
        if (rw_pump_send(life->pump, reply, sizeof reply, fds, RW_PUMP_FDS + 1) != -EINVAL)
            abort();
        if (rw_pump_send(life->pump, reply, sizeof reply, &life->interrupt, length & 1) < 0)
            break;
    }
    shutdown(life->client[0], SHUT_RDWR);
    return NULL;
}

static void send_message(struct life *life, const struct instruction *one)
{
    static const uint16_t commands[] = {READ, WRITE, WRITE, WRITE, WRITE_MULTI, 7};
    uint8_t message[16 + BODY] = {0};
    const uint16_t command = commands[one->b % 6];
    const uint64_t offset = registers[one->a % (sizeof registers / sizeof *registers)], count = 1 + (one->c >> 4 & 1);
    const uint32_t size = command == READ ? 32 : command == WRITE ? 36 : command == 7 ? 16 : 24 + 24 * (uint32_t)count;
    const uint32_t flags = one->c & 3 ? NO_REPLY : 0, four = 4, value = (uint32_t)one->y & 63;
    struct iovec iov = {message, one->c & 128 ? size / 2 + 1 : size};
    union {
        char bytes[CMSG_SPACE(MOST_FDS * sizeof(int))];
        struct cmsghdr align;
    } control = {.align = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    const uint32_t descriptors = one->y >> 60 == 15 ? MOST_FDS : 1 + (uint32_t)(one->y >> 56 & 7);
    struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};

    memcpy(message + 2, &command, 2);
    memcpy(message + 4, &size, 4);
    memcpy(message + 8, &flags, 4);
    if (command == WRITE_MULTI) {
        memcpy(message + 16, &count, 8);
        for (uint32_t n = 0; n < count; n++) {
            memcpy(message + 24 + 24 * n, &offset, 8);
            memcpy(message + 36 + 24 * n, &four, 4);
            memcpy(message + 40 + 24 * n, &value, 4);
        }
    } else {
        memcpy(message + 16, &offset, 8);
        memcpy(message + 28, &four, 4);
        memcpy(message + 32, &value, 4);
    }
    if (one->c & 64 && one->c & 32) {
        int many[MOST_FDS];

        for (uint32_t n = 0; n < descriptors; n++)
            many[n] = life->interrupt;
        control.align.cmsg_len = CMSG_LEN(descriptors * sizeof(int));
        memcpy(CMSG_DATA(&control.align), many, descriptors * sizeof(int));
        head.msg_control = &control;
        head.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
    }
    if (sendmsg(life->client[1], &head, MSG_DONTWAIT | MSG_NOSIGNAL) < (ssize_t)iov.iov_len)
        return;
    if (iov.iov_len < size) /* the rest, later */
        (void)!send(life->client[1], message + iov.iov_len, size - iov.iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void flood(struct life *life, const struct instruction *one)
{
    uint8_t message[10 + 1600] = {0};
    const uint32_t prefix = life->framing == RW_FRAMING_VNET ? 10 : life->framing == RW_FRAMING_STREAM ? 4 : 0;
    const uint32_t length = 14 + one->x % 1500;

    if (life->framing == RW_FRAMING_STREAM) {
        message[2] = (uint8_t)(length >> 8);
        message[3] = (uint8_t)length;
    }
    memset(message + prefix, one->a & 1 ? 0xff : 2, 12);
    for (uint32_t n = one->b; n; n--)
        if (send(life->wire[1], message, prefix + length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            break;
}

static void drain(struct life *life, uint32_t most)
{
    char sink[4096];

    while (most-- && recv(life->wire[1], sink, sizeof sink, MSG_DONTWAIT) > 0)
        ;
}

static void around(struct life *life, const struct instruction *one)
{
    if (life->recorded)
        rw_record_enter(life->card);
    switch (one->a % 8) {
    case 0: rw_set_link(life->card, one->b & 3); break;
    case 1: rw_set_mastering(life->card, one->b & 3); break;
    case 2: rw_set_loopback(life->card, one->b & 1); break;
    case 3: rw_reset(life->card, NULL, 0); guest_setup(life->card); break;
    case 4: rw_raise(life->card, one->x); break;
    case 5: rw_dma_unmap(life->card, GUEST_IOVA + one->x % GUEST_BYTES, 4096); break;
    case 6: rw_set_mode(life->card, one->b & 3); break;
    default:
        if (life->recorded)
            rw_record_put(life->card, RW_REC_LEVEL, one->b, 0, one->y, (const uint8_t *)&one->y, one->c & 7);
        break;
    }
    if (life->recorded)
        rw_record_leave(life->card);
}

/* What the socket's thread makes of pauses: numbers in, times out. */
static void be_patient(const struct instruction *one)
{
    struct rw_busy_poll busy_poll;
    uint64_t state = one->y * 2 + 1;

    rw_busy_poll_init(&busy_poll, one->a & 1 ? RW_SPIN_ADAPTIVE : one->b);
    for (uint32_t n = one->c; n; n--) {
        if (rw_busy_poll_look(&busy_poll) > 1000000u)
            abort();
        if (rw_busy_poll_rest(&busy_poll, program_random(&state) % 12, program_random(&state) % 20000) > 1000000u)
            abort();
        rw_busy_poll_learn(&busy_poll, program_random(&state) % (one->b & 1 ? 40000 : 90000));
    }
}

static void step(struct life *life, const struct instruction *one)
{
    switch (one->op % 10) {
    case 0: case 1: case 2: case 3: send_message(life, one); break;
    case 4: case 5: flood(life, one); break;
    case 6: drain(life, one->b); break;
    case 7: around(life, one); break;
    case 8: be_patient(one); break;
    default:
        if (one->a > 240)
            shutdown(life->wire[1], SHUT_RDWR);
        else
            poll(NULL, 0, one->a % 2);
        break;
    }
}

static bool begin(struct life *life, uint8_t *ram, const struct instruction *how)
{
    static const int framings[] = {RW_FRAMING_VNET, RW_FRAMING_DATAGRAM, RW_FRAMING_STREAM, RW_FRAMING_NONE};
    const int room = 4096;

    life->framing = framings[how->a & 3];
    life->failing = *how;
    life->card = rw_new(how->c & 1);
    life->interrupt = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!life->card || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, life->client) ||
        socketpair(AF_UNIX, (life->framing == RW_FRAMING_STREAM ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_NONBLOCK, 0,
                   life->wire))
        return false;
    setsockopt(life->wire[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    rw_dma_map(life->card, GUEST_IOVA, GUEST_BYTES, how->c & 16 ? NULL : ram, RW_DMA_READ | RW_DMA_WRITE);
    rw_attach_wire(life->card, life->framing == RW_FRAMING_NONE ? -1 : life->wire[0], life->framing);
    rw_attach_irqs(life->card, true);
    for (uint32_t vector = 0; vector < RW_VECTORS; vector++)
        rw_set_irq(life->card, RW_IRQ_MSIX, vector, life->interrupt, false, false);
    rw_set_irq(life->card, RW_IRQ_MSI, 0, life->interrupt, false, false);
    rw_set_irq(life->card, RW_IRQ_INTX, 0, life->interrupt, false, false);
    rw_set_mode(life->card, how->a >> 2 & 3);
    guest_setup(life->card);
    rw_write(life->card, RW_TIDV, how->b & 7);
    rw_write(life->card, RW_RDTR, how->b >> 3 & 7);
    rw_write(life->card, RW_ITR, how->b >> 6 ? 40 : 0);
    if (how->c & 2) {
        life->tape = memfd_create("tape", MFD_CLOEXEC);
        life->recorded = life->tape >= 0 && !rw_record_start(life->card, life->tape, 0);
    }
    life->pump = rw_pump_new(life->card, life->client[0], 65536, how->c & 4 ? RW_SPIN_ADAPTIVE : how->c & 8 ? 20 : 0);
    if (!life->pump || rw_start(life->card))
        return false;
    rw_pump_ready(life->pump);
    return !pthread_create(&life->server, NULL, serve, life);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct life life = {.tape = -1};
    struct rw_account account;
    struct instruction one;
    uint8_t *ram = calloc(1, GUEST_BYTES);
    uint32_t steps = 0;

    if (size < sizeof one) {
        free(ram);
        return 0;
    }
    memcpy(&one, data, sizeof one);
    if (!ram)
        abort();
    for (uint32_t n = 0; n < 64; n++) {
        const uint64_t tx[2] = {GUEST_IOVA + 0x1000, 0x8b000000u | (60 + n * 20)}, rx = GUEST_IOVA + 0x4000;

        memcpy(ram + n * RW_DESC_BYTES, tx, sizeof tx);
        memcpy(ram + 0x400 + n * RW_DESC_BYTES, tx, sizeof tx);
        memcpy(ram + 0x800 + n * RW_DESC_BYTES, &rx, sizeof rx);
        memcpy(ram + 0xc00 + n * RW_DESC_BYTES, &rx, sizeof rx);
    }
    if (!begin(&life, ram, &one))
        abort();
    for (data += sizeof one, size -= sizeof one; size >= sizeof one && steps < MOST_STEPS; steps++) {
        memcpy(&one, data, sizeof one);
        step(&life, &one);
        data += sizeof one;
        size -= sizeof one;
    }
    shutdown(life.client[1], SHUT_WR);
    pthread_join(life.server, NULL);
    rw_stop(life.card);
    rw_pump_free(life.pump);
    rw_record_stop(life.card, "over");
    rw_account_of(life.card, &account);
    if (rw_stored(life.card) != account.frames_received)
        abort();
    rw_free(life.card);
    for (int n = 0; n < 2; n++) {
        close(life.client[n]);
        close(life.wire[n]);
    }
    close(life.interrupt);
    if (life.tape >= 0)
        close(life.tape);
    free(ram);
    return 0;
}
