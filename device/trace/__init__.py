"""Events of a running card, breakpoints on them, records of them."""
