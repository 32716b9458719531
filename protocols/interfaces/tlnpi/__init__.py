"""The transport layer network provider interface (TLNPI): what a transport offers to socket layers.

``npi`` is the contract; TCP/IP provides it (``tl_edge``), ``protocols.apis.wsk`` is its client.
"""
