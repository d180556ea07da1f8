"""Twenty machines at the same moment: each has its own network, and none notices the others."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

from moments import Process, started
from netting import SERVE_ON, greeting
from residue import Residue
from support import POSTROJ

_COUNT = 20
# NAME PORT: tells where it is, and whether it is well, before it serves.
_TELL = f"""
hostname; readlink /proc/self/ns/net; hostname --all-ip-addresses
systemctl list-units --failed --no-legend | tr '\\n' ' '; echo
{SERVE_ON}
"""


def test_twenty_machines_that_serve_on_one_port(bookworm: str, environment: dict[str, str]) -> None:
    before = Residue.take()
    names = [f"many-{number}" for number in range(_COUNT)]
    with ExitStack() as stack:
        machines = {
            name: stack.enter_context(
                started([POSTROJ, "run", f"--name={name}", bookworm, "sh", "-c", _TELL, "sh", name, "80"], environment)
            )
            for name in names
        }
        told = {name: _read(process) for name, process in machines.items()}
        assert [told[name][0] for name in names] == names
        assert len({lines[1] for lines in told.values()} | {os.readlink("/proc/self/ns/net")}) == _COUNT + 1
        assert len({lines[2] for lines in told.values()}) == _COUNT
        assert {name: lines[3] for name, lines in told.items()} == dict.fromkeys(names, "")
        for _ in range(3):
            assert {name: greeting(told[name][2], 80) for name in names} == {name: f"{name}\n" for name in names}

        for process in machines.values():
            process.send_signal(signal.SIGTERM)
        ends = {name: process.communicate(timeout=60) for name, process in machines.items()}
        assert {name: err for name, (_, err) in ends.items()} == dict.fromkeys(names, b"")
        assert {process.returncode for process in machines.values()} == {128 + signal.SIGTERM}
    assert Residue.settled(before) == before
    assert not Path("/run/postroj").exists() or not list(Path("/run/postroj").glob("many-*"))


def _read(process: Process) -> list[str]:
    """Its name, its network namespace, its address, its units that have failed; then it listens."""
    assert process.stdout
    lines = [process.stdout.readline().decode().strip() for _ in range(5)]
    assert lines[4] == "listening", (lines, process.communicate() if process.poll() is not None else "")
    return lines[:4]
