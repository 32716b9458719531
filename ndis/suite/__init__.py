"""A test suite for miniports: one-card and two-card cases, over any driver written against ndis."""
