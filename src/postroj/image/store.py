"""Where pulled images are kept, and how one takes the place of another.

    IMAGES/debian-bookworm                        a link to the root below, replaced atomically
    IMAGES/.trees/debian-bookworm.1a2b3c/root     the tree
    IMAGES/.trees/debian-bookworm.1a2b3c/record   what it is; written last, so a tree without it is none
    IMAGES/.pull-debian-bookworm                  there, and locked, while somebody pulls

A tree is locked while it is made or used. One that no link names and nobody has locked is debris.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from postroj import locks
from postroj.errors import ImageError
from postroj.events import Step, Warn, emit
from postroj.settings import images_dir

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_TREES = ".trees"
_PULL = ".pull-"
_NEW = ".new-"
_NEEDED = (
    ("usr/lib/systemd/systemd", "lib/systemd/systemd"),
    ("usr/lib/os-release", "etc/os-release"),
    ("usr/bin/dbus-daemon", "usr/bin/dbus-broker"),
    ("bin/sh", "usr/bin/sh"),
)


class Image(NamedTuple):
    """A pulled image, as its record has it."""

    name: str
    root: str
    """The directory of its root file system."""
    family: str
    """The package manager: apt."""
    architecture: str
    """As the family calls it: amd64."""
    source: str
    """The reference it was pulled from."""
    systemd: str
    """The version of its systemd."""
    pulled: str
    """When, ISO 8601, UTC."""
    size: int
    """Bytes on disk."""


@contextmanager
def used(name: str) -> Iterator[Image | None]:
    """A pulled image that stays on disk inside the block, whatever is pulled meanwhile; None where there is none.

    Raises ImageError for one that is damaged.
    """
    while True:
        tree = _linked_tree(name)
        if tree is None:
            yield None
            return
        lock = locks.lock_directory(tree, shared=True)  # waits for whoever has just activated it
        if lock:
            break
        if _linked_tree(name) == tree:
            raise _damaged(name, f"{tree} is not there")
    with lock:
        yield _read(name, tree)


@contextmanager
def just_pulled(name: str) -> Iterator[Image]:
    """The same for an image that was here a moment ago. Raises ImageError where it is not any more."""
    with used(name) as image:
        if image is None:
            raise ImageError(f"the image {name} was removed right after it was pulled")
        yield image


def list_names() -> list[str]:
    """The names of all pulled images, damaged ones included."""
    try:
        return sorted(
            entry.name for entry in os.scandir(images_dir()) if _NAME.fullmatch(entry.name) and entry.is_symlink()
        )
    except FileNotFoundError:
        return []


@contextmanager
def pulling(name: str) -> Iterator[bool]:
    """The right to pull this image, waited for where somebody else has it.

    Yields whether the image has been replaced while we waited, so that there is nothing left to do.
    """
    before = _linked_tree(name)
    path = os.path.join(images_dir(), _PULL + name)
    lock = locks.lock_directory(path, create=True, wait=False)
    if lock is None:
        emit(Step(name, "is being pulled by somebody else; waits"))
        lock = locks.lock_directory(path, create=True)
    assert lock is not None
    with lock:
        try:
            yield _linked_tree(name) != before
        finally:
            os.rmdir(path)


@contextmanager
def new_tree(name: str) -> Iterator[str]:
    """An empty directory for an image to be made in, below it `root`; gone after the block unless activated."""
    trees = os.path.join(images_dir(), _TREES)
    # Nobody but root may reach the set-user-ID programs of all these old systems.
    os.makedirs(trees, exist_ok=True)
    os.chmod(trees, 0o700)
    path = os.path.join(trees, f"{name}.{os.urandom(4).hex()}")
    lock = locks.lock_directory(path, create=True)
    assert lock is not None
    try:
        with lock:
            yield path
    finally:
        sweep()


def activate(name: str, tree: str, record: dict[str, Any]) -> None:
    """Make a finished tree the image of this name, in place of the one before."""
    fields = {"name": name, **record, "size": _size(os.path.join(tree, "root"))}
    temporary = os.path.join(tree, "record.new")
    with open(temporary, "w") as file:
        json.dump(fields, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, os.path.join(tree, "record"))
    _read(name, tree)
    link = os.path.join(images_dir(), _NEW + name)
    with suppress(FileNotFoundError):  # a killed pull's
        os.unlink(link)
    os.symlink(os.path.join(_TREES, os.path.basename(tree), "root"), link)
    os.replace(link, os.path.join(images_dir(), name))


def sweep() -> list[str]:
    """Remove what nobody uses, trees that no link names, replaced or of a pull that was killed; says which."""
    removed: list[str] = []
    _sweep_pulls()
    trees = os.path.join(images_dir(), _TREES)
    try:
        paths = [entry.path for entry in os.scandir(trees) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return removed
    for path in paths:
        if _is_linked(path):
            continue
        lock = locks.lock_directory(path, wait=False)
        if lock is None:
            continue
        with lock:
            if not _is_linked(path):  # looked up again: it may have been activated just now
                import shutil

                try:
                    shutil.rmtree(path)
                    removed.append(os.path.basename(path))
                except OSError as error:  # not this run's business
                    emit(Warn(f"what is left of an image in {path} cannot be removed: {error}"))
    return removed


def _is_linked(tree: str) -> bool:
    return tree in map(_linked_tree, list_names())


def _sweep_pulls() -> None:
    try:
        names = [name.removeprefix(_PULL) for name in os.listdir(images_dir()) if name.startswith(_PULL)]
    except FileNotFoundError:
        return
    for name in names:
        path = os.path.join(images_dir(), _PULL + name)
        lock = locks.lock_directory(path, wait=False)
        if lock:
            with lock:
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(images_dir(), _NEW + name))
                os.rmdir(path)


def _linked_tree(name: str) -> str | None:
    if not _NAME.fullmatch(name):
        return None
    try:
        target = os.readlink(os.path.join(images_dir(), name))
    except (FileNotFoundError, OSError):
        return None
    return os.path.dirname(os.path.join(images_dir(), target))


def _read(name: str, tree: str) -> Image:
    root = os.path.join(tree, "root")
    try:
        with open(os.path.join(tree, "record")) as file:
            image = Image(root=root, **json.load(file))
        if not all(isinstance(value, int if key == "size" else str) for key, value in image._asdict().items()):
            raise ValueError("a value has the wrong type")
        int(image.systemd)
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(name, f"its record cannot be read: {error}") from error
    for alternatives in _NEEDED:
        # lexists: a link in the tree is the guest's, not to be followed from here
        if not any(os.path.lexists(os.path.join(root, path)) for path in alternatives):
            raise _damaged(name, f"{alternatives[0]} is missing in {root}")
    return image


def _damaged(name: str, why: str) -> ImageError:
    return ImageError(f"the image {name} is damaged", why=why, hint=f"pull it again: postroj pull --update {name}")


def _size(root: str) -> int:
    total = 0
    for directory, _, files in os.walk(root):
        for file in files:
            total += os.lstat(os.path.join(directory, file)).st_blocks * 512
    return total
