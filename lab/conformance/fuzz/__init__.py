"""Random programs through two cards in lockstep, and the smallest program that shows a difference."""
