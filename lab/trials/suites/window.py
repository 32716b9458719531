"""Lets ``ringwalk ndis`` look at the rig whose case is running now.

A suite has no lock and never rests: questions are served between two crossings of a driver's border.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.host.control_socket import QuestionError
from lab.host.inspection import Inspected
from lab.host.inspection_gate import EventDesk
from ndis.journal import Journal, Tee, attach

if TYPE_CHECKING:
    from lab.trials.suites.subjects import ClosableRig


class Window:
    """What is to be seen of a suite at the moment."""

    def __init__(self) -> None:
        self._desk = EventDesk()
        self._shown: Inspected | None = None

    def stack(self) -> Inspected:
        """Return the rig's stack. QuestionError between two cases."""
        if self._shown is None:
            raise QuestionError("no case runs at this moment: ask again")
        return self._shown

    def show(self, rig: ClosableRig) -> None:
        """Show a new rig."""
        journal = Journal()
        attach(rig.ndis, Tee(journal, self._desk))
        self._shown = Inspected(rig.ndis, self._desk, journal, rig.verifier)

    def hide(self) -> None:
        """Show nothing; who has asked and was not served is told so."""
        self._shown = None
        self._desk.refuse()
