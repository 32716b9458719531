/* A Winsock echo server: echo_server.exe PORT
 *
 * TCP and UDP on PORT send back what comes; a connection to PORT+1 is reset when its first byte has come;
 * a connection to PORT+2 ends the program. */
#include "common.h"

enum { BUFFER_BYTES = 1 << 16, MAX_DATAGRAM = 65507 };

static SOCKET listening(int port)
{
    struct sockaddr_in at = address(NULL, port);
    SOCKET s = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(s, (struct sockaddr *)&at, sizeof at) || listen(s, SOMAXCONN)) {
        fprintf(stderr, "port %d: %d\n", port, WSAGetLastError());
        exit(2);
    }
    return s;
}

static DWORD WINAPI echo_stream(void *argument)
{
    SOCKET s = (SOCKET)argument;
    char *buffer = malloc(BUFFER_BYTES);
    int got, sent;
    while (buffer && (got = recv(s, buffer, BUFFER_BYTES, 0)) > 0) {
        for (int at = 0; at < got; at += sent) {
            sent = send(s, buffer + at, got - at, 0);
            if (sent <= 0)
                goto over;
        }
    }
over:
    free(buffer);
    shutdown(s, SD_SEND);
    closesocket(s);
    return 0;
}

static DWORD WINAPI accept_echoes(void *argument)
{
    SOCKET s;
    while ((s = accept((SOCKET)argument, NULL, NULL)) != INVALID_SOCKET)
        CloseHandle(CreateThread(NULL, 0, echo_stream, (void *)s, 0, NULL));
    return 0;
}

static DWORD WINAPI accept_and_reset(void *argument)
{
    struct linger hard = {1, 0};
    SOCKET s;
    char byte;
    while ((s = accept((SOCKET)argument, NULL, NULL)) != INVALID_SOCKET) {
        recv(s, &byte, 1, 0);
        setsockopt(s, SOL_SOCKET, SO_LINGER, (char *)&hard, sizeof hard);
        closesocket(s);
    }
    return 0;
}

static DWORD WINAPI echo_datagrams(void *argument)
{
    static char buffer[MAX_DATAGRAM];
    struct sockaddr_in from;
    int length, got;
    for (;;) {
        length = sizeof from;
        got = recvfrom((SOCKET)argument, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &length);
        if (got >= 0)
            sendto((SOCKET)argument, buffer, got, 0, (struct sockaddr *)&from, length);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: echo_server PORT\n");
        return 2;
    }
    start();
    int port = atoi(argv[1]);
    struct sockaddr_in at = address(NULL, port);
    SOCKET datagrams = socket(AF_INET, SOCK_DGRAM, 0), over = listening(port + 2);
    if (bind(datagrams, (struct sockaddr *)&at, sizeof at)) {
        fprintf(stderr, "UDP port %d: %d\n", port, WSAGetLastError());
        return 2;
    }
    CreateThread(NULL, 0, accept_echoes, (void *)listening(port), 0, NULL);
    CreateThread(NULL, 0, accept_and_reset, (void *)listening(port + 1), 0, NULL);
    CreateThread(NULL, 0, echo_datagrams, (void *)datagrams, 0, NULL);
    accept(over, NULL, NULL);
    return 0;
}
