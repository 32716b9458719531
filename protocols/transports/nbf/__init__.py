"""NetBIOS Frames (NetBEUI) over IEEE 802.2: names, sessions and datagrams of one LAN, sans I/O below TDI."""
