"""AppleTalk phase 2: AARP, DDP, NBP, RTMP, ZIP, AEP and ATP over Ethernet, under TDI."""
