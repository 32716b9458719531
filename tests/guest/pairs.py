"""Two interfaces of one guest at the two ends of a cable, the far one in a namespace of its own."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.machines.guest.agent import Result
    from lab.machines.guest.session import Guest

PORT = 8257
LINK_TENTHS = 300


@dataclass(frozen=True, slots=True)
class Pair:
    """A cable inside a guest. ``near`` is in the guest's first namespace, ``far`` in ``namespace``."""

    guest: Guest
    near: str
    far: str
    namespace: str
    network: int

    @property
    def near_address(self) -> str:
        """The near end's IPv4 address."""
        return f"10.82.{self.network}.1"

    @property
    def far_address(self) -> str:
        """The far end's IPv4 address."""
        return f"10.82.{self.network}.2"

    def run(self, script: str, timeout_s: float = 60) -> Result:
        """Run a script at the near end; it must succeed."""
        return self.guest.run(script, timeout_s=timeout_s, check=True)

    def run_far(self, script: str, timeout_s: float = 60) -> Result:
        """Run a script at the far end; it must succeed."""
        return self.run(self.far_script(script), timeout_s)

    def far_script(self, script: str) -> str:
        """Return a command that runs a script at the far end."""
        return f"ip netns exec {self.namespace} sh -c {shlex.quote(script)}"

    def wait_links(self) -> None:
        """Wait until both ends have a carrier."""
        wait = (
            'n=0; until [ "$(cat /sys/class/net/{0}/carrier 2>/dev/null)" = 1 ]; do'
            f" n=$((n+1)); [ $n -lt {LINK_TENTHS} ] || exit 2; sleep 0.1; done"
        )
        self.run(wait.format(self.near))
        self.run_far(wait.format(self.far))

    def set_mtu(self, mtu_bytes: int) -> None:
        """Give both ends an MTU and wait until the drivers have their links back."""
        self.run_far(f"ip link set {self.far} mtu {mtu_bytes}")
        self.run(f"ip link set {self.near} mtu {mtu_bytes}")
        self.wait_links()

    def pings(self, address: str, *options: str, count: int = 3) -> int:
        """Return how many of ``count`` echoes came back to the near end."""
        script = f"ping -q -c {count} -i 0.2 -W 5 {' '.join(options)} {address}"
        out = self.guest.run(script, timeout_s=60).out
        return int(out.partition(" packets transmitted, ")[2].partition(" received")[0] or 0)

    def digests(self, address: str, megabytes: int, *, towards_far: bool) -> tuple[str, str]:
        """Move random bytes by TCP and return the SHA-256 that either end had."""
        listen = (
            self.far_script(f"nc -l -p {PORT} >/tmp/got") if towards_far else f"nc -l -p {PORT} >/tmp/got"
        )
        connect = (
            f"n=0; until exec 3<>/dev/tcp/{address}/{PORT}; do"
            " n=$((n+1)); [ $n -lt 100 ] || exit 1; sleep 0.1; done 2>/dev/null; cat /tmp/sent >&3"
        )
        call = f"bash -c {shlex.quote(connect)}"
        script = (
            f"dd if=/dev/urandom of=/tmp/sent bs=1M count={megabytes} 2>/dev/null\n"
            f"{listen} </dev/null & listener=$!\n"
            f"{call if towards_far else self.far_script(call)}\n"
            "wait $listener\n"
            "sha256sum </tmp/sent; sha256sum </tmp/got; rm /tmp/sent /tmp/got"
        )
        sent, got = self.run(script, timeout_s=120).out.split("-\n")[:2]
        return sent.strip(), got.strip()


def join_pair(guest: Guest, near: str, far: str, namespace: str, network: int) -> Pair:
    """Put ``far`` into a new namespace; both ends get addresses of 10.82.``network``.0/24."""
    pair = Pair(guest, near, far, namespace, network)
    pair.run(
        f"ip netns add {namespace} && ip link set {far} netns {namespace}"
        f" && ip -n {namespace} address add {pair.far_address}/24 dev {far}"
        f" && ip -n {namespace} link set lo up && ip -n {namespace} link set {far} up"
        f" && ip address add {pair.near_address}/24 dev {near} && ip link set {near} up"
    )
    pair.wait_links()
    return pair
