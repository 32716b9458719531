"""Write the generated parts of the documentation, or check that they are what would be written.

``python ci/generated.py`` writes; ``--check`` prints the stale files and exits with 1. It knows which
file is rendered from what, and nothing of how.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import imports
import states

from device.regs.nic import NIC
from device.regs.render import markdown
from device.sandbox import needs
from lab.host import systems
from lab.trials.fuzz import faults

TOP = Path(__file__).resolve().parents[1]
FAULTS_HEAD = """# The fault table

What broke other models of such cards, or could break ours, and the tests that show that it does not, on both
engines. `./ringwalk fuzz --table` runs them and prints this table with what they said.

"""


def architecture() -> str:
    """Return docs/architecture.md with the map of the imports as they are now."""
    page = (TOP / "docs/architecture.md").read_text()
    between = re.compile(r"(<!-- map: [^>]*-->\n).*(<!-- end of map -->)", re.DOTALL)
    return between.sub(lambda found: f"{found[1]}\n{imports.drawn(imports.graph())}\n\n{found[2]}", page)


def contents() -> dict[Path, str]:
    """Return every generated file of the documentation with its text."""
    return {
        TOP / "docs/reference/registers.md": markdown(NIC),
        TOP / "docs/reference/sandbox.md": needs.markdown(),
        TOP / "docs/reference/faults.md": FAULTS_HEAD + faults.markdown(),
        TOP / "docs/reference/systems.md": systems.markdown(),
        TOP / "docs/reference/states.md": states.markdown(),
        TOP / "docs/architecture.md": architecture(),
    }


def stale() -> list[Path]:
    """Return the generated files whose text is not what would be written."""
    return [path for path, text in contents().items() if not path.exists() or path.read_text() != text]


def main(argv: list[str]) -> int:
    """Write or check; return the exit status."""
    if "--check" in argv:
        names = [str(path.relative_to(TOP)) for path in stale()]
        print("\n".join(names) or "generated files are up to date")
        return bool(names)
    for path, text in contents().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
