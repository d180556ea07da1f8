"""Where pulled images are kept, and how one takes the place of another.

    IMAGES/debian-bookworm                      a link to a root below, replaced atomically
    IMAGES/.trees/sha256-0123….1/root           the tree of the image with this digest, made by recipe 1
    IMAGES/.trees/sha256-0123….1/manifest       all that is in it
    IMAGES/.trees/sha256-0123….1/record         what it is; written last, so a tree without it is none
    IMAGES/.trees/sha256-0123….1/names/NAME     when and from where it was pulled as this image; its last use
    IMAGES/.trees/debian-bookworm.1a2b3c        the same while it is made
    IMAGES/.pull-debian-bookworm                there, and locked, while somebody pulls
    IMAGES/.downloads                           see downloads.py

A tree is locked while it is made or used. One that no link names and nobody has locked is debris. Names with the same
digest share a tree.
"""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

from postroj import locks
from postroj.errors import ImageError
from postroj.events import Step, Warn, emit
from postroj.image.names import is_name
from postroj.settings import images_dir

_TREES = ".trees"
_PULL = ".pull-"
_NEW = ".new-"
_NEEDED = (
    ("usr/lib/systemd/systemd", "lib/systemd/systemd"),
    ("usr/lib/os-release", "etc/os-release"),
    ("usr/bin/dbus-daemon", "usr/bin/dbus-broker"),
    ("bin/sh", "usr/bin/sh"),
)
# An image without systemd may be a single program, but has something at all.
_REQUIRED_UNBOOTED = ((".",),)
_PULL_FIELDS = ("reference", "stamp", "pulled", "platform")
"""What is not of a tree, but of a name that it has."""
PROVISIONING_VERSION = 1
"""How trees are provisioned: another number makes new ones of images that are here."""


class Image(NamedTuple):
    """A pulled image, as its record has it."""

    name: str
    root: str
    """The directory of its root file system."""
    reference: str
    """What it was pulled from, as the catalogue or the user wrote it."""
    digest: str
    """sha256:…: of the manifest, for an OCI image; of the file, for a tarball; of all that is in it, for others."""
    family: str
    """The package manager: apt."""
    package_manager: str
    """That, with its version."""
    architecture: str
    """As the family calls it: amd64."""
    systemd: str
    """The version of its systemd; empty where it has none."""
    pulled: str
    """When, ISO 8601, UTC."""
    platform: str
    """The one that was asked for: arm64; empty for that of the host."""
    stamp: str
    """What a local source looked like, to see whether it has changed; empty for a remote one."""
    size: int
    """Bytes on disk."""

    @property
    def machine(self) -> str:
        """What a machine made from it is called by default: a host name, so without dots."""
        return f"postroj-{self.name.replace('.', '-')}"[:52].rstrip("-")

    @property
    def boots(self) -> bool:
        """Whether it has a systemd to boot."""
        return bool(self.systemd)


@contextmanager
def open_image(name: str, *, note: bool = True) -> Iterator[Image | None]:
    """A pulled image that stays on disk inside the block, whatever is pulled meanwhile; None where there is none.

    The time is noted, as that of its last use, unless `note` is False. Raises ImageError for one that is damaged.
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
        image = _read(name, tree)
        if note:
            with suppress(OSError):  # which only tells when it was used last
                os.utime(_note(tree, name))
        yield image


@contextmanager
def open_pulled(name: str) -> Iterator[Image]:
    """Open an image that was just pulled. Raises ImageError if it has been removed meanwhile."""
    with open_image(name) as image:
        if image is None:
            raise ImageError(f"the image {name} was removed right after it was pulled")
        yield image


@contextmanager
def open_existing(name: str) -> Iterator[Image]:
    """Open an image without updating its last use. Raises ImageError if it is not downloaded."""
    with open_image(name, note=False) as image:
        if image is None:
            raise missing_error(name)
        yield image


def missing_error(name: str) -> ImageError:
    """Return the ImageError for an image that is not downloaded."""
    return ImageError(f"the image {name} is not downloaded", hint=f"to download it: postroj pull {name}")


def list_names() -> list[str]:
    """The names of all pulled images, damaged ones included."""
    try:
        return sorted(entry.name for entry in os.scandir(images_dir()) if is_name(entry.name) and entry.is_symlink())
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
        emit(Step(name, "waiting for another process that pulls it"))
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
    sweep()  # before it needs the room that killed pulls have left taken
    path = os.path.join(trees, f"{name}.{os.urandom(4).hex()}")
    lock = locks.lock_directory(path, create=True)
    assert lock is not None
    try:
        with lock:
            yield path
    finally:
        sweep()


def activate(name: str, tree: str, record: Mapping[str, str]) -> None:
    """Make a finished tree the image of this name, in place of the one before; `record` as Image has it."""
    from postroj.image import manifest

    listed = manifest.write(os.path.join(tree, "root"), os.path.join(tree, "manifest"))
    digest = record.get("digest") or listed.digest
    pull = {key: record[key] for key in _PULL_FIELDS if key in record}
    facts = {key: value for key, value in record.items() if key not in pull}
    _write(_note(tree, name), pull)
    _write(os.path.join(tree, "record"), {**facts, "digest": digest, "size": listed.size})
    _read(name, tree)
    path = _tree_of(digest, record.get("platform", ""))
    while not _moved(tree, path):
        # If a sound tree with this digest exists, link to it instead: it may be in use, or about to be swept.
        if link_digest(name, digest, pull):
            return
        with suppress(FileNotFoundError):  # whoever uses the damaged one goes on doing so; it is debris from now on
            damaged = f"{path}.damaged-{os.urandom(4).hex()}"
            os.rename(path, damaged)
            _take_over(damaged, tree)
    _link(name, path)


def _take_over(damaged: str, tree: str) -> None:
    """Move the pull records of the tree's other names."""
    for other in os.listdir(os.path.join(damaged, "names")):
        if not os.path.exists(_note(tree, other)):
            os.rename(_note(damaged, other), _note(tree, other))


