"""The data path: one contract, two engines."""
