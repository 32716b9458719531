"""The transport layer network provider interface (TLNPI): what a transport offers to socket layers.

``npi`` is the contract; ``protocols.tcpip_tl`` is TCP/IP's provider of it, ``protocols.wsk`` its client.
"""
