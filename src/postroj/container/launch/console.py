"""What is printed by nspawn, by what starts it, and to the console of a guest that boots."""

import subprocess
import threading
from collections import deque

from postroj.deadline import Deadline
from postroj.events import Output, emit

_LINES = 200


class Console:
    """What nspawn and the guest's console print: read all the time so that nobody blocks, kept to a bound."""

    def __init__(self, name: str, source: subprocess.Popen[bytes]) -> None:
        self._name = name
        self._source = source
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._started = False
        self.said_farewell = False
        """Whether unshare has told that its child was killed: as util-linux 2.38 does it, with status 1."""
        self._started_or_ended = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"console of {name}", daemon=True)
        self._thread.start()

    def wait_started(self, deadline: Deadline) -> bool:
        """Wait for the launcher's first word; False where it has ended instead, or the time is up."""
        self._started_or_ended.wait(deadline.remaining())
        return self._started

    def text(self) -> str:
        """The last lines; all of them where the process has ended."""
        if self._source.poll() is not None:
            self._thread.join(1)
        return "\n".join(self._lines)

    def close(self) -> None:
        """The process has ended: so does the reading."""
        self._thread.join(1)

    def _read(self) -> None:
        assert self._source.stdout is not None
        try:
            with self._source.stdout as stream:
                while line := stream.readline(8192):
                    self._take(line.decode(errors="replace").rstrip())
        finally:
            self._started_or_ended.set()

    def _take(self, line: str) -> None:
        if line == "started" and not self._started:
            self._started = True
            self._started_or_ended.set()
        elif line.startswith("unshare: sigprocmask"):
            self.said_farewell = True
        else:
            self._lines.append(line)
            emit(Output(self._name, line), machine=self._name)
