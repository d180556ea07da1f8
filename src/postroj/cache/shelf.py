"""Where layers are kept.

IMAGES/.packages/0123…            a shelf: what one image has downloaded; locked while it is checked and filled
IMAGES/.packages/0123…/current    a link to the layer in use, replaced atomically
IMAGES/.packages/0123…/checked    its time is when the repositories were asked last
IMAGES/.packages/0123…/ab12.layer a layer; locked, shared, while a machine has it
IMAGES/.packages/0123…/ab12.layer/root, seal    its files, and what they are; written last, so without it it is none
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from postroj import locks
from postroj.cache import seal as seals
from postroj.cache.seal import Seal
from postroj.deadline import Deadline
from postroj.errors import HostError
from postroj.events import Debug, emit
from postroj.settings import images_dir

_SUFFIX = ".layer"


class Layer:
    """A sealed layer."""

    def __init__(self, path: str, seal: Seal) -> None:
        self.path = path
        self.root = os.path.join(path, "root")
        self.seal = seal

    @property
    def size(self) -> int:
        """The bytes of its files."""
        return sum(file.size for file in self.seal.files.values())


class Shelf:
    """The shelf of an image, which is ours: see `opened`."""

    def __init__(self, path: str) -> None:
        self._path = self.path = path
        self._current = os.path.join(path, "current")
        self._checked = os.path.join(path, "checked")

    def current(self) -> Layer | None:
        """Return the layer in use; None if there is none that is whole."""
        try:
            path = os.path.join(self._path, os.path.basename(os.readlink(self._current)))
            where = os.path.join(path, "seal")
            seal = seals.read(where)
            if found := seals.checked(os.path.join(path, "root"), seal):
                if found != seal:
                    seals.write(where, found)
                return Layer(path, found)
            why = "it is damaged"
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            why = str(error)
        emit(Debug(f"the package cache in {self._path} is not used: {why}"))
        with suppress(OSError):
            os.unlink(self._current)
        return None

    @contextmanager
    def new_layer(self) -> Iterator[str]:
        """A directory for a layer to be made in; removed after the block unless it has become the current one."""
        path = os.path.join(self._path, f"{os.urandom(4).hex()}{_SUFFIX}")
        os.makedirs(os.path.join(path, "root"))
        try:
            yield path
        finally:
            self.sweep()

    def activate(self, path: str, seal: Seal) -> Layer:
        """Seal a layer, and make it the current one. Raises OSError."""
        seals.write(os.path.join(path, "seal"), seal)
        new = f"{self._current}.new"
        with suppress(FileNotFoundError):
            os.unlink(new)
        os.symlink(os.path.basename(path), new)
        os.replace(new, self._current)
        return Layer(path, seal)

    def asked_at(self) -> float:
        """Return when the repositories were asked the last time, as time.time(); 0.0 for never, and for the future."""
        with suppress(OSError):
            when = os.stat(self._checked).st_mtime
            return when if when <= time.time() else 0.0  # the clock has been set back
        return 0.0

    def note_asked(self, when: float) -> None:
        """Note that the repositories have been asked, and the current layer is up to date. Raises OSError."""
        with open(self._checked, "a"):  # its time stays, unless it is new: others may look at it
            os.utime(self._checked, (when, when))

    def sweep(self) -> None:
        """Remove layers that are not the current one, and that no machine has."""
        kept = os.path.basename(os.readlink(self._current)) if os.path.islink(self._current) else ""
        for name in os.listdir(self._path):
            if name.endswith(_SUFFIX) and name != kept:
                _remove(os.path.join(self._path, name))


@contextmanager
def opened(key: str, *, deadline: Deadline) -> Iterator[Shelf]:
    """The shelf of what `key` tells, ours for the block; another process's is waited for.

    Raises OSError, and DeadlineError if it takes too long.
    """
    top = directory()
    os.makedirs(top, exist_ok=True)
    os.chmod(top, 0o700)
    path = os.path.join(top, hashlib.sha256(key.encode()).hexdigest()[:24])
    waiting, undone = (
        "waiting for another process that downloads packages",
        "another process had not downloaded packages",
    )
    with locks.lock_in_time(path, deadline, waiting=Debug(waiting), undone=undone):
        yield Shelf(path)


def hold(layer: Layer) -> locks.DirectoryLock:
    """Keep a layer from removal, until it is released. Raises HostError if it is gone."""
    lock = locks.lock_directory(layer.path, shared=True)
    if lock is None:
        raise HostError(f"{layer.path} is gone")
    return lock


def directory() -> str:
    """Return the directory of all shelves."""
    return os.path.join(images_dir(), ".packages")


def is_over(limit: int) -> bool:
    """Return whether all shelves take more than so many bytes."""
    with suppress(FileNotFoundError):
        return sum(_size(entry.path) for entry in os.scandir(directory())) > limit
    return False


def sweep(limit: int, *, dry_run: bool = False) -> list[str]:
    """Remove the shelves that were used the longest time ago until all take at most so many bytes; says which.

    Those in use stay.
    """
    shelves = []
    with suppress(FileNotFoundError):
        for entry in os.scandir(directory()):
            with suppress(OSError):
                shelves.append((_used(entry.path), _size(entry.path), entry.path))
    total = sum(size for _, size, _ in shelves)
    removed = []
    for _, size, path in sorted(shelves):
        if total <= limit:
            break
        if _is_free(path) if dry_run else _remove_shelf(path):
            total -= size
            removed.append(f"packages {os.path.basename(path)} ({size / 1e6:.0f} MB)")
    return removed


def _used(path: str) -> float:
    try:
        return os.stat(os.path.join(path, "checked")).st_mtime
    except FileNotFoundError:
        return os.stat(path).st_mtime


def _size(path: str) -> int:
    seen: dict[int, int] = {}
    for where, _, names in os.walk(path):
        for name in names:
            with suppress(FileNotFoundError):
                status = os.lstat(os.path.join(where, name))
                seen[status.st_ino] = status.st_blocks * 512
    return sum(seen.values())


def _is_free(path: str) -> bool:
    return all(_try(one) for one in [path, *_layers(path)])


def _try(path: str) -> bool:
    lock = locks.lock_directory(path, wait=False)
    if lock:
        lock.release()
    return lock is not None


def _layers(path: str) -> list[str]:
    return [os.path.join(path, name) for name in os.listdir(path) if name.endswith(_SUFFIX)]


def _remove_shelf(path: str) -> bool:
    lock = locks.lock_directory(path, wait=False)
    if lock is None:
        return False
    with lock:
        if not all(map(_try, _layers(path))):
            return False
        shutil.rmtree(path, ignore_errors=True)
        return not os.path.exists(path)


def _remove(path: str) -> None:
    lock = locks.lock_directory(path, wait=False)
    if lock:
        with lock:
            shutil.rmtree(path, ignore_errors=True)
