"""The shape of the repository: who may import whom, and what the packaging lists."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[3]
OURS = ("formats", "device", "ntos", "ndis", "miniport", "protocols", "lab")

BELOW = OURS[:-1]
LAB = (
    "lab.machines",
    "lab.host",
    "lab.conformance",
    "lab.stepper",
    "lab.trials",
    "lab.cli",
    "lab.errors",
    "lab.logs",
)

# Imports point towards the metal: what each folder may import of the others.
# "device.regs" means that package and what is below it, no more.
ALLOWED: dict[str, tuple[str, ...]] = {
    "formats": ("formats",),
    "device": ("device", "formats"),
    "device/vfio_user": ("device.vfio_user",),
    "ntos": ("ntos", "formats"),
    "ndis": ("ndis", "ntos", "formats"),
    "miniport": (
        *("miniport", "ndis", "ntos", "formats", "device.regs", "device.rings"),
        "device.vfio_user.hardened",  # _build.py: the flags that every C module is compiled with
    ),
    "miniport/hal": (
        "miniport",
        "ndis",
        "ntos",
        "formats",
        "device",
    ),  # buses
    "protocols": ("protocols", "ndis", "ntos", "formats"),
    "lab": OURS,
    "lab/machines": (*BELOW, "lab.machines", "lab.errors", "lab.logs"),
    "lab/host": (*BELOW, "lab.host", "lab.machines", "lab.errors", "lab.logs"),
    "lab/conformance": (*BELOW, "lab.conformance", "lab.host", "lab.machines", "lab.errors", "lab.logs"),
    "lab/stepper": (
        *BELOW,
        "lab.stepper",
        "lab.conformance",
        "lab.host",
        "lab.machines",
        "lab.errors",
        "lab.logs",
    ),
    "lab/trials": (*BELOW, *(room for room in LAB if room != "lab.cli")),
}


def _sources(folder: str) -> list[Path]:
    nested = [TOP / other for other in ALLOWED if other.startswith(folder + "/")]
    return [
        path
        for path in sorted((TOP / folder).rglob("*.py"))
        if not any(path.is_relative_to(other) for other in nested)
    ]


def _absolute(path: Path, node: ast.ImportFrom) -> str:
    """Return the module's full name; only ``device.vfio_user``, publishable alone, imports relatively."""
    if not node.level:
        return node.module or ""
    assert path.is_relative_to(TOP / "device/vfio_user"), f"{path}: relative import"
    package = path.parent.relative_to(TOP).parts[: len(path.parent.relative_to(TOP).parts) - node.level + 1]
    return ".".join((*package, *filter(None, [node.module])))


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(_absolute(path, node))
    return {name for name in names if name.split(".")[0] in OURS}


@pytest.mark.parametrize("folder", [folder for folder in ALLOWED if (TOP / folder).is_dir()])
def test_imports_point_towards_the_metal(folder: str) -> None:
    """design.md, "Layout": protocols, ndis, miniport, device; lab may import all."""
    allowed = ALLOWED[folder]

    wrong = [
        f"{path.relative_to(TOP)} imports {name}"
        for path in _sources(folder)
        for name in sorted(_imports(path))
        if not any(name == may or name.startswith(may + ".") for may in allowed)
    ]

    assert wrong == []


def test_every_folder_with_code_is_a_package() -> None:
    """Setuptools finds packages by their ``__init__.py``; others would be missing from a wheel."""
    lacking = {
        str(path.parent.relative_to(TOP))
        for folder in OURS
        for path in (TOP / folder).rglob("*.py")
        if not (path.parent / "__init__.py").is_file()
    }

    assert lacking == set()


def test_no_file_names_a_path_of_one_machine() -> None:
    """What is committed works elsewhere."""
    marks = ["/" + "work/", str(Path.home()) + "/.", str(TOP) + "/"]
    suffixes = {".py", ".c", ".h", ".md", ".toml", ".sh", ".json"}

    guilty = [
        str(path.relative_to(TOP))
        for folder in (*OURS, "tests", "docs", "ci", "guest-images")
        for path in (TOP / folder).rglob("*")
        if path.suffix in suffixes and any(mark in path.read_text(errors="replace") for mark in marks)
    ]

    assert guilty == []
