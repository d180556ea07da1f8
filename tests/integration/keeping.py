"""Machines that are kept after their probe, and the processes that keep them."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from moments import until
from support import Run

RUNTIME = Path("/run/postroj")


class Kept(NamedTuple):
    """A machine that was kept, and what was printed."""

    name: str
    status: int
    out: str
    err: str

    @property
    def leader(self) -> int:
        """Its PID 1, as the host counts."""
        return int(record(self.name)["leader"])

    @property
    def keeper(self) -> int:
        """The process that keeps it."""
        return keeper(self.name)


class Keep:
    """Has machines kept, and removes those that a test leaves."""

    def __init__(self, postroj: Run, image: str) -> None:
        self._postroj = postroj
        self._image = image
        self._names: list[str] = []

    def __call__(self, *words: str | Path, how: str = "--keep", status: int = 0) -> Kept:
        """Have a machine kept by `postroj pkgprobe` with these options."""
        done = self._postroj("pkgprobe", how, f"--image={self._image}", *words)
        assert done.returncode == status, (done.stdout, done.stderr)
        machine = kept(done.returncode, done.stdout, done.stderr)
        self._names.append(machine.name)
        return machine

    def clean(self) -> None:
        """Remove those that are there."""
        self._postroj("stop", *self._names, "none")


def kept(status: int, out: str, err: str) -> Kept:
    """Return what was kept, by what was printed."""
    name = re.search(r"^postroj: the machine (\S+) is kept until ", err, re.MULTILINE)
    assert name, (status, out, err)
    return Kept(name[1], status, out, err)


def record(name: str) -> dict[str, str]:
    """Return what is on file of a machine."""
    return dict(line.split("=", 1) for line in Path(RUNTIME, name, "machine").read_text().splitlines())


def keeper(name: str) -> int:
    """Return the PID that holds the lock of a machine's directory: proc_locks(5)."""
    status = Path(RUNTIME, name).stat()
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"

    def find() -> int:  # a page of the list may miss one
        lines = map(str.split, Path("/proc/locks").read_text().splitlines())
        return next((int(words[4]) for words in lines if words[5] == file), 0)

    return until(find, f"the lock of {name} is listed")


def gone(name: str) -> None:
    """Wait until nothing of a machine is on file."""
    until(lambda: not Path(RUNTIME, name).exists(), f"the machine {name} is gone")
