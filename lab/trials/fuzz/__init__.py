"""Hostile guests and hostile clients by the million: generators, attackers, and what watches the attacked."""
