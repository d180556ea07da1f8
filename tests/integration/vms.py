"""What of VMs can be seen from outside, and what postroj is asked with them."""

import hashlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from moments import commands, until
from support import POSTROJ
from vm_host import VmHost

_SECONDS = 1800


class Ended(NamedTuple):
    """A postroj that has ended."""

    status: int
    out: str
    err: str


class Vms:
    """postroj with the VMs of a host."""

    def __init__(self, host: VmHost) -> None:
        self.host = host
        self.env: Mapping[str, str] = host.environment
        self.directory = host.state / "vms"
        self._prefix = f"postroj-{hashlib.sha256(str(self.directory).encode()).hexdigest()[:8]}-"

    def postroj(self, *words: str, stdin: str = "") -> Ended:
        """Run postroj to its end."""
        done = subprocess.run(
            [POSTROJ, *words], env=self.env, input=stdin, capture_output=True, text=True, timeout=_SECONDS
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def listed(self) -> dict[str, str]:
        """Return the VMs that `vm ls` lists, and what it says of each."""
        ended = self.postroj("vm", "ls", "--format=plain")
        assert ended.status == 0, ended
        rows = [line.split("\t") for line in ended.out.splitlines()]
        return {row[0]: row[2] for row in rows}

    def domains(self, *options: str) -> list[str]:
        """Return our VMs that libvirt has: those that run, or with --all all of them."""
        words = ["virsh", "list", "--name", *options]
        names = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
        return [name for name in names if name.startswith(self._prefix)]

    def disks(self) -> list[str]:
        """Return the names of the disks of VMs, without those of boxes."""
        names = os.listdir(self.directory / ".pool") if (self.directory / ".pool").exists() else []
        return sorted(name for name in names if "_vagrant_box_image_" not in name)

    def processes(self) -> list[str]:
        """Return the command lines of all that works for postroj's VMs, but the VMs themselves."""
        told = (str(self.directory), self._prefix)
        return [
            " ".join(command)
            for _, command in commands()
            if Path(command[0]).name in _WORKERS and any(each in word for word in command for each in told)
        ]

    def check_nothing_is_left(self) -> dict[str, str]:
        """Fail unless all that there is of VMs is listed, and off. Return what is listed."""
        until(lambda: not self.processes(), "nothing works for a VM any more")
        # What libvirt was asked for by a process that was killed then, it may begin only now.
        until(lambda: set(self.listed().values()) <= {"off"} and not self.domains(), "no VM runs")
        listed = self.listed()
        names = [domain.removesuffix("_default") for domain in self.domains("--all")]
        assert sorted(names) == sorted(f"{self._prefix}{name}" for name in listed)
        assert self.disks() == sorted(f"{self._prefix}{name}_default.img" for name in listed)
        return listed


def guards() -> Iterator[int]:
    """Return the PIDs of the processes that power VMs off when their postroj has ended."""
    return (
        pid
        for pid, command in commands()
        if Path(command[0]).name == "sh" and "timeout" in command and any("destroy" in word for word in command)
    )


_WORKERS = ("ruby", "vagrant", "virsh", "ssh", "sh", "timeout")
