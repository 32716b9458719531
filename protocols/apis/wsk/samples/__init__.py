"""Drivers that use Winsock Kernel."""
