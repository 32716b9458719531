/*
 * The vfio-user socket: accesses to the data path's registers are answered here, without Python; every other
 * message is handed on whole, with its descriptors.
 *
 * It knows of the protocol: the header, REGION_READ, REGION_WRITE and REGION_WRITE_MULTI (QEMU's
 * docs/interop/vfio-user.rst). What it is not sure of it hands on, so that one place refuses what is malformed.
 * Bounds: a message is at most `largest` bytes; a recvmsg carries at most RW_PUMP_FDS descriptors, those that the
 * kernel had to cut off close the connection; descriptors that nobody takes are closed.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "access.h"
#include "card.h"
#include "mapped.h"
#include "threads.h"

enum { CMD_REGION_READ = 9, CMD_REGION_WRITE = 10, CMD_REGION_WRITE_MULTI = 15 };
enum { FLAG_TYPE = 0xf, FLAG_REPLY = 1, FLAG_NO_REPLY = 1 << 4 };

struct header {
    uint16_t id, command;
    uint32_t size, flags, error;
};

struct access {
    uint64_t offset;
    uint32_t region, count;
};

struct multi_write {
    struct access access;
    uint32_t value, value_high;
};

struct rw_pump {
    struct rw_card *card;
    int fd;
    pthread_mutex_t send_lock; /* Python may send from any thread */
    bool ready; /* VERSION was answered: before that, everything is Python's */
    uint32_t largest;
    struct rw_busy_poll busy_poll;
    struct rw_moved moved; /* by the last pause */
    bool asked; /* the client waits for answers, and may for more: no rest */
    bool punctual; /* the thread's timers are not late */
    uint8_t *buffer; /* `largest` bytes and what came behind them */
    uint32_t room, at, end;
    uint32_t message; /* bytes of the message handed to Python, at `at` */
    int fds[RW_PUMP_FDS];
    uint32_t fd_count, fds_at; /* the descriptors belong to the message that begins at or before `fds_at` */
    rw_fd_closer closer; /* of descriptors that nobody takes: close(2) may wait for a file system of the client's */
};

#define MULTI_MOST 1024u
#define MOST_HOLD_NS 250000
#define MOST_SEND_MS 5000 /* a client that reads nothing for so long is given up: device.vfio_user.server */

static void close_fds(struct rw_pump *pump)
{
    for (uint32_t n = 0; n < pump->fd_count; n++)
        pump->closer(pump->fds[n]);
    pump->fd_count = 0;
}

static void close_here(int fd)
{
    close(fd);
}

rw_pump *rw_pump_new(rw_card *card, int fd, uint32_t largest_bytes, uint32_t spin_us)
{
    struct rw_pump *pump = calloc(1, sizeof *pump);

    if (!pump)
        return NULL;
    pump->card = card;
    pump->fd = fd;
    pthread_mutex_init(&pump->send_lock, NULL);
    pump->largest = largest_bytes;
    pump->closer = close_here;
    rw_busy_poll_init(&pump->busy_poll, spin_us);
    atomic_store(&card->rests, pump->busy_poll.adaptive);
    pump->room = largest_bytes + 65536;
    pump->buffer = malloc(pump->room);
    if (!pump->buffer) {
        free(pump);
        return NULL;
    }
    return pump;
}

void rw_pump_free(rw_pump *pump)
{
    if (!pump)
        return;
    close_fds(pump);
    pthread_mutex_destroy(&pump->send_lock);
    free(pump->buffer);
    free(pump);
}

void rw_pump_closer(rw_pump *pump, rw_fd_closer closer)
{
    pump->closer = closer;
}

void rw_pump_ready(rw_pump *pump)
{
    pump->ready = true;
}

/* Send everything; waits for room, but not for ever. 0 or a negated errno. */
static int send_all(struct rw_pump *pump, struct iovec *iov, int count, const void *control, size_t control_length)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    int result = 0;

    message.msg_control = (void *)(uintptr_t)control;
    message.msg_controllen = control_length;
    pthread_mutex_lock(&pump->send_lock);
    while (message.msg_iovlen) {
        ssize_t done = sendmsg(pump->fd, &message, MSG_NOSIGNAL);

        if (done < 0) {
            struct pollfd wait = {.fd = pump->fd, .events = POLLOUT};

            if (errno != EINTR && errno != EAGAIN) {
                result = -errno;
                break;
            }
            if (errno == EAGAIN && !poll(&wait, 1, MOST_SEND_MS)) {
                result = -ETIMEDOUT;
                break;
            }
            continue;
        }
        message.msg_control = NULL;
        message.msg_controllen = 0;
        while (message.msg_iovlen && (size_t)done >= message.msg_iov->iov_len) {
            done -= (ssize_t)message.msg_iov->iov_len;
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (message.msg_iovlen) {
            message.msg_iov->iov_base = (uint8_t *)message.msg_iov->iov_base + done;
            message.msg_iov->iov_len -= (size_t)done;
        }
    }
    pthread_mutex_unlock(&pump->send_lock);
    return result;
}

