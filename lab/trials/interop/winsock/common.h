/* What the three programs share: Winsock started, addresses, and the bytes that an echo of a size has. */
#pragma once
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sockaddr_in address(const char *host, int port)
{
    struct sockaddr_in to = {0};
    to.sin_family = AF_INET;
    to.sin_port = htons((u_short)port);
    to.sin_addr.s_addr = host ? inet_addr(host) : INADDR_ANY;
    return to;
}

static inline void start(void)
{
    WSADATA data;
    if (WSAStartup(MAKEWORD(2, 2), &data)) {
        fprintf(stderr, "WSAStartup failed\n");
        exit(2);
    }
}

/* Numerical Recipes' generator, one byte a step: the twin is lab.trials.interop.echo.pattern. */
static inline void pattern(unsigned char *to, size_t size)
{
    uint32_t state = (uint32_t)size;
    for (size_t at = 0; at < size; at++) {
        state = state * 1664525u + 1013904223u;
        to[at] = (unsigned char)(state >> 24);
    }
}
