"""What a command has as its standard streams."""

import os
from typing import NamedTuple


class Streams(NamedTuple):
    """Descriptors of ours (None: /dev/null), or a terminal of the guest's."""

    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    terminal: str = ""
    """The path of a terminal in the guest, in place of all three."""

    def let_reopen(self) -> None:
        """Make pipes reopenable by any user (fchmod), so that a command can write to /dev/stderr.

        Safe: an unnamed pipe is reachable only through /proc/PID/fd.
        """
        for fd, mode in ((self.stdin, 0o444), (self.stdout, 0o222), (self.stderr, 0o222)):
            if fd is not None and os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:"):
                os.fchmod(fd, mode)