int rw_pump_send(rw_pump *pump, const uint8_t *data, uint32_t length, const int *fds, uint32_t count)
{
    union {
        char bytes[CMSG_SPACE(RW_PUMP_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {(void *)(uintptr_t)data, length};
    size_t control_length = 0;

    if (count > RW_PUMP_FDS)
        return -EINVAL;
    if (count) {
        memset(&control, 0, sizeof control);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&control.align), fds, count * sizeof(int));
        control_length = CMSG_SPACE(count * sizeof(int));
    }
    return send_all(pump, &iov, 1, &control, control_length);
}

/* Whether an access is to a register that the data path owns. */
static bool ours(const struct access *access)
{
    return access->region == 0 && access->count == 4 && access->offset < RW_BAR_BYTES &&
           access->offset % 4 == 0 && rw_regs[access->offset / 4].owner == RW_OWN_ENGINE;
}

static int reply(struct rw_pump *pump, const struct header *to, const void *body, uint32_t length)
{
    struct header header = {to->id, to->command, sizeof header + length, FLAG_REPLY, 0};
    struct iovec iov[2] = {{&header, sizeof header}, {(void *)(uintptr_t)body, length}};

    if (to->flags & FLAG_NO_REPLY)
        return 0;
    pump->asked = true;
    return send_all(pump, iov, 2, NULL, 0);
}

static int answer_read(struct rw_pump *pump, const struct header *header, const uint8_t *body)
{
    struct access access;
    uint32_t value;
    uint8_t out[sizeof access + sizeof value];

    memcpy(&access, body, sizeof access);
    if (header->size != sizeof *header + sizeof access || !ours(&access))
        return 1;
    value = rw_access_read(pump->card, (uint32_t)access.offset);
    memcpy(out, &access, sizeof access);
    memcpy(out + sizeof access, &value, sizeof value);
    RW_COUNT(pump->card, inline_reads, 1);
    return reply(pump, header, out, sizeof out);
}

static int answer_write(struct rw_pump *pump, const struct header *header, const uint8_t *body)
{
    struct access access;
    uint32_t value;

    memcpy(&access, body, sizeof access);
    if (header->size != sizeof *header + sizeof access + sizeof value || !ours(&access))
        return 1;
    memcpy(&value, body + sizeof access, sizeof value);
    if (!rw_access_write(pump->card, (uint32_t)access.offset, value))
        return 1;
    RW_COUNT(pump->card, inline_writes, 1);
    return reply(pump, header, &access, sizeof access);
}

static int answer_multi(struct rw_pump *pump, const struct header *header, const uint8_t *body)
{
    struct multi_write one;
    uint64_t count;

    memcpy(&count, body, sizeof count);
    if (count > MULTI_MOST || header->size != sizeof *header + sizeof count + count * sizeof one)
        return 1;
    for (uint64_t n = 0; n < count; n++) { /* all or none: half of them cannot be handed on */
        memcpy(&one, body + sizeof count + n * sizeof one, sizeof one);
        if (!ours(&one.access))
            return 1;
    }
    for (uint64_t n = 0; n < count; n++) {
        memcpy(&one, body + sizeof count + n * sizeof one, sizeof one);
        if (!rw_access_write(pump->card, (uint32_t)one.access.offset, one.value))
            return 1; /* all of it again: a write before is a tail, or harmless twice */
        RW_COUNT(pump->card, inline_writes, 1);
    }
    return reply(pump, header, &count, sizeof count);
}

/* 0: answered; 1: not for us; else a negated errno. */
static int answer_ours(struct rw_pump *pump, const struct header *header)
{
    const uint8_t *body = pump->buffer + pump->at + sizeof *header;

    if (!pump->ready || (header->flags & FLAG_TYPE) || (header->flags & ~(uint32_t)(FLAG_TYPE | FLAG_NO_REPLY)))
        return 1;
    if (pump->fd_count && pump->fds_at >= pump->at && pump->fds_at < pump->at + header->size)
        return 1; /* descriptors that nothing asked for: not ours to refuse */
    if (header->command == CMD_REGION_WRITE && header->size >= sizeof *header + sizeof(struct access))
        return answer_write(pump, header, body);
    if (header->command == CMD_REGION_READ && header->size >= sizeof *header + sizeof(struct access))
        return answer_read(pump, header, body);
    if (header->command == CMD_REGION_WRITE_MULTI && header->size >= sizeof *header + sizeof(uint64_t))
        return answer_multi(pump, header, body);
    return 1;
}

/* The same, unless a thread of ours waits for the client (see rw_slow). */
static int answer_inline(struct rw_pump *pump, const struct header *header)
{
    int result = 1;

    atomic_store(&pump->card->pump_busy, true);
    if (!atomic_load(&pump->card->slow_used)) {
        rw_mapped_sync(pump->card);
        result = answer_ours(pump, header);
    }
    atomic_store(&pump->card->pump_busy, false);
    return result;
}

static uint64_t monotonic_ns(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static ssize_t receive_now(struct rw_pump *pump, struct msghdr *message, size_t control_room)
{
    message->msg_controllen = control_room;
    message->msg_flags = 0;
    return recvmsg(pump->fd, message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
}

/* How long to rest now: 0 when the client waits for answers, of which it may want more. */
static uint64_t rest_for(struct rw_pump *pump)
{
    const struct rw_moved now = rw_moved(pump->card, &pump->moved);

    return pump->asked ? 0
                       : rw_busy_poll_rest(&pump->busy_poll, now.frames_sent + now.frames_received,
                                          now.octets_sent + now.octets_received);
}

/* The guest was sent a frame and told so. To be told also that its own was sent can wait until it has seen to that:
 * its handlers run before the work that they put off. */
static ssize_t receive_held(struct rw_pump *pump, struct msghdr *message, size_t control_room)
{
    const struct timespec most = {.tv_nsec = MOST_HOLD_NS};
    struct pollfd wait = {.fd = pump->fd, .events = POLLIN};

    if (ppoll(&wait, 1, &most, NULL) < 0)
        return -1;
    return receive_now(pump, message, control_room);
}

/* Everything is answered: announce what was sent, and rest while there is much traffic. A message that comes
 * meanwhile wakes nobody, which would cost the VMM's processor more than to send it, and waits for the others:
 * they make one batch, and one interrupt. */
static ssize_t end_turn(struct rw_pump *pump, struct msghdr *message, size_t control_room)
{
    const uint64_t before = pump->moved.frames_received;
    uint64_t rest_ns;
    ssize_t got = -1;

    rw_wire_glance(pump->card);
    rest_ns = rest_for(pump);
    pump->asked = false;
    errno = EAGAIN;
    if (!rest_ns && pump->moved.frames_received != before && rw_tx_owes(pump->card))
        got = receive_held(pump, message, control_room);
    if (got < 0 && errno == EAGAIN) {
        rw_tx_announce(pump->card);
        errno = EAGAIN;
    }
    while (rest_ns && got < 0 && errno == EAGAIN) {
        const struct timespec rest = {.tv_nsec = (long)rest_ns};

        if (!pump->punctual)
            pump->punctual = rw_be_punctual();
        if (nanosleep(&rest, NULL))
            break; /* a signal is Python's */
        got = receive_now(pump, message, control_room);
        rest_ns = rest_for(pump);
    }
    return got;
}

/* A recvmsg that finds nothing: look for a while, then sleep. `idle`: no access is under way, so meanwhile this
 * thread takes off the wire what came there, before the wire's own thread has woken up. */
static ssize_t receive_later(struct rw_pump *pump, struct msghdr *message, size_t control_room, bool idle)
{
    uint64_t began, until;
    bool look;
    ssize_t got;

    if (idle) {
        got = end_turn(pump, message, control_room);
        if (got >= 0 || errno != EAGAIN)
            return got;
    }
    began = monotonic_ns();
    until = began + rw_busy_poll_look(&pump->busy_poll);
    do {
        if (idle)
            rw_wire_glance(pump->card);
        look = monotonic_ns() < until;
        message->msg_controllen = control_room;
        message->msg_flags = 0;
        got = recvmsg(pump->fd, message, MSG_CMSG_CLOEXEC | (look ? MSG_DONTWAIT : 0));
        if (got < 0 && errno == EAGAIN && !look) {
            struct pollfd wait = {.fd = pump->fd, .events = POLLIN}; /* the socket does not block */

            if (poll(&wait, 1, -1) < 0)
                return -1;
        }
    } while (got < 0 && errno == EAGAIN);
    rw_busy_poll_learn(&pump->busy_poll, monotonic_ns() - began);
    return got;
}

/* Take the descriptors out of a message; -EMFILE when there were too many: the rest is lost. */
static int take_fds(struct rw_pump *pump, struct msghdr *message)
{
    int result = message->msg_flags & MSG_CTRUNC ? -EMFILE : 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        uint32_t count;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        count = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (uint32_t n = 0; n < count; n++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + n * sizeof fd, sizeof fd);
            if (pump->fd_count < RW_PUMP_FDS) {
                pump->fds[pump->fd_count++] = fd;
            } else {
                pump->closer(fd);
                result = -EMFILE;
            }
        }
    }
    return result;
}

/* Wait until there is something to read, or -ETIMEDOUT. */
static int wait_until(const struct rw_pump *pump, uint64_t until_ns)
{
    const uint64_t now = monotonic_ns(), left = until_ns > now ? until_ns - now : 0;
    const struct timespec most = {.tv_sec = (time_t)(left / 1000000000u), .tv_nsec = (long)(left % 1000000000u)};
    struct pollfd wait = {.fd = pump->fd, .events = POLLIN};
    const int ready = ppoll(&wait, 1, &most, NULL);

    if (ready < 0)
        return -errno;
    return ready ? 0 : -ETIMEDOUT;
}

/* Read what there is behind `end`: > 0 bytes, 0 at the end, or a negated errno. */
static int fill(struct rw_pump *pump, bool idle, uint64_t until_ns)
{
    union {
        char bytes[CMSG_SPACE(RW_PUMP_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov;
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    const uint32_t before = pump->fd_count;
    ssize_t got;
    int result;

    if (pump->at) { /* the message at hand to the front */
        memmove(pump->buffer, pump->buffer + pump->at, pump->end - pump->at);
        pump->fds_at -= pump->fds_at < pump->at ? pump->fds_at : pump->at;
        pump->end -= pump->at;
        pump->at = 0;
    }
    iov = (struct iovec){pump->buffer + pump->end, pump->room - pump->end};
    result = until_ns ? wait_until(pump, until_ns) : 0;
    if (result)
        return result;
    got = recvmsg(pump->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        got = receive_later(pump, &message, sizeof control, idle);
    if (got < 0)
        return -errno;
    result = take_fds(pump, &message);
    if (result)
        return result;
    if (pump->fd_count != before)
        pump->fds_at = pump->end + (uint32_t)got - 1; /* a recvmsg ends with the piece that had them */
    pump->end += (uint32_t)got;
    return (int)got;
}

/*
 * Answer what is ours until there is something that is not: RW_PUMP_MESSAGE, RW_PUMP_CLOSED, or a negated errno.
 * -ETIMEDOUT: no whole message came `until_ns` (0: no such time).
 * Without `answer` nothing is ours: the caller is in the middle of an access and holds its locks.
 * -EINTR: a signal came; call again. -EMSGSIZE: a message shorter than its header or longer than `largest`.
 */
int rw_pump_next(rw_pump *pump, bool answer, uint64_t until_ns)
{
    if (pump->message) { /* Python is done with it; what it did not take is closed */
        if (pump->fd_count && pump->fds_at < pump->at + pump->message)
            close_fds(pump);
        pump->at += pump->message;
        pump->message = 0;
    }
    for (;;) {
        const uint32_t have = pump->end - pump->at;
        struct header header;
        int result;

        if (have >= sizeof header) {
            memcpy(&header, pump->buffer + pump->at, sizeof header);
            if (header.size < sizeof header || header.size > pump->largest)
                return -EMSGSIZE;
        }
        if (have < sizeof header || have < header.size) {
            result = fill(pump, answer, until_ns);
            if (result <= 0)
                return result;
            continue;
        }
        result = answer ? answer_inline(pump, &header) : 1;
        if (result < 0)
            return result;
        if (result > 0) {
            rw_tx_announce(pump->card);
            pump->asked = true;
            pump->message = header.size;
            RW_COUNT(pump->card, forwarded, 1);
            return RW_PUMP_MESSAGE;
        }
        pump->at += header.size;
    }
}

const uint8_t *rw_pump_bytes(rw_pump *pump, uint32_t *length)
{
    *length = pump->message;
    return pump->buffer + pump->at;
}

uint32_t rw_pump_take_fds(rw_pump *pump, int *fds)
{
    const uint32_t count = pump->fd_count;

    if (!count || !pump->message || pump->fds_at >= pump->at + pump->message)
        return 0; /* they came with bytes behind this message */
    memcpy(fds, pump->fds, count * sizeof *fds);
    pump->fd_count = 0;
    return count;
}
