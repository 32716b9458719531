/* A Winsock echo client: echo_client.exe HOST PORT SIZE...
 *
 * Sends each size as a stream and, up to the largest datagram, as a datagram; prints a line for each:
 * "tcp SIZE same" or what was wrong. The stream is non-blocking and driven by WSAEventSelect. */
#include "common.h"

enum { MAX_DATAGRAM = 65507, PATIENCE_MS = 30000 };

static int failed(const char *what)
{
    printf("%s %d\n", what, WSAGetLastError());
    return 1;
}

static int stream(const struct sockaddr_in *to, const unsigned char *data, unsigned char *back, int size)
{
    SOCKET s = socket(AF_INET, SOCK_STREAM, 0);
    WSAEVENT event = WSACreateEvent();
    WSANETWORKEVENTS seen;
    int sent = 0, got = 0, count;
    if (connect(s, (const struct sockaddr *)to, sizeof *to))
        return failed("connect");
    WSAEventSelect(s, event, FD_READ | FD_WRITE | FD_CLOSE);
    while (got < size) {
        if (WSAWaitForMultipleEvents(1, &event, FALSE, PATIENCE_MS, FALSE) != WSA_WAIT_EVENT_0)
            return failed("wait");
        if (WSAEnumNetworkEvents(s, event, &seen))
            return failed("WSAEnumNetworkEvents");
        if (seen.lNetworkEvents & FD_WRITE)
            while (sent < size) {
                count = send(s, (const char *)data + sent, size - sent, 0);
                if (count == SOCKET_ERROR && WSAGetLastError() == WSAEWOULDBLOCK)
                    break;
                if (count == SOCKET_ERROR)
                    return failed("send");
                sent += count;
            }
        if (seen.lNetworkEvents & (FD_READ | FD_CLOSE)) {
            count = recv(s, (char *)back + got, size - got, 0);
            if (count == SOCKET_ERROR && WSAGetLastError() != WSAEWOULDBLOCK)
                return failed("recv");
            if (count == 0)
                break;
            got += count > 0 ? count : 0;
        }
    }
    shutdown(s, SD_SEND);
    closesocket(s);
    WSACloseEvent(event);
    printf(got == size && !memcmp(data, back, size) ? "same\n" : "differs, %d bytes\n", got);
    return 0;
}

static int datagram(const struct sockaddr_in *to, const unsigned char *data, unsigned char *back, int size)
{
    SOCKET s = socket(AF_INET, SOCK_DGRAM, 0);
    DWORD patience = PATIENCE_MS;
    int got;
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&patience, sizeof patience);
    if (sendto(s, (const char *)data, size, 0, (const struct sockaddr *)to, sizeof *to) != size)
        return failed("sendto");
    got = recv(s, (char *)back, MAX_DATAGRAM, 0);
    if (got == SOCKET_ERROR)
        return failed("recv");
    closesocket(s);
    printf(got == size && !memcmp(data, back, size) ? "same\n" : "differs, %d bytes\n", got);
    return 0;
}

int main(int argc, char **argv)
{
    int bad = argc < 4;
    if (bad) {
        fprintf(stderr, "usage: echo_client HOST PORT SIZE...\n");
        return 2;
    }
    start();
    struct sockaddr_in to = address(argv[1], atoi(argv[2]));
    for (int at = 3; at < argc; at++) {
        int size = atoi(argv[at]);
        unsigned char *data = malloc(size + 1), *back = malloc(size > MAX_DATAGRAM ? size : MAX_DATAGRAM);
        if (!data || !back)
            return 2;
        pattern(data, size);
        if (size) {
            printf("tcp %d ", size);
            bad |= stream(&to, data, back, size);
        }
        if (size <= MAX_DATAGRAM) {
            printf("udp %d ", size);
            bad |= datagram(&to, data, back, size);
        }
        free(data);
        free(back);
        fflush(stdout);
    }
    return bad;
}
