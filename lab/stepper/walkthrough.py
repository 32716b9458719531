"""The bug hunt that docs/stepping.md tells, done by this program: commands, and what they answer.

It is a script and not a recording of a terminal: the text is made anew each time, and a test holds the page
against it.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from device.trace.recording import Recording
from device.trace.rules import Severity
from lab.stepper.prompt import Prompt
from lab.stepper.replaying import Replay
from lab.stepper.tools import Tools
from lab.stepper.workbench import build

if TYPE_CHECKING:
    from collections.abc import Iterator

FAULT: Final = "rs-forgotten"

STEPS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (
        "The driver says that its ring is full. Go to the end of its life and look at the ring.",
        ("seek 100000", "ring tx0"),
    ),
    (
        """The card owns nothing: head has met tail, so it has sent all it was given. A healthy ring would
show DD behind each descriptor; here each says that it never gets one. `why` puts it together.""",
        ("why tx0",),
    ),
    (
        """So no completion interrupt can have been sent either. Vector 1 is the transmit vector.""",
        ("interrupts", "break irq vector=1", "reverse-continue", "where"),
    ),
    (
        """Never: going back for one leads to the beginning. So look at a frame on its way: the doorbell,
then stage by stage what the card does with it.""",
        ("delete all", "until doorbell tx value>0", "step", "descriptor", "step 2", "step", "step"),
    ),
    (
        """Fetch, data, frame, and then the next thing is the queue-empty cause: no write-back in between.
The card writes back only where a descriptor asks for it with RS; this one says EOP|IFCS and no more.
Is there any descriptor with RS at all?""",
        (
            "seek 1",
            "break fetch tx0 flag=RS",
            "continue",
            "print [(d.index, sorted(d.flags)) for d in [tx[0].desc[n] for n in range(7)]]",
            "lint",
        ),
    ),
)


def walk() -> str:
    """Return the whole hunt as text."""
    out = io.BytesIO()
    symptom = build(FAULT, write=out.write).work()
    recording = Recording(out.getvalue())
    parts = [
        f"$ ringwalk step --fault {FAULT} --record bad.rw",
        str(symptom),
        "recorded in bad.rw",
    ]
    parts.append(_hunt(recording))
    parts.append("$ ringwalk replay bad.rw --check; echo status $?")
    parts.append(_check(recording))
    return "\n".join(parts) + "\n"


def _lines(text: io.StringIO) -> Iterator[str]:
    """Yield the hunt's commands; what is said between them goes to the text."""
    for why, lines in STEPS:
        text.write("\n" + "".join(f"# {row}\n" for row in why.splitlines()) + "\n")
        for line in lines:
            text.write(f"(ringwalk) {line}\n")
            yield line
    text.write("(ringwalk) quit\n")
    yield "quit"


def _hunt(recording: Recording) -> str:
    text = io.StringIO()
    prompt = Prompt(_lines(text), text)
    replay = Replay(recording, prompt)
    prompt.tools = Tools(replay.session)
    replay.run()
    return text.getvalue()


def _check(recording: Recording) -> str:
    """Return what ``replay --check`` prints, its time aside."""
    prompt = Prompt([])
    replay = Replay(recording, prompt)
    replay.session.detach()
    tools = Tools(replay.session)
    replay.run()
    player = replay.player
    findings = tools.checker.findings()
    wrong = player.differences or any(one.rule.severity is Severity.ERROR for one in findings)
    lines = [*map(str, findings), "check failed" if wrong else "check passed", f"status {int(bool(wrong))}"]
    return "\n".join(lines)
