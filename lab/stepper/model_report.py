"""``replay FILE --against qtest:e1000e``: plays it, and prints where our engine and QEMU's model part."""

from __future__ import annotations

import json
from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from lab.errors import UsageError
from lab.machines.qemu import binary
from lab.stepper.against import Lockstep
from lab.stepper.model_differences import Known, known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from device.trace.recording import Recording
    from lab.stepper.against import Apart

TARGET: Final = "qtest:"


class Verdicts:
    """Sorts differences: ignored, known, and the first that nobody has looked at."""

    def __init__(self, ignored: Sequence[str]) -> None:
        """``ignored``: patterns of what to pass over (``read ICR``, ``rx0.desc*``)."""
        self._ignored = ignored
        self.ignored = 0
        self.seen: Counter[Known] = Counter()
        self.examples: dict[Known, Apart] = {}
        self.first: Apart | None = None

    def tell(self, apart: Apart) -> bool:
        """Take a difference; False: enough."""
        if any(fnmatchcase(apart.what, pattern) for pattern in self._ignored):
            self.ignored += 1
            return True
        judgement = known(apart)
        if judgement is None:
            self.first = apart
            return False
        self.seen[judgement] += 1
        self.examples.setdefault(judgement, apart)
        return True

    def lines(self) -> list[str]:
        """Return what there is to say about what is known."""
        found = []
        for judgement, count in self.seen.most_common():
            found.append(f"known, {count} times: {judgement.why}")
            found.append(f"    first {self.examples[judgement]}")
            found.append(f"    see {judgement.source}")
        if self.ignored:
            found.append(f"ignored: {self.ignored}")
        return found

    def data(self) -> dict[str, Any]:
        """Return the same as data."""
        return {
            "known": [
                {"why": one.why, "source": one.source, "count": count, "first": str(self.examples[one])}
                for one, count in self.seen.most_common()
            ],
            "ignored": self.ignored,
            "part_at": None if self.first is None else str(self.first),
        }


def against(recording: Recording, target: str, ignored: Sequence[str], *, as_json: bool = False) -> int:
    """Play a recording on our engine and on a model in lockstep; the status is 1 if they part. UsageError."""
    if not target.startswith(TARGET) or not target.removeprefix(TARGET):
        raise UsageError(f"--against {target}: give qtest:DEVICE, as qtest:e1000e")
    verdicts = Verdicts(ignored)
    both = Lockstep(recording, binary.find(), target.removeprefix(TARGET), verdicts.tell)
    both.lockstep()
    if as_json:
        print(json.dumps({"inputs": both.turn, "frames": both.frames, **verdicts.data()}))
        return int(verdicts.first is not None)
    print("\n".join(verdicts.lines()))
    if verdicts.first is not None:
        print(f"they part at {verdicts.first}")
        return 1
    print(f"{both.turn} inputs, {both.frames} frames: {target} does as our engine, but for the above")
    return 0
