"""The 82574L, from the VMM's socket to the cable."""
