/* A hostile client: the input is what comes over the socket, in headers that are often nearly right. */
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

static void close_fd(int fd)
{
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void send_message(int fd, struct input *input)
{
    static const uint16_t commands[] = {9, 10, 15, 1, 2};
    uint8_t message[256];
    const uint32_t odd = take(input, 1);
    const uint16_t command = odd < 240 ? commands[odd % 5] : (uint16_t)take(input, 2);
    uint32_t size = command == 9 ? 32 : command == 10 ? 36 : command == 15 ? 24 + 24 * (odd % 4) : 16 + odd % 64;
    uint32_t word;

    memset(message, 0, sizeof message);
    memcpy(message + 2, &command, 2);
    if (odd % 16 == 0)
        size = take(input, 2);
    memcpy(message + 4, &size, 4);
    word = odd % 8 ? (odd & 64 ? 16 : 0) : take(input, 1);
    memcpy(message + 8, &word, 4);
    word = take(input, 2);
    memcpy(message + 16, &word, 4); /* an offset, or how many writes */
    word = odd % 8 ? 0 : take(input, 1);
    memcpy(message + 24, &word, 4);
    word = odd % 8 ? 4 : take(input, 1);
    memcpy(message + 28, &word, 4);
    for (uint32_t n = 32; n < 128; n++)
        message[n] = n < 40 ? (uint8_t)take(input, 1) : 0;
    if (size > sizeof message)
        size = sizeof message;
    if (send(fd, message, size < 16 ? 16 : size, MSG_DONTWAIT) < 0)
        return;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    rw_card *card = rw_new(false);
    rw_pump *pump;
    int pair[2], fds[RW_PUMP_FDS], result;
    uint32_t length;

    if (!card || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        abort();
    pump = rw_pump_new(card, pair[0], 65536, 0);
    if (!pump)
        abort();
    rw_pump_ready(pump);
    rw_pump_closer(pump, close_fd);
    guest_setup(card);
    for (int n = 0; n < 40 && input.left; n++)
        send_message(pair[1], &input);
    shutdown(pair[1], SHUT_WR);
    while ((result = rw_pump_next(pump, true, size & 1)) == RW_PUMP_MESSAGE) {
        volatile uint8_t sum = 0;
        const uint8_t *bytes = rw_pump_bytes(pump, &length);

        for (uint32_t n = 0; n < length; n++)
            sum ^= bytes[n];
        (void)sum;
        for (uint32_t n = rw_pump_take_fds(pump, fds); n; n--)
            close(fds[n - 1]);
    }
    rw_pump_free(pump);
    close(pair[0]);
    close(pair[1]);
    rw_free(card);
    return 0;
}
