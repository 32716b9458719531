"""Share access, cell by cell; and the UNC providers' table of prefixes."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import itertools
from dataclasses import astuple
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntos.io.create import Share
from ntos.io.sharing import ShareAccess, kinds_of
from ntos.io.status import NtError
from ntos.io.unc import KNOWN_NS, MOST_PREFIXES, MOST_PROVIDERS, UncProviders
from ntos.object.access import Access, FileAccess

if TYPE_CHECKING:
    from random import Random

READ, WRITE, DELETE = int(FileAccess.READ_DATA), int(FileAccess.WRITE_DATA), int(Access.DELETE)
ACCESSES = {Share.READ: READ, Share.WRITE: WRITE, Share.DELETE: DELETE}
KINDS = [Share(bits) for bits in range(8)]

DOCUMENTED: dict[tuple[str, str], set[tuple[str, str]]] = {
    ("r", "r"): {("r", "r"), ("r", "rw")},
    ("r", "w"): {("w", "r"), ("w", "rw")},
    ("r", "rw"): {("r", "r"), ("r", "rw"), ("w", "r"), ("w", "rw"), ("rw", "r"), ("rw", "rw")},
    ("w", "r"): {("r", "w"), ("r", "rw")},
    ("w", "w"): {("w", "w"), ("w", "rw")},
    ("w", "rw"): {("r", "w"), ("r", "rw"), ("w", "w"), ("w", "rw"), ("rw", "w"), ("rw", "rw")},
    ("rw", "r"): {("r", "rw")},
    ("rw", "w"): {("w", "rw")},
    ("rw", "rw"): {("r", "rw"), ("w", "rw"), ("rw", "rw")},
}
"""Who may open second (access, sharing) after the first ("Creating and Opening Files": the two tables)."""


def file() -> Any:  # noqa: ANN401 - what share access writes down of a file object
    return SimpleNamespace(in_use=Share.NONE, shares=Share.NONE)


def access_of(kinds: Share) -> int:
    return sum(bit for kind, bit in ACCESSES.items() if kinds & kind)


def letters(text: str) -> Share:
    return sum(({"r": Share.READ, "w": Share.WRITE}[one] for one in text), start=Share.NONE)


def may(first: tuple[Share, Share], second: tuple[Share, Share]) -> bool:
    shared = ShareAccess()
    shared.set(access_of(first[0]), first[1], file())
    try:
        shared.check(access_of(second[0]), second[1])
    except NtError as error:
        assert "SHARING_VIOLATION" in str(error)  # noqa: PT017 - either is right
        return False
    return True


@pytest.mark.parametrize("first", DOCUMENTED)
def test_the_documented_table_holds_in_every_cell(first: tuple[str, str]) -> None:
    seen = {
        second
        for second in itertools.product(("r", "w", "rw"), repeat=2)
        if may((letters(first[0]), letters(first[1])), (letters(second[0]), letters(second[1])))
    }

    assert seen == DOCUMENTED[first]


@pytest.mark.parametrize("first_access", KINDS)
@pytest.mark.parametrize("first_share", KINDS)
def test_all_4096_cells_follow_the_rule(first_access: Share, first_share: Share) -> None:
    """Each must let the other do what it does; who does none of the three is not in the way, nor kept out."""
    for access, share in itertools.product(KINDS, repeat=2):
        meets = bool(access) and bool(first_access)
        expected = not meets or not (access & ~first_share or first_access & ~share)

        assert may((first_access, first_share), (access, share)) == expected, (access, share)


@pytest.mark.parametrize(
    ("access", "kinds"),
    [
        (FileAccess.READ_DATA, Share.READ),
        (FileAccess.EXECUTE, Share.READ),
        (FileAccess.WRITE_DATA, Share.WRITE),
        (FileAccess.APPEND_DATA, Share.WRITE),
        (Access.DELETE, Share.DELETE),
        (FileAccess.READ_ATTRIBUTES | FileAccess.WRITE_ATTRIBUTES | Access.SYNCHRONIZE, Share.NONE),
        (Access.READ_CONTROL | Access.WRITE_DAC | FileAccess.READ_EA | FileAccess.WRITE_EA, Share.NONE),
        (FileAccess.ALL, Share.ALL),
    ],
)
def test_only_reading_writing_and_deleting_are_shared_or_not(access: int, kinds: Share) -> None:
    assert kinds_of(access) is kinds


def test_an_open_that_is_refused_is_not_counted() -> None:
    shared, second = ShareAccess(), file()
    shared.set(READ, Share.READ, file())
    before = astuple(shared)

    with pytest.raises(NtError, match="SHARING_VIOLATION"):
        shared.check(WRITE, Share.ALL, second)

    assert astuple(shared) == before


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS)), max_size=8), st.randoms())
def test_what_was_counted_is_taken_off_again_in_any_order(
    opens: list[tuple[Share, Share]], order: Random
) -> None:
    shared, files = ShareAccess(), []
    for access, share in opens:
        one = file()
        try:
            shared.check(access_of(access), share, one)
        except NtError:
            continue
        files.append(one)
    order.shuffle(files)

    for one in files:
        shared.remove(one)
        shared.remove(one)  # a second time is nothing

    assert astuple(shared) == (0,) * 7


# UNC providers


def test_the_longest_known_prefix_says_whose_a_path_is() -> None:
    unc = UncProviders()
    smb, web = unc.register("\\Device\\LanmanRedirector", mailslots=True), unc.register("\\Device\\WebDav")
    unc.claim("\\server\\share", smb, 0)
    unc.claim("\\server\\share\\web", web, 0)

    found = [
        unc.find(path, 1)
        for path in (
            "\\SERVER\\Share\\a\\b",
            "\\server\\share\\WEB\\x",
            "\\server\\share2\\a",
            "\\server",
            "",
        )
    ]

    assert found == [(smb, "\\SERVER\\Share"), (web, "\\server\\share\\WEB"), None, None, None]


def test_a_prefix_that_nobody_uses_is_forgotten_and_one_in_use_is_not() -> None:
    unc = UncProviders()
    smb = unc.register("\\Device\\LanmanRedirector")
    unc.claim("\\server\\share", smb, 0)

    found = [
        unc.find("\\server\\share\\x", now) is not None for now in (KNOWN_NS, 2 * KNOWN_NS, 4 * KNOWN_NS)
    ]

    assert found == [True, True, False]


def test_a_provider_that_leaves_takes_its_prefixes_along() -> None:
    unc = UncProviders()
    smb = unc.register("\\Device\\LanmanRedirector")
    unc.claim("\\server\\share", smb, 0)

    unc.deregister(smb)

    assert unc.find("\\server\\share", 0) is None
    with pytest.raises(NtError, match="NOT_FOUND"):
        unc.deregister(smb)
    with pytest.raises(NtError, match="NOT_FOUND"):
        unc.claim("\\a\\b", smb, 0)


def test_providers_are_asked_in_the_order_that_the_registry_says() -> None:
    unc = UncProviders()
    for name in ("\\Device\\A", "\\Device\\B", "\\Device\\C"):
        unc.register(name)

    unc.order(["\\device\\c", "\\Device\\Unknown", "\\Device\\B"])

    assert [one.device[-1] for one in unc.providers] == ["C", "B", "A"]


def test_forgetting_a_path_forgets_its_prefixes_and_no_neighbour() -> None:
    unc = UncProviders()
    smb = unc.register("\\Device\\LanmanRedirector")
    unc.claim("\\server\\share", smb, 0)
    unc.claim("\\server\\share2", smb, 0)

    unc.forget("\\Server\\Share2\\x")

    assert [unc.find(path, 0) is None for path in ("\\server\\share", "\\server\\share2")] == [False, True]


def test_prefixes_and_providers_are_bounded() -> None:
    unc = UncProviders()
    providers = [unc.register(f"\\Device\\{number}") for number in range(MOST_PROVIDERS)]
    for number in range(MOST_PREFIXES + 1):
        unc.claim(f"\\server\\{number}", providers[0], 0)

    found = [unc.find(f"\\server\\{number}", 0) is not None for number in (0, 1, MOST_PREFIXES)]

    assert found == [False, True, True]
    with pytest.raises(NtError, match="INSUFFICIENT_RESOURCES"):
        unc.register("\\Device\\one more")
    with pytest.raises(NtError, match="COLLISION"):
        unc.register("\\DEVICE\\0")
