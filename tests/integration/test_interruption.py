"""Ctrl-C, SIGTERM and SIGKILL of postroj at moments that can be seen from outside: nothing is left behind."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from signal import Signals

import pytest

from moments import AT_ONCE, Process, deliver, guest_init, handles, running, started, until
from residue import Residue
from support import POSTROJ, Run

_IN_GUEST = "31313"
"""What the command in the guest sleeps, so that it is told from all others."""

_MOMENTS: dict[str, Callable[[Process], object]] = {
    "it handles signals": lambda process: handles(process, Signals.SIGTERM),
    "its runtime directory is there": lambda process: Path("/run/postroj/postroj-debian-bookworm").exists(),
    "the guest's PID 1 is there": guest_init,
    "its link is there": lambda process: any(name.startswith("pj-") for name in os.listdir("/sys/class/net")),
    "the command runs": lambda process: running("sleep", _IN_GUEST),
    "the package is being installed": lambda process: running("sleep", _IN_GUEST),
}

_SIGNALS = [Signals.SIGINT, Signals.SIGTERM, Signals.SIGKILL]


@pytest.fixture(scope="module")
def slow_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package whose installation never ends."""
    tree = tmp_path_factory.mktemp("slow")
    control = tree / "DEBIAN"
    control.mkdir(mode=0o755)
    (control / "control").write_text(
        "Package: slow\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: slow\n"
    )
    script = control / "postinst"
    script.write_text(f"#!/bin/sh\nexec sleep {_IN_GUEST}\n")
    script.chmod(0o755)
    package = tree.with_suffix(".deb")
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, package], check=True, capture_output=True)
    return package


@pytest.mark.parametrize("signum", _SIGNALS, ids=lambda signum: signum.name)
@pytest.mark.parametrize("moment", _MOMENTS)
def test_ended_when(
    moment: str, signum: Signals, bookworm: str, slow_package: Path, postroj: Run, environment: dict[str, str]
) -> None:
    words = ["run", bookworm, "sleep", _IN_GUEST]
    if moment == "the package is being installed":
        words = ["pkgprobe", "--image", bookworm, "--package", str(slow_package)]
    before = Residue.take()
    with started([POSTROJ, *words], environment) as process:
        until(lambda: _MOMENTS[moment](process) or process.poll() is not None, moment, every=AT_ONCE)
        assert process.poll() is None, process.communicate()
        deliver(process, signum)
        out, err = process.communicate(timeout=60)

    if signum is signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        # Processes, mounts and links are gone with it, by the kernel; the next command sweeps up the rest.
        assert Residue.settled_by_kernel(before.by_kernel()) == before.by_kernel()
        assert postroj("run", bookworm, "true").returncode == 0
    else:
        assert process.returncode == 128 + signum, err
        assert b"Traceback" not in err
    assert Residue.left(before) == before
    assert out == b""


@pytest.mark.parametrize("signum", _SIGNALS, ids=lambda signum: signum.name)
def test_ended_before_it_can_think(signum: Signals, bookworm: str, environment: dict[str, str]) -> None:
    """Python itself may not have started: any end will do, so long as it is one."""
    before = Residue.take()
    with started([POSTROJ, "run", bookworm, "sleep", _IN_GUEST], environment) as process:
        deliver(process, signum)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert Residue.left(before) == before


def test_a_second_ctrl_c_does_not_break_the_teardown(bookworm: str, environment: dict[str, str]) -> None:
    def pressed_again() -> bool:
        deliver(process, Signals.SIGINT)
        return process.poll() is not None

    before = Residue.take()
    with started([POSTROJ, "run", bookworm, "sleep", _IN_GUEST], environment) as process:
        until(lambda: running("sleep", _IN_GUEST), "the command runs")
        until(pressed_again, "postroj has ended", seconds=20, every=AT_ONCE)
        _, err = process.communicate()
    assert (process.returncode, err) == (130, b"")
    assert Residue.left(before) == before
