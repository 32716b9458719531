"""The full screen is driven by textual's pilot and looked at."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

import pytest

from device.trace.recording import Recording
from lab.step.workbench import build

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from lab.step.tui import Stepper

textual = pytest.importorskip("textual", reason="the extra `tui` is not installed")


async def settled(pilot: Pilot[None], app: Stepper, pictures: int) -> None:
    """Wait until the card has stood so often."""
    for _ in range(500):
        await pilot.pause(0.01)
        if app.pictures >= pictures:
            return
    raise AssertionError(f"{app.pictures} stops, not {pictures}")


def stepper() -> Stepper:
    """Return a screen on a small driver's recording."""
    from lab.step.tui import Stepper  # noqa: PLC0415 - after the check for the extra

    out = io.BytesIO()
    build("rs-forgotten", write=out.write).work(5)
    return Stepper(Recording(out.getvalue()))


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
            assert "tx[0]  base 0x1000" in app.picture.rings
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
