"""A process that does nothing but live in new namespaces, until somebody has them open."""

import os
import subprocess
from contextlib import suppress

from postroj import process
from postroj.interrupts import uninterrupted


class Holder:
    """Being started: `unshare` with these options. It ends with `discard`, and when this process dies."""

    def __init__(self, *options: str) -> None:
        with uninterrupted():
            self._process = process.start(
                ["unshare", *options, "--", "cat"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )

    def wait(self) -> int:
        """Its PID, once it is in its namespaces. Raises OSError where it cannot be."""
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin
        assert stdout
        assert stderr
        # What comes back comes from cat, so unshare has done its part.
        with suppress(BrokenPipeError):
            stdin.write(b"\n")
            stdin.flush()
        if not stdout.readline():
            raise OSError(stderr.read().decode(errors="replace").strip() or "unshare(1) has ended")
        return self._process.pid

    def namespace(self, kind: str) -> int:
        """A descriptor of its namespace of a kind, as /proc/PID/ns calls it."""
        return os.open(f"/proc/{self._process.pid}/ns/{kind}", os.O_RDONLY)

    def discard(self) -> None:
        """End it."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream:
                with suppress(OSError):
                    stream.close()
        self._process.wait()
