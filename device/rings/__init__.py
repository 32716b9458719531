"""Descriptor formats and ring index arithmetic."""
