"""``bench wfp``: what the filtering platform costs TCP, paired: the same stack, its policies in turn.

With no filter the engine is not in the stack; a disabled one shows that. With a hundred filters at both
transport layers and at the connect and accept layers a connection is looked at once in a policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lab.errors import UsageError
from lab.host.vfio_user_card import Driver
from lab.trials.bench import tcp
from lab.trials.bench.contract import Row, Target
from lab.trials.bench.pairing import Rotation, paired, spread
from ntos.object.token import system_token
from protocols.wfp import layers
from protocols.wfp.bfe import Bfe, Session
from protocols.wfp.conditions import Condition
from protocols.wfp.layers import Field
from protocols.wfp.objects import ActionType, Filter, FilterFlags

if TYPE_CHECKING:
    import argparse

    from lab.trials.bench.tcp_loads import Lane
    from lab.trials.parts import Progress

NAME: Final = "wfp"
HELP: Final = "what filters cost TCP: none, one that is disabled, and a hundred, in turn"
ROUNDS: Final = 9
SECONDS: Final = 0.3
PLAIN, DISABLED, HUNDRED = "no filter", "a disabled filter", "100 filters"
POLICIES: Final = (PLAIN, DISABLED, HUNDRED)
LAYERS: Final = (
    *("INBOUND_TRANSPORT_V4", "OUTBOUND_TRANSPORT_V4"),
    *("ALE_AUTH_CONNECT_V4", "ALE_AUTH_RECV_ACCEPT_V4"),
)
FILTERS: Final = 100
FIRST_PORT: Final = 1_000
METRICS: Final = tcp.METRICS[:3]
UNPAID: Final = Target(0.98)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"rounds (default {ROUNDS})")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help="of each load")
    parser.add_argument("--quick", action="store_true", help="two rounds: a glance")


def run(args: argparse.Namespace, progress: Progress) -> list[Row]:
    """Load one stack under each policy in turn; return the ratios to the stack without a filter."""
    rounds = 2 if args.quick else args.rounds
    if rounds < 1 or args.seconds <= 0:
        raise UsageError("--rounds and --seconds: give at least one round, and more than no time")
    samples: dict[tuple[str, str], list[float]] = {}
    kind = tcp.Kind(tcp.LINUX, Driver.SERIALIZED, tcp.ALL)
    with tcp.lane(kind, "native") as lane:
        for number in range(rounds):
            for metric in METRICS:
                for policy in Rotation(POLICIES).round(number):
                    session = _applied(lane, policy)
                    found = tcp.load(metric, kind, lane, args.seconds)[metric.figures[0][0]]
                    _end(lane, session)
                    samples.setdefault((metric.name, policy), []).append(found)
                    progress(f"round {number + 1}/{rounds}: {metric.name}, {policy}: {found:.0f}")
    return [row for metric in METRICS for row in _rows(metric, samples)]


def _rows(metric: tcp.Metric, samples: dict[tuple[str, str], list[float]]) -> list[Row]:
    """Return the plain figure, and each policy's ratio to it: above 1 is better, of a latency too."""
    plain = samples[metric.name, PLAIN]
    name, is_latency = metric.figures[0][0], metric.figures[0][0].startswith("p")
    of = spread(plain)
    unit = "µs" if is_latency else name
    rows = [Row(NAME, f"{metric.name}, {PLAIN}", of.median, unit, None, (of.least, of.greatest))]
    for policy, target in ((DISABLED, UNPAID), (HUNDRED, None)):
        pair = (samples[metric.name, policy], plain)
        ratio = paired(*(pair[::-1] if is_latency else pair))
        if ratio is not None:
            what = f"{metric.name}, {policy} ÷ {PLAIN}"
            rows.append(Row(NAME, what, ratio.median, "ratio", target, (ratio.least, ratio.greatest)))
    return rows


def _applied(lane: Lane, policy: str) -> Session:
    host = lane.station.host
    with host.executive.entry:
        session = host.upper.system.find(Bfe).engine_open(system_token(), is_dynamic=True)
        session.transaction_begin()
        if policy == DISABLED:
            session.filter_add(_filter(LAYERS[0], 0, FilterFlags.DISABLED))
        elif policy == HUNDRED:
            for layer in LAYERS:
                for at in range(FILTERS // len(LAYERS)):
                    session.filter_add(_filter(layer, at))
        session.transaction_commit()
    return session


def _filter(layer: str, at: int, flags: FilterFlags = FilterFlags.NONE) -> Filter:
    conditions = (Condition(Field.IP_PROTOCOL, 6), Condition(Field.IP_REMOTE_PORT, FIRST_PORT + at))
    return Filter(layers.layer(layer), ActionType.BLOCK, conditions, "bench", flags=flags)


def _end(lane: Lane, session: Session) -> None:
    with lane.station.host.executive.entry:
        session.engine_close()