def link_digest(name: str, digest: str, pull: Mapping[str, str]) -> bool:
    """Make a tree that is here, and sound by its manifest, the image of this name; whether there is one.

    `pull` has what of Image is of a name: reference, stamp, pulled, platform.
    """
    path = _tree_of(digest, pull.get("platform", ""))
    lock = locks.lock_directory(path, shared=True)
    if lock is None:
        return False
    with lock:
        _write(_note(path, name), pull)
        try:
            _read(name, path)
            if _differences(name, path):
                return False
        except ImageError:
            return False
        _link(name, path)
        return True


def verify(name: str) -> list[str]:
    """Compare an image with its manifest; return the differences, a line each. Raises ImageError."""
    with open_existing(name) as image:
        return _differences(name, os.path.dirname(image.root))


def _differences(name: str, tree: str) -> list[str]:
    from postroj.image import manifest

    try:
        return manifest.differences(os.path.join(tree, "root"), os.path.join(tree, "manifest"))
    except OSError as error:
        raise _damaged(name, f"it cannot be compared with its manifest: {error}") from error


def remove(name: str) -> bool:
    """Remove an image's name, and its tree once nobody uses it; whether there was one."""
    try:
        os.unlink(os.path.join(images_dir(), name))
    except FileNotFoundError:
        return False
    sweep()
    return True


def is_sound(name: str) -> bool:
    """Return whether there is an image of this name that can be used."""
    try:
        with open_image(name, note=False) as image:
            return image is not None
    except ImageError:
        return False


def last_used(image: Image) -> float:
    """When an image, which is held, was last used, or pulled: seconds since the epoch."""
    # Not the time of access, which the kernel changes whenever it is looked at.
    return os.stat(_note(os.path.dirname(image.root), image.name)).st_mtime


def _note(tree: str, name: str) -> str:
    return os.path.join(tree, "names", name)


def _write(path: str, fields: Mapping[str, object]) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{os.urandom(4).hex()}"
    with open(temporary, "w") as file:
        json.dump(fields, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)


def _moved(tree: str, path: str) -> bool:
    """Move a tree to where its digest says; whether nothing is there already."""
    try:
        os.rename(tree, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _tree_of(digest: str, platform: str) -> str:
    # The digest of an index is the same for all platforms; what is made of it is not.
    what = ".".join(
        [digest.replace(":", "-"), *([platform.replace("/", "-")] if platform else []), str(PROVISIONING_VERSION)]
    )
    return os.path.join(images_dir(), _TREES, what)


def _link(name: str, tree: str) -> None:
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
    linked = _linked_trees()
    for path in paths:
        if path in linked:
            continue
        lock = locks.lock_directory(path, wait=False)
        if lock is None:
            continue
        with lock:
            if path not in _linked_trees():  # looked up again: it may have been activated just now
                import shutil

                try:
                    shutil.rmtree(path)
                    removed.append(os.path.basename(path))
                except OSError as error:  # not this run's business
                    emit(Warn(f"what is left of an image in {path} cannot be removed: {error}"))
    return removed


def _linked_trees() -> set[str | None]:
    return {_linked_tree(name) for name in list_names()}


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
    if not is_name(name):
        return None
    try:
        target = os.readlink(os.path.join(images_dir(), name))
    except OSError:
        return None
    return os.path.dirname(os.path.join(images_dir(), target))


def _read(name: str, tree: str) -> Image:
    root = os.path.join(tree, "root")
    try:
        with open(os.path.join(tree, "record")) as record, open(_note(tree, name)) as note:
            image = Image(name=name, root=root, **json.load(record), **json.load(note))
        if not all(isinstance(value, int if key == "size" else str) for key, value in image._asdict().items()):
            raise ValueError("a value has the wrong type")
        int(image.systemd or 0)
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(name, f"its record cannot be read: {error}") from error
    for alternatives in _NEEDED if image.boots else _REQUIRED_UNBOOTED:
        # lexists: a link in the tree is the guest's, not to be followed from here
        if not any(os.path.lexists(os.path.join(root, path)) for path in alternatives):
            raise _damaged(name, f"{alternatives[0]} is missing in {root}")
    return image


def _damaged(name: str, why: str) -> ImageError:
    return ImageError(f"the image {name} is damaged", why=why, hint=f"pull it again: postroj pull --update {name}")
