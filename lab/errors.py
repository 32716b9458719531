"""Errors that a user can do something about."""

from __future__ import annotations


class UsageError(Exception):
    """Wrong arguments, a missing right, a busy socket, a full disk, no network.

    The message is one line: what is wrong and the remedy. The command line exits with 2.
    """
