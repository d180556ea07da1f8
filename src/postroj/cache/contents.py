"""The files of a layer that is being made: lists as a container has left them, and packages that the lists name."""

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

from postroj.cache import seal as seals
from postroj.cache import take
from postroj.cache.seal import File
from postroj.cache.shelf import Layer
from postroj.events import Debug, emit
from postroj.family.cache import Kept


class Contents:
    """What is in a new layer."""

    def __init__(self, path: str, image: str, kept: Kept, limit: int) -> None:
        """Begin with none. `image` is the root directory of the image, `limit` the bytes that it may have."""
        self.files: dict[str, File] = {}
        self._root = os.path.join(path, "root")
        self._image = image
        self._kept = kept
        self._limit = limit
        for place in (*kept.lists, *kept.packages):
            self._have(place.partition("/*")[0])

    @property
    def lists(self) -> dict[str, str]:
        """The files of those that are no packages, by their paths in the guest; what the image has is among them."""
        found = {name: os.path.join(self._image, name) for name in take.regular(self._image, self._kept.lists)}
        found |= {name: os.path.join(self._root, name) for name in self.files}
        return {name: file for name, file in found.items() if not self._is_package(name)}

    @property
    def room(self) -> int:
        """The bytes that are left."""
        return self._limit - sum(file.size for file in self.files.values())

    def add_lists(self, upper: int, old: Layer | None) -> None:
        """Take the lists as they are seen by who has written `upper` over the layer `old`. Raises OSError."""
        room = self._limit
        for directory in _directories(upper, self._kept.lists):
            with take.listing(upper, directory) as (fd, names):
                for name in names:
                    own = os.path.join(directory, name)
                    if name in self._kept.ignored or self._is_package(own):
                        continue
                    self._have(directory)
                    path = os.path.join(self._root, own)
                    if (size := take.copy(fd, name, path, room, self._kept.links)) >= 0:
                        self.files[own] = seals.look(path)
                        room -= size
        for own in old.seal.files if old else ():
            if not self._is_package(own) and own not in self.files and not take.is_hidden(upper, own):
                assert old
                self.link(old, [own])

    def add_packages(self, upper: int) -> bool:
        """Take the packages that the lists name; return whether these are all that are there. Raises OSError."""
        room = self.room
        copied: dict[str, File] = {}
        for directory in _directories(upper, self._kept.packages):
            with take.listing(upper, directory) as (fd, names):
                for name in names:
                    own = os.path.join(directory, name)
                    if not self._is_package(own) or own in self.files:
                        continue
                    self._have(directory)
                    path = os.path.join(self._root, own)
                    if (size := take.copy(fd, name, path, room)) >= 0:
                        copied[own] = seals.look(path)
                        room -= size
        listed = self._listed(self._root, copied)
        for own in copied.keys() - listed:
            emit(Debug(f"{os.path.basename(own)} is in no package list with this checksum, and is not kept"))
            os.unlink(os.path.join(self._root, own))
        self.files |= {own: file for own, file in copied.items() if own in listed}
        return len(listed) == len(copied)

    def link_packages(self, old: Layer) -> None:
        """Have the packages of another layer that the lists still name. Raises OSError."""
        packages = {name: file for name, file in old.seal.files.items() if self._is_package(name)}
        if old.size <= self.room:
            self.link(old, self._listed(old.root, packages))

    def link(self, old: Layer, names: Iterable[str]) -> None:
        """Have files of another layer. Raises OSError."""
        for name in names:
            self._have(os.path.dirname(name))
            new = os.path.join(self._root, name)
            os.link(os.path.join(old.root, name), new, follow_symlinks=False)
            self.files[name] = seals.look(new, old.seal.files[name].sha256)

    def _listed(self, root: str, packages: Mapping[str, File]) -> set[str]:
        """Return the packages below `root` of which the lists name the checksum, and the signatures of these."""
        suffix = self._kept.signatures
        plain = [name for name in packages if not suffix or not name.endswith(suffix)]
        named: Mapping[str, Collection[str]] = {}
        try:
            named = self._kept.checksums(plain, self.lists) if plain else {}
        except ValueError as error:
            emit(Debug(f"a package list cannot be read: {error}"))
        found = [name for name in plain if _is_one(os.path.join(root, name), packages[name], named.get(name, ()))]
        return {*found, *(name + suffix for name in found if suffix and name + suffix in packages)}

    def _is_package(self, name: str) -> bool:
        return name.endswith(self._kept.suffixes) and take.is_in(os.path.dirname(name), self._kept.packages)

    def _have(self, directory: str) -> None:
        """Make a directory, with the owners and modes that it and those above it have in the image."""
        path = ""
        for part in directory.split("/"):
            path = os.path.join(path, part)
            own = os.path.join(self._root, path)
            with suppress(FileExistsError):
                os.mkdir(own, 0o755)
                with suppress(FileNotFoundError, NotADirectoryError):
                    status = os.lstat(os.path.join(self._image, path))
                    os.chown(own, status.st_uid, status.st_gid)
                    os.chmod(own, status.st_mode & 0o7777)


def _directories(upper: int, patterns: Collection[str]) -> list[str]:
    return [directory for pattern in patterns for directory in take.directories(upper, pattern)]


def _is_one(path: str, file: File, checksums: Collection[str]) -> bool:
    """Return whether a file has one of some checksums; those of other algorithms than these are none."""
    if f"sha256:{file.sha256}" in checksums:
        return True
    for kind in {one.partition(":")[0] for one in checksums} & {"sha384", "sha512"}:
        with open(path, "rb") as opened:
            if f"{kind}:{hashlib.file_digest(opened, kind).hexdigest()}" in checksums:
                return True
    return False
