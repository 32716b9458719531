"""The edges that protocol drivers export and import: TDI, TLNPI, NMR."""
