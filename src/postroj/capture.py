"""Pipes between a command in the guest and the host, moved by threads."""

import fcntl
import os
import select
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from postroj.errors import DeadlineError, InstallError
from postroj.events import Debug, Output, emit

if TYPE_CHECKING:
    from postroj.contract import Completed, Watcher

_CHUNK = 65536


@contextmanager
def sink_into(consume: Callable[[bytes], None]) -> Iterator[int]:
    """A descriptor for a command to write to; what it writes is given to `consume`, in a thread.

    When the block ends, so has the command: what is still in the pipe is read, but nobody who has kept it open is
    waited for.
    """
    source, sink = os.pipe()
    ended, end = os.pipe()

    def pump() -> None:
        poller = select.poll()
        poller.register(source, select.POLLIN)
        poller.register(ended, select.POLLIN)
        with suppress(OSError), open(source, "rb", buffering=0) as stream:  # OSError: `consume` wants no more
            while ended not in dict(poller.poll()):
                chunk = stream.read(_CHUNK)
                if not chunk:
                    return
                consume(chunk)
            left = int.from_bytes(fcntl.ioctl(stream, termios.FIONREAD, bytes(4)), sys.byteorder)
            while left > 0 and (chunk := stream.read(min(left, _CHUNK))):
                consume(chunk)
                left -= len(chunk)

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        os.close(sink)
        os.close(end)
        thread.join()
        os.close(ended)


@contextmanager
def fed_from(source: int) -> Iterator[int]:
    """A descriptor for a command to read from: what `source` gives, in a thread."""
    outlet, inlet = os.pipe()

    def pump() -> None:
        with suppress(OSError), open(inlet, "wb", buffering=0) as stream:
            while chunk := os.read(source, _CHUNK):
                stream.write(chunk)

    threading.Thread(target=pump, daemon=True).start()
    try:
        yield outlet
    finally:
        os.close(outlet)


class Tail:
    """The last part of an output, in a bounded space; each line is told to `on_line` as it comes, up to `most` lines.

    A guest may print without end: whoever follows is not to be flooded, nor the guest held back.
    """

    def __init__(self, on_line: Callable[[str], None], limit: int = 256 * 1024, most: int = 100_000) -> None:
        self._on_line = on_line
        self._limit = limit
        self._left = most
        self._data = bytearray()
        self._begun = b""
        self.is_cut = False
        """Whether something has been forgotten."""

    def add(self, chunk: bytes) -> None:
        """Append, and forget what is too old."""
        self._data += chunk
        self.is_cut = self.is_cut or len(self._data) > self._limit
        del self._data[: -self._limit]
        if self._left <= 0:
            return
        *lines, self._begun = (self._begun + chunk).split(b"\n")
        self._begun = self._begun[-self._limit :]
        for line in lines[: self._left]:
            self._on_line(line.decode(errors="replace"))
        self._left -= len(lines)
        if self._left <= 0:
            self._on_line("(more is printed than is shown here)")

    def text(self) -> str:
        """What is kept."""
        return self._data.decode(errors="replace")


def watched(run: Callable[[int], int], watcher: "Watcher | None") -> Callable[[int], int]:
    """Return what `captured` runs, for a guest of whose command only the end can be watched."""

    def run_watched(sink: int) -> int:
        try:
            status = run(sink)
        except DeadlineError:
            if watcher:
                watcher.expired([])
            raise
        if watcher:
            watcher.ended([])
        return status

    return run_watched


def captured(
    machine: str, argv: "Sequence[str]", run: Callable[[int], int], *, shown: Callable[[str], str] = str
) -> "Completed":
    """Return what came of a command of a machine: `run` runs it with a descriptor to print to, and returns its status.

    Each line is told as an event, as `shown` makes it. What is raised has what was printed in `why`.
    """
    import shlex

    from postroj.contract import Completed

    emit(Debug(f"{machine}$ {shlex.join(argv)}"), machine=machine)
    output = Tail(lambda line: emit(Output(machine, shown(line)), machine=machine))
    try:
        with sink_into(output.add) as sink:
            status = run(sink)
    except (DeadlineError, InstallError) as error:
        error.why = error.why or shown(output.text())
        raise
    return Completed(status, output.text(), output.is_cut)
