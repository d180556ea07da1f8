"""Where boxes are kept: disks of VMs, as Vagrant takes them, made of images of the catalogue.

    IMAGES/.boxes/debian-bookworm.0123…/libvirt.box    the box of this image, made by the recipe with this hash
    IMAGES/.boxes/debian-bookworm.0123…/record         what it is; written last, so a directory without it is none
    IMAGES/.boxes/debian-bookworm.0123…/work           there while it is made

A directory is locked while its box is made. One without a record that nobody has locked is debris.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from postroj import locks
from postroj.deadline import Deadline
from postroj.events import Step, Warn, emit
from postroj.replacing import replacing
from postroj.settings import images_dir

_BOXES = ".boxes"
_FILE = "libvirt.box"


class BuiltBox(NamedTuple):
    """A box, as its record has it."""

    image: str
    """The name of the image that it was made of."""
    digest: str
    """sha256:… of the file."""
    made: str
    """When, ISO 8601, UTC."""
    path: str
    """The file."""

    @property
    def name(self) -> str:
        """What Vagrant may call it: another box of the same image has another name."""
        return f"{self.image}-{self.digest.removeprefix('sha256:')[:12]}"


class Place:
    """The directory of a box, ours."""

    def __init__(self, path: str, image: str) -> None:
        self.file = os.path.join(path, _FILE)
        self.work = os.path.join(path, "work")
        """For all that is made on the way; not there yet."""
        self._path = path
        self._image = image

    def box(self) -> BuiltBox | None:
        """Return the box, if it is made."""
        return _read(self._path)

    def finish(self) -> BuiltBox:
        """Record that the box is made, and remove other boxes of the image. Raises OSError."""
        import hashlib
        from datetime import UTC, datetime  # not needed on the way to a boot

        with open(self.file, "rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            os.fsync(file.fileno())
        made = datetime.now(UTC).isoformat(timespec="seconds")
        with replacing(os.path.join(self._path, "record")) as fd:
            os.write(fd, json.dumps({"image": self._image, "digest": digest, "made": made}).encode())
        found = self.box()
        assert found is not None
        for path in _paths():
            if path != self._path and (other := _read(path)) and other.image == self._image:
                _remove(path)
        return found


def find(image: str, recipe: str) -> BuiltBox | None:
    """Return the box of an image that was made by a recipe, and note that it is used; None if there is none."""
    path = _path(image, recipe)
    found = _read(path)
    if found:
        with suppress(OSError):  # which only tells when it was used last
            os.utime(os.path.join(path, "record"))
    return found


@contextmanager
def making(image: str, recipe: str, *, deadline: Deadline) -> Iterator[Place]:
    """The place for a box, ours for the block; another process that makes it is waited for.

    What is there after the block without a record is removed. Raises DeadlineError, OSError.
    """
    path = _path(image, recipe)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.chmod(os.path.dirname(path), 0o700)  # nobody but root may reach the set-user-ID programs in it
    sweep()  # before the room is needed that killed processes have left taken
    waiting = Step(image, "waiting for another process that makes its box")
    lock = locks.lock_in_time(
        path, deadline, waiting=waiting, undone=f"another process had not made the box of {image}"
    )
    try:
        with lock:
            if _read(path) is None:  # of a maker that was killed while it was waited for
                _clear(path)
            yield Place(path, image)
    finally:
        sweep()


def list_boxes() -> list[BuiltBox]:
    """Return all boxes, by the names of their images."""
    return sorted(found for found in map(_read, _paths()) if found)


def last_used(box: BuiltBox) -> float:
    """Return when a box was made or used the last time, as time.time(). Raises OSError if it is gone."""
    return os.stat(os.path.join(os.path.dirname(box.path), "record")).st_mtime


def remove(image: str) -> bool:
    """Remove the boxes of an image; return whether there was one. VMs that were made of it keep their disks."""
    removed = [_remove(os.path.dirname(box.path)) for box in list_boxes() if box.image == image]
    return any(removed)


def sweep() -> list[str]:
    """Remove what processes that were killed while they made a box have left; return its names."""
    return [os.path.basename(path) for path in _paths() if _read(path) is None and _remove(path, debris=True)]


def _remove(path: str, *, debris: bool = False) -> bool:
    """Remove a directory unless somebody makes a box in it; with `debris`, unless it has a record by now."""
    lock = locks.lock_directory(path, wait=False)
    if lock is None:
        return False
    with lock:
        if debris and _read(path):
            return False
        import shutil

        try:
            with suppress(FileNotFoundError):  # first, as a box that is half removed is none
                os.unlink(os.path.join(path, "record"))
            shutil.rmtree(path)
        except OSError as error:  # not this run's business
            emit(Warn(f"what is left of a box in {path} cannot be removed: {error}"))
            return False
    return True


def _clear(path: str) -> None:
    import shutil

    for name in os.listdir(path):
        inner = os.path.join(path, name)
        shutil.rmtree(inner) if os.path.isdir(inner) and not os.path.islink(inner) else os.unlink(inner)


def _path(image: str, recipe: str) -> str:
    return os.path.join(images_dir(), _BOXES, f"{image}.{recipe}")


def _paths() -> list[str]:
    try:
        found = os.scandir(os.path.join(images_dir(), _BOXES))
    except FileNotFoundError:
        return []
    return [entry.path for entry in found if entry.is_dir(follow_symlinks=False)]


def _read(path: str) -> BuiltBox | None:
    """Return the box in a directory; None if it is not whole."""
    file = os.path.join(path, _FILE)
    try:
        with open(os.path.join(path, "record")) as record:
            found = BuiltBox(path=file, **json.load(record))
    except (OSError, ValueError, TypeError):
        return None
    # a box without its file, removed by hand, is made anew
    return found if all(isinstance(field, str) for field in found) and os.path.isfile(file) else None
