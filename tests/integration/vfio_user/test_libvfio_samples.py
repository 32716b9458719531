"""libvfio-user's samples judge both our ends: its client our device on the binding, its server our client."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from mmap import mmap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device.vfio_user import Client, PciIrq
from device.vfio_user.examples import clocked
from lab.machines import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = os.fspath(Path(__file__).resolve().parents[3])


@pytest.fixture
def late_guest(tmp_path: Path) -> Path:
    """Compile what makes the client's "fake guest" begin after the pre-copy, as it does on a quick machine.

    The client compares BAR1 with a checksum that it goes on with from write to write (``fake_guest``): it is
    right only if that thread has written once; against its own server it fails so too (3 runs of 8 on a busy
    machine). The delay is shorter than the migration's alarm, 9 s by 8, by far.
    The thread begins by opening /dev/urandom.
    """
    source = tmp_path / "late.c"
    source.write_text(
        "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <stdio.h>\n#include <unistd.h>\n"
        "FILE *fopen(const char *path, const char *mode)\n{\n"
        "    FILE *(*real)(const char *, const char *) = dlsym(RTLD_NEXT, __func__);\n"
        "    usleep(200000);\n    return real(path, mode);\n}\n"
    )
    made = tmp_path / "late.so"
    subprocess.run(["cc", "-shared", "-fPIC", source, "-o", made, "-ldl"], check=True)
    return made


@pytest.fixture
def folder(tmp_path: Path, binding: Path) -> Path:
    """Lay out the samples' folder: their client, and a ``server`` beside it that is ours."""
    (tmp_path / "client").symlink_to(fetch.tree("libvfio-user") / "samples/client")
    program = [sys.executable, "-m", "device.vfio_user.examples.clocked", "--binding", str(binding)]
    here = f"cd {shlex.quote(CHECKOUT)}\nunset LD_PRELOAD"
    text = f'#!/bin/sh\n{here}\nexec {shlex.join(program)} --speed 8 "$@"\n'
    (tmp_path / "server").write_text(text)
    (tmp_path / "server").chmod(0o755)
    return tmp_path


def wait_socket(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a server listens, or has ended."""
    while not path.exists() and process.poll() is None:
        time.sleep(0.01)


@pytest.mark.extra  # the client races with itself: on a busy machine it fails against its own server, too
def test_its_client_passes_against_our_device(folder: Path, late_guest: Path) -> None:
    """Regions, interrupts, DMA by messages, dirty pages, and a migration to a second server of ours.

    The client forks and its first process becomes the destination; that one ends with the client's status.
    """
    path = folder / "s"
    with subprocess.Popen([folder / "server", path], stdout=subprocess.PIPE, text=True) as source:
        wait_socket(path, source)

        client = subprocess.run(
            [folder / "client", path],
            env={**os.environ, "LD_PRELOAD": os.fspath(late_guest)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        source_told = json.loads(source.communicate(timeout=30)[0])

    destination_told = json.loads(next(t for t in client.stdout.splitlines() if t.startswith("{")))
    assert (client.returncode, source.returncode) == (0, 0), client.stderr
    assert source_told == {"alarms": 1, "dma_bytes": 8192, "restored_bytes": 0}
    assert destination_told == {"alarms": 1, "dma_bytes": 8192, "restored_bytes": 2 * 0x3000 + 8}
    assert client.stdout.count("INTx triggered!") == 2


@pytest.fixture
def theirs(tmp_path: Path, binding: Path) -> Iterator[Client]:  # noqa: ARG001 - the library is there then
    """Start their sample server and connect our client to it."""
    path = tmp_path / "s"
    program = fetch.tree("libvfio-user") / "samples/server"
    with subprocess.Popen([program, path], stderr=subprocess.PIPE, text=True) as process:
        wait_socket(path, process)
        with Client.connect(path) as client:
            yield client
        assert process.wait(10) == 0


def test_our_client_maps_a_region_of_its_server(theirs: Client) -> None:
    """BAR1 has two sparse areas; what is written by message is seen in the first of them."""
    data = bytes(range(256)) * 16

    theirs.write(clocked.BAR1, 0, data)

    areas = theirs.map_region(clocked.BAR1)
    assert [(area.offset, area.size) for area, _ in areas] == [(0, 0x1000), (0x2000, 0x1000)]
    assert areas[0][1][:] == data


def test_our_client_takes_an_interrupt_and_serves_its_server_s_dma(theirs: Client) -> None:
    """An alarm a second ahead; then the server writes 4096 bytes by message and reads them back."""
    file = os.memfd_create("ram", os.MFD_CLOEXEC)
    os.ftruncate(file, 0x1000)
    ram = mmap(file, 0x1000)
    theirs.map_dma(0, ram, fd=file)
    event = os.eventfd(0, os.EFD_CLOEXEC)
    theirs.enable_irqs(PciIrq.INTX, [event])

    theirs.write(clocked.BAR0, 0, clocked.TIME.pack(int(time.time()) + 1))
    served = 0
    while served < 2 and theirs.process(timeout_s=10):
        served += 1

    assert (served, os.eventfd_read(event), ram[:]) == (2, 1, b"A" * 0x1000)
    theirs.unmap_dma(0, 0x1000)
    os.close(event)
    os.close(file)


def test_our_client_moves_its_server_s_state(theirs: Client) -> None:
    """Stop-and-copy, by the registers of migration version 1: BAR1 and the alarm's instant come out."""
    content = os.urandom(clocked.BAR1_BYTES)
    instant = clocked.TIME.pack(int(time.time()) + 100)
    theirs.write(clocked.BAR1, 0, content)
    theirs.write(clocked.BAR0, 0, instant)

    theirs.write(clocked.MIGRATION, 0, (2).to_bytes(4, "little"))  # device_state: saving
    pending, offset, size = (
        int.from_bytes(theirs.read(clocked.MIGRATION, at, 8), "little") for at in (8, 16, 24)
    )
    state = theirs.read(clocked.MIGRATION, offset, size)

    assert (pending, size, state) == (len(state), len(state), content + instant)
