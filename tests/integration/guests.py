"""Machines that are spoken to while they run: a shell in each, by its standard input and output."""

import shlex
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from moments import Process, guest_init, started, until
from support import POSTROJ


class Answer(NamedTuple):
    """What a script has ended with; `output` is both its streams."""

    status: int
    output: str


class Guest:
    """A shell in a machine."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._end = uuid.uuid4().hex

    def ask(self, script: str, *words: object) -> Answer:
        """Have the guest's root run a script, with words as its $1 and up, to its end."""
        assert self.process.stdin
        assert self.process.stdout
        command = shlex.join(["sh", "-c", script, "sh", *map(str, words)])
        with suppress(BrokenPipeError):  # it has ended, and says why
            self.process.stdin.write(f"{command} </dev/null 2>&1; echo {self._end} $?\n".encode())
            self.process.stdin.flush()
        output = ""
        while line := self.process.stdout.readline().decode(errors="replace"):
            text, end, status = line.partition(self._end)  # what a script prints last may have no line break
            output += text
            if end:
                return Answer(int(status), output)
        _, err = self.process.communicate(timeout=60)
        raise AssertionError(f"the machine is gone after {script!r}: {output}{err.decode(errors='replace')}")

    @property
    def leader(self) -> int:
        """Its PID 1, as the host sees it."""
        return until(lambda: guest_init(self.process), "the guest's PID 1 is there")

    def address(self) -> str:
        """Its IPv4 address, that other than loopback."""
        return self.ask("hostname --all-ip-addresses").output.split()[0]

    def leave(self) -> tuple[int, str]:
        """Let the shell end, and with it the machine; the exit status, and what postroj has said."""
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err.decode(errors="replace")


@contextmanager
def guest(environment: Mapping[str, str], *words: str | Path) -> Iterator[Guest]:
    """A machine made by `postroj run` with these options and this image; it ends with the block."""
    with started([POSTROJ, "run", *words, "sh"], environment, stdin=subprocess.PIPE) as process:
        one = Guest(process)
        one.ask("true")  # it has booted
        yield one
        if process.poll() is None and process.stdin and not process.stdin.closed:
            one.leave()
