"""Somebody who sits at a terminal: types, reads, and resizes the window."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from moments import end


class Typist:
    """The other side of a pseudo terminal at which a program runs."""

    def __init__(self, master: int, terminal: int, process: "subprocess.Popen[bytes]") -> None:
        self.master = master
        self._terminal = terminal
        self.process = process
        self._unread = b""

    def type(self, text: str) -> None:
        """Press keys; Ctrl-C is \\x03."""
        os.write(self.master, text.encode())

    def hang_up(self) -> None:
        """Close the terminal, as an ssh session does that is lost."""
        os.close(self.master)
        self.master = -1

    def resize(self, rows: int, columns: int) -> None:
        """Give the window another size."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def settings(self) -> list[object]:
        """What stty shows of the terminal."""
        return termios.tcgetattr(self._terminal)

    def read_until(self, pattern: str, seconds: float = 60.0) -> "re.Match[bytes]":
        """Wait for a regular expression on the screen; what comes up to its end is read and done with."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern.encode(), self._unread)):
            ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"waited {seconds:g} s in vain for {pattern!r}; there is {self._unread!r}"
            self._unread += os.read(self.master, 65536)
        self._unread = self._unread[found.end() :]
        return found

    def end(self, seconds: float = 60.0) -> int:
        """The exit status, once the program has ended; what it still prints is read."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it has not ended; there is {self._unread!r}"
            if select.select([self.master], [], [], 0.05)[0]:
                self._unread += os.read(self.master, 65536)
        return self.process.returncode

    def rest(self) -> bytes:
        """What is on the screen and not read yet."""
        while select.select([self.master], [], [], 0)[0]:
            self._unread += os.read(self.master, 65536)
        return self._unread


@contextmanager
def at_terminal(
    words: Sequence[str | Path], env: Mapping[str, str], *, rows: int = 31, columns: int = 97
) -> Iterator[Typist]:
    """Start a program at a terminal of its own, its controlling one; it is ended at the end of the block."""
    master, terminal = pty.openpty()
    try:
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        with subprocess.Popen(
            ["setsid", "--ctty", *map(str, words)],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env={**env, "TERM": "xterm"},
        ) as process:
            typist = Typist(master, terminal, process)
            try:
                yield typist
            finally:
                end(process)
                master = typist.master
    finally:
        os.close(terminal)
        if master >= 0:
            os.close(master)
