"""Linux's end of ``interop dlc``: the scripted printer behind a socket of AF_LLC. Runs in a guest."""

from __future__ import annotations

import importlib
import json
import os
import sys


def main() -> None:
    """Listen at a SAP, print what one peer sends until it closes; print what was printed, as JSON."""
    # They are beside this file in the guest, and nowhere else.
    jetdirect, llc_peer = (importlib.import_module(name) for name in ("jetdirect", "llc_peer"))
    sap, ours = sys.argv[1:3]
    number = llc_peer.bound(llc_peer.STREAM, int(sap, 0), bytes.fromhex(ours))
    llc_peer.checked(llc_peer.LIBC.listen(number, 1))
    print("listening", file=sys.stderr, flush=True)
    taken = llc_peer.checked(llc_peer.LIBC.accept(number, None, None))
    printer = jetdirect.Printer()
    while piece := os.read(taken, llc_peer.LIMIT):
        said = printer.receive(piece)
        if said:
            llc_peer.written(taken, said)
    print(json.dumps([job.hex() for job in printer.jobs]))


if __name__ == "__main__":
    main()
