/*
 * Signals eventfds without ever waiting for one. Python twin: device.vfio_user.eventfds, where the reason is.
 *
 * A kernel without AIO (io_setup fails) gets a write, after a look whether there is room.
 */
#include "eventfd.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct ring { /* of the kernel's fs/aio.c: what a context's number is the address of */
    uint32_t id, count;
    _Atomic uint32_t head, tail;
};

void rw_signaller_init(struct rw_signaller *signaller)
{
    aio_context_t context = 0;

    signaller->empty_fd = memfd_create("empty", MFD_CLOEXEC);
    if (signaller->empty_fd >= 0 && !syscall(SYS_io_setup, 1, &context))
        signaller->context = context;
}

void rw_signaller_end(struct rw_signaller *signaller)
{
    if (signaller->context)
        syscall(SYS_io_destroy, signaller->context);
    if (signaller->empty_fd >= 0)
        close(signaller->empty_fd);
    *signaller = (struct rw_signaller){.empty_fd = -1};
}

static void write_one(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLOUT};
    const uint64_t one = 1;

    if (poll(&look, 1, 0) == 1 && look.revents & POLLOUT && write(fd, &one, sizeof one) < 0)
        return; /* full: it is signalled */
}

void rw_signal(const struct rw_signaller *signaller, int fd)
{
    struct iocb read_empty = {
        .aio_lio_opcode = IOCB_CMD_PREAD,
        .aio_fildes = (uint32_t)signaller->empty_fd,
        .aio_flags = IOCB_FLAG_RESFD,
        .aio_resfd = (uint32_t)fd,
    };
    struct iocb *one = &read_empty;
    struct ring *ring = (struct ring *)(uintptr_t)signaller->context;

    if (!ring) {
        write_one(fd);
        return;
    }
    atomic_store(&ring->head, atomic_load(&ring->tail)); /* the completions are nobody's */
    if (syscall(SYS_io_submit, signaller->context, 1, &one) != 1)
        write_one(fd);
}
