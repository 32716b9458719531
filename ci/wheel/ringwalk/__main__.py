"""``ringwalk`` and ``python -m ringwalk``: the command line."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; return its exit status."""
    from lab.cli.main import main as run  # noqa: PLC0415 - importable once this package is imported

    return run()


if __name__ == "__main__":
    sys.exit(main())
