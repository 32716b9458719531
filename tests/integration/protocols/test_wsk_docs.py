"""The example of docs/wsk.md runs, and prints what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]


def test_the_example_prints_the_echo() -> None:
    """As a reader would run it: from a file, in the checkout."""
    (program,) = re.findall(r"```python\n(.*?)```", (TOP / "docs/wsk.md").read_text(), re.DOTALL)

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=TOP, capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stdout) == (0, "hello from the kernel\n"), done.stderr
