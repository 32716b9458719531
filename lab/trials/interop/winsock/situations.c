/* What each situation answers: situations.exe HOST PORT NOBODY
 *
 * HOST:PORT is the echo server (PORT+1 resets), HOST:4999 has no listener, NOBODY is an address without a host.
 * Prints "name code" lines, 0 where the call succeeded. The twin is lab.trials.interop.situations. */
#include "common.h"
#include <mswsock.h>

enum { CLOSED = 4999, LOCAL = 5101, HUGE_DATAGRAM = 65508 };

static struct sockaddr_in echo, reset, closed, nobody;

static void say(const char *name, int failed)
{
    printf("%s %d\n", name, failed ? WSAGetLastError() : 0);
    fflush(stdout);
}

static SOCKET tcp(void) { return socket(AF_INET, SOCK_STREAM, 0); }
static SOCKET udp(void) { return socket(AF_INET, SOCK_DGRAM, 0); }
static int to(SOCKET s, struct sockaddr_in *a) { return connect(s, (struct sockaddr *)a, sizeof *a); }
static int at(SOCKET s, const char *host, int port)
{
    struct sockaddr_in a = address(host, port);
    return bind(s, (struct sockaddr *)&a, sizeof a);
}
static int sendto_(SOCKET s, const char *data, int size, struct sockaddr_in *a)
{
    return sendto(s, data, size, 0, (struct sockaddr *)a, sizeof *a) == SOCKET_ERROR;
}
static void nonblocking(SOCKET s)
{
    u_long on = 1;
    ioctlsocket(s, FIONBIO, &on);
}
static void patience(SOCKET s, DWORD milliseconds)
{
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&milliseconds, sizeof milliseconds);
}
static int option(SOCKET s, int name)
{
    int on = 1;
    return setsockopt(s, SOL_SOCKET, name, (char *)&on, sizeof on);
}
static SOCKET connected(void)
{
    SOCKET s = tcp();
    if (to(s, &echo))
        say("(no echo server)", 1);
    return s;
}

static void the_library(void)
{
    WSADATA data;
    WSASetLastError(0);
    say("socket before WSAStartup", tcp() == INVALID_SOCKET);
    printf("WSAStartup of version 0.9 %d\n", WSAStartup(MAKEWORD(0, 9), &data));
}

static void opening(void)
{
    say("socket of an unknown family", socket(99, SOCK_STREAM, 0) == INVALID_SOCKET);
    say("socket of an unknown type", socket(AF_INET, 99, 0) == INVALID_SOCKET);
    say("a stream socket by UDP", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP) == INVALID_SOCKET);
    SOCKET s = tcp();
    closesocket(s);
    say("closesocket of a closed socket", closesocket(s));
    say("send on a closed socket", send(s, "x", 1, 0) == SOCKET_ERROR);
}

static void binding(void)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(LOCAL)};
    SOCKET a = tcp(), b = tcp(), c = udp(), d = tcp(), e = tcp(), f = tcp(), g = tcp(), h = tcp();
    at(a, NULL, LOCAL);
    say("bind to a port in use", at(b, NULL, LOCAL));
    say("bind of a bound socket", at(a, NULL, LOCAL + 1));
    say("bind to another host's address", at(d, "192.0.2.1", 0));
    say("bind of IPv4 to an IPv6 address", bind(d, (struct sockaddr *)&six, sizeof six));
    say("listen unbound", listen(d, 1));
    say("listen on a datagram socket", listen(c, 1));
    option(e, SO_EXCLUSIVEADDRUSE);
    at(e, NULL, LOCAL + 2);
    option(f, SO_REUSEADDR);
    say("SO_REUSEADDR beside SO_EXCLUSIVEADDRUSE", at(f, NULL, LOCAL + 2));
    option(g, SO_REUSEADDR);
    at(g, NULL, LOCAL + 3);
    option(h, SO_REUSEADDR);
    say("SO_REUSEADDR twice", at(h, NULL, LOCAL + 3));
    say("SO_EXCLUSIVEADDRUSE after bind", option(a, SO_EXCLUSIVEADDRUSE));
    say("accept without listen", accept(a, NULL, NULL) == INVALID_SOCKET);
    listen(a, 1);
    say("connect of a listening socket", to(a, &echo));
    nonblocking(a);
    say("accept, non-blocking, nobody came", accept(a, NULL, NULL) == INVALID_SOCKET);
    closesocket(a), closesocket(b), closesocket(c), closesocket(d);
    closesocket(e), closesocket(f), closesocket(g), closesocket(h);
}

static void connecting(void)
{
    struct sockaddr_in none = address(NULL, 80), odd = echo, far_away = address("198.51.100.1", 80), name;
    int length = sizeof name;
    char byte;
    SOCKET a = tcp(), b = tcp();
    say("connect to a closed port", to(tcp(), &closed));
    say("connect to 0.0.0.0", to(tcp(), &none));
    none = echo, none.sin_port = 0;
    say("connect to port 0", to(tcp(), &none));
    odd.sin_family = 99;
    say("connect to an unknown family", to(tcp(), &odd));
    say("connect to a network without a route", to(tcp(), &far_away));
    say("recv unconnected", recv(a, &byte, 1, 0) == SOCKET_ERROR);
    say("send unconnected", send(a, "x", 1, 0) == SOCKET_ERROR);
    say("shutdown unconnected", shutdown(a, SD_SEND));
    say("getpeername unconnected", getpeername(tcp(), (struct sockaddr *)&name, &length));
    say("getsockname unbound", getsockname(tcp(), (struct sockaddr *)&name, &length));
    nonblocking(b);
    say("connect, non-blocking", to(b, &nobody));
    say("connect while connecting", to(b, &nobody));
    closesocket(a), closesocket(b);
}

