"""Whole NT hosts, put together: cards, NDIS, TCP/IP, TDI, AFD and Winsock, on one executive."""
