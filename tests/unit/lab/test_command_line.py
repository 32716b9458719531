"""The command line itself."""

from __future__ import annotations

import pytest

from lab.cli.main import with_system_programs


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/local/bin:/usr/bin:/bin", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
        ("/usr/sbin:/usr/bin", "/usr/sbin:/usr/bin:/sbin"),
        ("/sbin:/usr/sbin:/bin", "/sbin:/usr/sbin:/bin"),
        ("", "/usr/sbin:/sbin"),
    ],
)
def test_an_ordinary_user_finds_the_system_s_programs_behind_its_own(path: str, expected: str) -> None:
    """An empty entry, which would be the current folder, does not stay."""
    assert with_system_programs(path) == expected
    assert with_system_programs(path + ":") == expected
