"""Machines: QEMU and its guests, packages, and the card as a process of its own."""
