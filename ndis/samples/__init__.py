"""Small whole drivers to learn from and to test with."""