static void streams(void)
{
    char byte;
    u_long count;
    SOCKET a = connected();
    say("connect of a connected socket", to(a, &echo));
    say("listen on a connected socket", listen(a, 1));
    say("shutdown of an unknown direction", shutdown(a, 99));
    patience(a, 600);
    say("recv with SO_RCVTIMEO, nothing came", recv(a, &byte, 1, 0) == SOCKET_ERROR);
    say("recv of urgent data, none came", recv(a, &byte, 1, MSG_OOB) == SOCKET_ERROR);
    closesocket(a);
    a = connected();
    nonblocking(a);
    say("recv, non-blocking, nothing came", recv(a, &byte, 1, 0) == SOCKET_ERROR);
    shutdown(a, SD_SEND);
    say("send after shutdown", send(a, "x", 1, 0) == SOCKET_ERROR);
    closesocket(a);
    a = connected();
    shutdown(a, SD_RECEIVE);
    say("recv after shutdown", recv(a, &byte, 1, 0) == SOCKET_ERROR);
    say("an unknown option", option(a, 0x7777));
    say("a datagram's option on a stream", setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, "\xe0\0\0\x63\0\0\0\0", 8));
    say("an unknown ioctlsocket", ioctlsocket(a, 0x40040001, &count));
    closesocket(a);
    a = tcp();
    to(a, &reset);
    send(a, "x", 1, 0);
    say("recv after the peer's reset", recv(a, &byte, 1, 0) == SOCKET_ERROR);
    say("send after the peer's reset", send(a, "x", 1, 0) == SOCKET_ERROR);
    closesocket(a);
}

static void datagrams(void)
{
    static char huge[HUGE_DATAGRAM];
    struct sockaddr_in all = address("255.255.255.255", CLOSED), none = echo;
    char four[4];
    SOCKET a = udp(), b = udp(), c = udp(), d = udp();
    patience(a, 5000);
    sendto_(a, "more than four", 14, &echo);
    say("recv of a longer datagram", recv(a, four, 4, 0) == SOCKET_ERROR);
    say("a datagram too long", sendto_(a, huge, sizeof huge, &echo));
    say("broadcast without SO_BROADCAST", sendto_(a, "x", 1, &all));
    none.sin_port = 0;
    say("a datagram to port 0", sendto_(a, "x", 1, &none));
    say("send of a datagram to nobody", send(b, "x", 1, 0) == SOCKET_ERROR);
    patience(b, 600);
    say("recv of a datagram unbound", recv(b, four, 4, 0) == SOCKET_ERROR);
    say("accept on a datagram socket", accept(a, NULL, NULL) == INVALID_SOCKET);
    to(c, &closed);
    patience(c, 3000);
    send(c, "x", 1, 0);
    say("recv after ICMP port unreachable, connected", recv(c, four, 4, 0) == SOCKET_ERROR);
    patience(d, 1500);
    sendto_(d, "x", 1, &closed);
    say("recv after ICMP port unreachable, unconnected", recv(d, four, 4, 0) == SOCKET_ERROR);
    closesocket(a), closesocket(b), closesocket(c), closesocket(d);
}

static void waiting(void)
{
    struct timeval now = {0, 0};
    char byte;
    WSABUF buffer = {1, &byte};
    OVERLAPPED pending = {.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL)};
    DWORD count, flags = 0;
    fd_set set;
    say("select without a socket", select(0, NULL, NULL, NULL, &now) == SOCKET_ERROR);
    SOCKET s = connected(), gone = tcp();
    closesocket(gone);
    FD_ZERO(&set);
    FD_SET(gone, &set);
    say("select of a closed socket", select(0, &set, NULL, NULL, &now) == SOCKET_ERROR);
    say("WSARecv overlapped, nothing came", WSARecv(s, &buffer, 1, &count, &flags, &pending, NULL));
    say("its result, not waiting", !WSAGetOverlappedResult(s, &pending, &count, FALSE, &flags));
    CancelIo((HANDLE)s);
    WaitForSingleObject(pending.hEvent, 2000);
    say("its result after CancelIo", !WSAGetOverlappedResult(s, &pending, &count, FALSE, &flags));
    closesocket(s);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: situations HOST PORT NOBODY\n");
        return 2;
    }
    echo = address(argv[1], atoi(argv[2]));
    reset = address(argv[1], atoi(argv[2]) + 1);
    closed = address(argv[1], CLOSED);
    nobody = address(argv[3], 80);
    the_library();
    start();
    opening();
    binding();
    connecting();
    streams();
    datagrams();
    waiting();
    return 0;
}
