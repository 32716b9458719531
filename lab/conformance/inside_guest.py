"""What ``guest:CARD`` runs in the guest: takes the 82574L from its driver, and checks it by VFIO."""

from __future__ import annotations

import argparse
import json
import sys

from lab.conformance import runner
from lab.conformance.targets.guest import chosen, emitted
from lab.conformance.targets.named import Named
from lab.conformance.targets.vfio import VfioBench
from miniport.hal.vfio import bind, find


def main() -> int:
    """Read check ids from standard input; write a line an outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wire", required=True, help="the interface at the far end of the card's cable")
    parser.add_argument("--target", required=True, help="what the outcomes call the card")
    args = parser.parse_args()
    address = find()[0]
    bind(address)
    target = Named(args.target, lambda: VfioBench(address, args.wire))
    for outcome in runner.run(chosen(json.load(sys.stdin)), target):
        print(emitted(outcome), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
