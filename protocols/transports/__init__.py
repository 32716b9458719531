"""Transport protocols: one folder each, with its edges."""
