"""The register bank, as data."""
