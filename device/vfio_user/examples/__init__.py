"""Devices to start from; each is a program of its own."""
