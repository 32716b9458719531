"""The full screen is driven by textual's pilot and looked at."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import TYPE_CHECKING

import pytest

from device.trace.recording import Recording
from lab.errors import UsageError
from lab.stepper import scenario, screen
from lab.stepper.ndis_bench import NdisBench
from lab.stepper.replaying import Replay
from lab.stepper.tools import Tools
from lab.stepper.workbench import build

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.pilot import Pilot

    from lab.stepper.command import CommandFront
    from lab.stepper.tui import Stepper

textual = pytest.importorskip("textual", reason="the extra `tui` is not installed")
OptionList = pytest.importorskip("textual.widgets").OptionList
Static = pytest.importorskip("textual.widgets").Static
Text = pytest.importorskip("rich.text").Text


async def settled(pilot: Pilot[None], app: Stepper, pictures: int) -> None:
    """Wait until the card has stood so often."""
    for _ in range(500):
        await pilot.pause(0.01)
        if app.pictures >= pictures:
            return
    raise AssertionError(f"{app.pictures} stops, not {pictures}")


def replayed(front: CommandFront) -> str:
    """Step through a small driver's recording."""
    out = io.BytesIO()
    build("rs-forgotten", write=out.write).work(5)
    replay = Replay(Recording(out.getvalue()), front)
    front.tools = Tools(replay.session)
    replay.run()
    return "played"


def live(front: CommandFront) -> str:
    """Step while our own driver runs."""
    bench = NdisBench("serialized", front)
    front.tools = Tools(bench.session)
    return str(bench.work(scenario.parse(["send 3", "receive 2"])))


def stepper(work: Callable[[CommandFront], str] = replayed) -> Stepper:
    """Return a screen on some work."""
    from lab.stepper.tui import Stepper  # noqa: PLC0415 - after the check for the extra

    return Stepper(work, lambda: None)


def test_keys_and_commands_move_the_card_forwards_and_back() -> None:
    """And the panels show where it stands."""

    async def drive() -> list[str]:
        app = stepper()
        titles = []
        async with app.run_test(size=(150, 50)) as pilot:
            await settled(pilot, app, 1)
            await pilot.press(*"break fetch tx0", "enter")
            await pilot.press("f5")
            await settled(pilot, app, 2)
            assert app.picture is not None
            titles.append(app.picture.title)
            assert "EOP|IFCS" in app.picture.event
            assert any(slot.text.startswith("tx[0]  base 0x1000") for slot in app.picture.rings)
            await pilot.press("f6")
            await settled(pilot, app, 3)
            titles.append(app.picture.title)
            await pilot.press("f3")
            await settled(pilot, app, 4)
            titles.append(app.picture.title)
            await pilot.press("f10")
        return titles

    titles = asyncio.run(drive())

    assert [title.split()[1] for title in titles] == ["fetch", "data", "fetch"]
    assert titles[0].split()[0] == titles[2].split()[0]


def test_the_screen_shows_the_panels_and_what_a_command_said() -> None:
    """Looked at as a drawing (SVG), as a user would see it."""

    async def drive() -> str:
        app = stepper()
        async with app.run_test(size=(150, 50)) as pilot:
            await settled(pilot, app, 1)
            await pilot.press(*"until fetch tx0", "enter")
            await settled(pilot, app, 2)
            await pilot.press(*"print tx[0].desc[0].length", "enter")
            await pilot.press(*"nonsense", "enter")
            await pilot.pause(0.2)
            return app.export_screenshot()

    drawing = asyncio.run(drive()).replace("&#160;", " ").replace("&#x27;", "'")

    for text in ("base 0x1000", "64 (0x40)", "there is no command nonsense", "TDT0", "continue"):
        assert text in drawing, text


def test_a_live_driver_s_half_is_beside_the_card_s_and_the_cursor_is_run_to() -> None:
    """A slot is chosen with the arrows; F2 runs to it, Ctrl-C pauses, the end is told."""

    async def drive() -> tuple[str, str, str]:
        app = stepper(live)
        async with app.run_test(size=(160, 60)) as pilot:
            await settled(pilot, app, 1)
            await pilot.press(*"until fetch tx0", "enter")
            await settled(pilot, app, 2)
            assert app.picture is not None
            texts = "\n".join(slot.text for slot in app.picture.rings)
            rings = app.query_one("#rings", OptionList)
            rings.focus()
            rings.highlighted = next(
                n for n, slot in enumerate(app.picture.rings) if (slot.ring, slot.index) == ("tx0", 2)
            )
            await pilot.press("f2")
            await settled(pilot, app, 3)
            title = app.picture.title
            app.query_one("#command").focus()
            await pilot.press(*"detach", "enter")
            for _ in range(500):
                await pilot.pause(0.01)
                if app.done:
                    break
            await pilot.pause(0.1)
            drawing = app.export_screenshot().replace("&#160;", " ")
        return texts, title, drawing

    texts, title, drawing = asyncio.run(drive())

    assert "driver  clean 0  tail 3  told the card 3" in texts
    assert "tx[0].desc[2]" in title
    assert "the end: F10 leaves" in drawing
    assert "3 completed, 0 failed" in drawing


def test_the_command_line_suggests_the_rest_of_a_word() -> None:
    """From what may stand at that place."""
    from lab.stepper.tui import Commands  # noqa: PLC0415 - after the check for the extra

    async def ask() -> list[str | None]:
        suggester = Commands()
        return [await suggester.get_suggestion(text) for text in ("contin", "break fetch tx0 fl", "zzz")]

    assert asyncio.run(ask()) == ["continue", "break fetch tx0 flag=", None]


def test_without_textual_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the status is that of every error a user can mend."""
    monkeypatch.setitem(sys.modules, "textual.app", None)
    monkeypatch.delitem(sys.modules, "lab.stepper.tui", raising=False)

    with pytest.raises(UsageError, match=r"pip install 'ringwalk\[tui\]'"):
        screen.run(lambda _: "")


@pytest.mark.parametrize(("size", "right"), [((80, 24), False), ((140, 40), True)])
def test_a_small_terminal_keeps_the_rings(size: tuple[int, int], right: bool) -> None:  # noqa: FBT001 - of the table
    """At 80 by 24 half of the height is the rings'; the word above says that the card stands."""
    app = stepper()

    async def drive() -> tuple[str, bool, int, int]:
        async with app.run_test(size=size) as pilot:
            await settled(pilot, app, 1)
            title = str(app.query_one("#title", Static).render())
            shown = app.query_one("#right").display
            return title, shown, app.query_one("#rings").size.height, app.query_one("#log").size.height

    title, shown, rings, log = asyncio.run(drive())

    assert title.startswith("STOPPED  #1")
    assert shown is right
    assert rings > log


def test_slots_are_coloured_by_who_has_them_and_titles_are_no_place_for_the_cursor() -> None:
    """Enter does something wherever the cursor can be."""
    app = stepper()

    async def drive() -> tuple[set[str], bool]:
        async with app.run_test(size=(140, 40)) as pilot:
            await settled(pilot, app, 1)
            app.front.command("seek 100")
            await settled(pilot, app, 2)
            rings = app.query_one("#rings", OptionList)
            options = [rings.get_option_at_index(n) for n in range(rings.option_count)]
            styles = {str(one.prompt.style) for one in options if isinstance(one.prompt, Text)}
            return styles, all(one.disabled == (one.id is None) for one in options)

    styles, titles = asyncio.run(drive())

    assert {"bold yellow", "green"} <= styles
    assert titles
