"""Where the pieces are put together and run."""
