"""Bytes to values and back: the formats that several floors of the house read and write.

Ethernet, VLAN, LLC and SNAP, IPv4, IPv6, TCP, UDP, the Internet checksum, pcapng; and rows as
columns of text. It imports nothing of ours, keeps no state and does no I/O. ``lab.conformance`` builds its
frames without it on purpose: a mistake made here would not show there.
"""
