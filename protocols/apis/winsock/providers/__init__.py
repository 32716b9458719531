"""Layered providers, written against the service provider interface alone."""
