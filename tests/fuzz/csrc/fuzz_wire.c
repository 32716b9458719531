/* A hostile cable: the input is what its other end sends, in each of the three framings. */
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"
#include "receive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void send_piece(int fd, struct input *input, int framing)
{
    uint8_t piece[2048];
    uint32_t length = take(input, 2) % sizeof piece, given = length < 64 ? length : 64;

    memset(piece, 0, sizeof piece);
    for (uint32_t n = 0; n < given; n++)
        piece[n] = (uint8_t)take(input, 1);
    if (framing == RW_FRAMING_STREAM && length > 4 && take(input, 1) & 3) {
        piece[0] = piece[1] = 0;
        piece[2] = (uint8_t)((length - 4) >> 8);
        piece[3] = (uint8_t)(length - 4);
    }
    if (framing == RW_FRAMING_VNET && take(input, 1) & 3)
        piece[1] = 0;
    if (send(fd, piece, length, MSG_DONTWAIT) < 0)
        return;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    const int framing = RW_FRAMING_VNET + (int)(take(&input, 1) % 3);
    const int type = framing == RW_FRAMING_STREAM ? SOCK_STREAM : SOCK_SEQPACKET;
    struct rw_rx_outcome outcome = {0};
    struct rw_offload offload;
    rw_card *card = rw_new(true);
    uint8_t *ram = calloc(1, GUEST_BYTES);
    int pair[2];
    int32_t length;

    if (!card || !ram || socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
        abort();
    rw_dma_map(card, GUEST_IOVA, GUEST_BYTES, ram, RW_DMA_READ | RW_DMA_WRITE);
    rw_attach_wire(card, pair[0], framing);
    guest_setup(card);
    for (uint32_t n = 0; n < 64; n++) { /* the last of them reaches beyond memory */
        const uint64_t buffer = GUEST_IOVA + GUEST_BYTES - 2048 - n % 8 * 2000 + (n == 63 ? 100 : 0);

        memcpy(ram + 0x800 + n * RW_DESC_BYTES, &buffer, sizeof buffer);
    }
    if (take(&input, 1) & 1) /* straight into these */
        rw_write(card, RW_RCTL, rw_read(card, RW_RCTL) | RW_RCTL_SECRC);
    if (take(&input, 1) & 1)
        rw_poke(card, RW_CTRL, RW_CTRL_VME);
    while (input.left) {
        send_piece(pair[1], &input, framing);
        pthread_mutex_lock(&card->rx_lock);
        while ((length = rw_wire_read(card, &offload)) > 0)
            rw_rx_frame_locked(card, card->rx_frame, (uint32_t)length, &offload, &outcome);
        pthread_mutex_unlock(&card->rx_lock);
        rw_write(card, RW_RDT0, (rw_read(card, RW_RDH0) + 63) % 64);
        if (length < 0)
            break;
    }
    rw_rx_announce(card, &outcome);
    rw_free(card);
    close(pair[0]);
    close(pair[1]);
    free(ram);
    return 0;
}
