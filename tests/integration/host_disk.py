"""What a simulated host has on the disk of the images: an overlay over an overlay is not to be had."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import layouts
from support import POSTROJ, STATE

_PREFIX = "scratch-host-"
_IMAGES = ("debian-bookworm", "debian-bullseye", "debian-trixie")


@contextmanager
def host_directory() -> Iterator[Path]:
    """An empty directory, removed at the end; what hosts that were killed have left is removed as well."""
    os.makedirs(STATE, exist_ok=True)
    with ExitStack() as stack:
        with locked(STATE):  # a directory that is new and not locked yet is nobody's debris
            _sweep()
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_PREFIX, dir=STATE)))
            stack.enter_context(locked(path))
        yield path


def prepare_state() -> None:
    """Have all that the tests need once in STATE, so that no host makes it for itself."""
    os.makedirs(STATE, exist_ok=True)
    with ThreadPoolExecutor(2) as lanes:
        pulls = [lanes.submit(_pull, name) for name in _IMAGES]
        others = [name for name in layouts.SUITES if f"debian-{name}" not in _IMAGES]
        made = [lanes.submit(layouts.layout, name) for name in (layouts.SLIM, layouts.PROGRAM, *others)]
        for pull in pulls:
            pull.result()
        for one in made:
            one.result()
        list(lanes.map(layouts.layout, layouts.SUITES))  # of what was pulled


def _pull(name: str) -> None:
    environment = {**os.environ, "POSTROJ_STATE_DIR": STATE}
    command = [POSTROJ, "pull", name]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def copy_state(target: Path) -> None:
    """Copy what is prepared, by hard links: a host has a state of its own, in which it sees nobody else at work."""
    target.mkdir()
    for name in ("images", layouts.LAYOUTS):
        subprocess.run(["cp", "--archive", "--link", Path(STATE, name), target], check=True)


@contextmanager
def locked(directory: str | Path, *, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock on a directory: flock(2), with its operation."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        os.close(fd)


def _sweep() -> None:
    for path in Path(STATE).glob(_PREFIX + "*"):
        with suppress(FileNotFoundError, BlockingIOError), locked(path, how=fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(path)
