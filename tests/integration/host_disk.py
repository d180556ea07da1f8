"""What a simulated host has on the disk of the images: an overlay over an overlay is not to be had."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import layouts
import standins
import vm_host
from kept import locked, remove_unlocked
from support import POSTROJ, STATE

_PREFIX = "scratch-host-"
_BOX = """
from postroj.deadline import NEVER
from postroj.image.box import box
box("debian-bookworm", deadline=NEVER)
"""
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


def prepare_state(*, box: bool) -> None:
    """Have all that the tests need once in STATE, so that no host makes it for itself.

    Without `box`, test_box.py makes the box of VMs, and shares it with the tests after it.
    """
    os.makedirs(STATE, exist_ok=True)
    others = [name for name in layouts.SUITES if f"debian-{name}" not in _IMAGES]
    jobs: list[Callable[[], None]] = [
        _make_standins,  # the longest first
        *([_make_box] if box and not vm_host.lacking() else []),
        layouts.fetch_alpine,
        *(partial(_pull, name) for name in _IMAGES),
        *(partial(_make_layout, name) for name in (layouts.SLIM, layouts.PROGRAM, *others)),
    ]
    with ThreadPoolExecutor(2) as lanes:
        try:
            for future in [lanes.submit(job) for job in jobs]:
                future.result()
        except BaseException:
            lanes.shutdown(cancel_futures=True)
            raise
        list(lanes.map(_make_layout, layouts.SUITES))  # of what was pulled


def _make_layout(name: str) -> None:
    layouts.layout(name)


def _pull(name: str) -> None:
    environment = {**os.environ, "POSTROJ_STATE_DIR": STATE}
    command = [POSTROJ, "pull", name]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _make_box() -> None:
    """Make the disk of VMs, which takes most of a minute."""
    environment = {**os.environ, "POSTROJ_STATE_DIR": STATE}
    done = subprocess.run([sys.executable, "-c", _BOX], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _make_standins() -> None:
    for suite in standins.SUITES:
        with standins.standins(suite):
            pass


def copy_state(target: Path) -> None:
    """Copy what is prepared, by hard links: a host has a state of its own, in which it sees nobody else at work."""
    target.mkdir()
    for name in ("images", layouts.LAYOUTS, layouts.PUBLISHED, standins.PLACE):
        subprocess.run(["cp", "--archive", "--link", Path(STATE, name), target], check=True)


def _sweep() -> None:
    for path in Path(STATE).glob(_PREFIX + "*"):
        remove_unlocked(path)
