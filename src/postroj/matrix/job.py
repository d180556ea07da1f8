"""A cell as a process of its own, here or wherever an executor runs it: one that dies is one cell's error."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import dropwhile
from typing import IO, NamedTuple

from postroj import process
from postroj.errors import PostrojError
from postroj.matrix import carried
from postroj.matrix.logs import Logs, gather

_GRACE_SECONDS = 60.0
"""How long after its own time limit a cell may take to end: it removes its machine, and tells what it has found."""
_STOP_SECONDS = 30.0
"""How long a cell may take to end when it is told to."""
_REST_SECONDS = 10.0
"""How long its standard error is read when it has ended: a process that it has left may have it open for ever."""
_MOST_BYTES = 64 << 20
_MOST_LINES = 50
_LONGEST_LINE = 2000
_SAID = "postroj: "
_OF_CI = ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY")


class Job(NamedTuple):
    """What is to be run; it can be sent to another host."""

    cell: str
    command: Sequence[str]
    """The arguments of `postroj`."""
    timeout: float
    """Seconds that the command gives itself."""
    files: Mapping[str, bytes] = {}
    """Files that it needs and that are not where it runs, by their absolute paths."""
    directory: str = ""
    """What the relative ones of its arguments are relative to."""
    marker: str = ""
    """What stands in the arguments before absolute paths of what is carried: a word that nothing else contains."""
    artifacts: str = ""
    """The directory for logs, as an absolute path, if they are carried back from where it runs."""


class Done(NamedTuple):
    """What came of it."""

    cell: str
    status: int
    """The exit status; negative: the number of the signal that killed it."""
    output: bytes
    """Standard output: the JSON report, if it came to that."""
    errors: str
    """The last lines of standard error."""
    began: float
    """As time.time()."""
    seconds: float
    why: str = ""
    """Why there is no status, if there is none."""
    logs: Logs = Logs()
    """Those that are carried back."""

    @property
    def error(self) -> str:
        """What postroj has said of why it failed, in one line; empty if it has said nothing."""
        said = (line for line in self.errors.splitlines() if line.startswith(_SAID))
        return next(said, "").removeprefix(_SAID)

    @property
    def cause(self) -> str:
        """What postroj has shown below that: the words of the program that failed, and what to do next."""
        lines = self.errors.splitlines()
        below = dropwhile(lambda line: not line.startswith(_SAID), lines)
        return "\n".join(line.removeprefix("  ").removeprefix("| ") for line in list(below)[1:])


class Running:
    """The processes of the cells that run, for whoever has to end them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._signal = 0

    def add(self, one: subprocess.Popen[bytes]) -> None:
        """Add one that was started; it is ended at once if all others have been."""
        with self._lock:
            self._processes.add(one)
            if self._signal:
                one.send_signal(self._signal)

    def remove(self, one: subprocess.Popen[bytes]) -> None:
        """Remove one that has ended."""
        with self._lock:
            self._processes.discard(one)

    @property
    def is_ended(self) -> bool:
        """Return whether they were told to end."""
        return self._signal != 0

    def end(self, signum: int = signal.SIGTERM) -> None:
        """Send all of them a signal, and those that are still to be started."""
        with self._lock:
            self._signal = signum
            for one in self._processes:
                one.send_signal(signum)


def run(job: Job, tell: Callable[[str], None] | None = None, running: Running | None = None) -> Done:
    """Run a job to its end; `tell` gets the lines of its standard error.

    Raises OSError, MissingToolError if it cannot be started.
    """
    if not (job.files or job.artifacts):
        return _run(job, tell, running)
    with carried.placed(job.files) as top:
        os.makedirs(top + job.directory, exist_ok=True)
        placed = job._replace(
            command=[word.replace(job.marker, top) for word in job.command], directory=top + job.directory
        )
        done = _run(placed, tell, running)
        if job.artifacts:
            done = done._replace(logs=gather(top + job.artifacts))
    # In what it tells, paths are what they are where the job comes from.
    return done._replace(output=done.output.replace(top.encode(), b""), errors=done.errors.replace(top, ""))


def _run(job: Job, tell: Callable[[str], None] | None, running: Running | None) -> Done:
    began, start = time.time(), time.monotonic()
    with tempfile.TemporaryFile() as output:
        # The death signal: nobody waits for a cell whose matrix was killed. It removes its machine then.
        # -P: modules are not looked for in the current directory.
        one = process.start(
            process.tied([sys.executable, "-P", "-m", "postroj", *job.command]),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            env=_environment(),
            cwd=job.directory or None,
        )
        if running:
            running.add(one)
        why = ""
        try:
            with _TimeLimit(one, job.timeout + _GRACE_SECONDS) as limit:
                lines = _follow(one, tell)
                status = one.wait()
            if limit.is_over:
                why = f"it did not end within {_GRACE_SECONDS:g} s of its time limit of {job.timeout:g} s"
        finally:
            if running:
                running.remove(one)
            if one.poll() is None:
                process.stop(one)
        if status < 0:
            _sweep()
        output.seek(0)
        return Done(job.cell, status, output.read(_MOST_BYTES), lines(), began, time.monotonic() - start, why)


def _environment() -> dict[str, str]:
    """Return our own, but for what would have each cell tell the CI system what the matrix tells it."""
    own = {name: value for name, value in os.environ.items() if name not in _OF_CI}
    return {**own, "PATH": process.search_path()}


def _sweep() -> None:
    """Remove what a process has left that was killed, where it ran: of the last one, nobody else would."""
    from postroj import container, image

    with suppress(PostrojError, OSError):  # each start of a machine tries again
        container.sweep()
        image.sweep()


class _TimeLimit:
    """Ends a process that is still there after some time."""

    def __init__(self, one: subprocess.Popen[bytes], seconds: float) -> None:
        self._one = one
        self._timers = [threading.Timer(seconds, self._end), threading.Timer(seconds + _STOP_SECONDS, one.kill)]
        self.is_over = False

    def _end(self) -> None:
        self.is_over = True
        self._one.terminate()

    def __enter__(self) -> "_TimeLimit":
        for timer in self._timers:
            timer.daemon = True
            timer.start()
        return self

    def __exit__(self, *exc: object) -> None:
        for timer in self._timers:
            timer.cancel()


def _follow(one: "subprocess.Popen[bytes]", tell: Callable[[str], None] | None) -> Callable[[], str]:
    """Read standard error while the process runs; return what returns its last lines, when it has ended."""
    last: deque[str] = deque(maxlen=_MOST_LINES)

    def read() -> None:
        assert one.stderr is not None
        with one.stderr as stream:
            for line in _lines(stream):
                last.append(line)
                if tell:
                    tell(line)

    def lines() -> str:
        thread.join(_REST_SECONDS)
        return "\n".join(last.copy())

    thread = threading.Thread(target=read, name=f"stderr of {one.pid}", daemon=True)
    thread.start()
    return lines


def _lines(stream: IO[bytes]) -> Iterator[str]:
    for raw in iter(lambda: stream.readline(_LONGEST_LINE), b""):
        yield raw.decode(errors="replace").rstrip("\n")
