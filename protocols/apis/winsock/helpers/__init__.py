"""Winsock helper DLLs: what a family of addresses means to Winsock, one helper a transport.

A transport's INF file names its helper (HelperDllName, below its service's Parameters), and Winsock finds it
by that. Neither AFD nor MSAFD looks into an address.
"""
