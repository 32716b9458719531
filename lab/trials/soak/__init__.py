"""A long mixed load on a live card, and whether memory, descriptors and rates stay flat."""
