"""What the metadata of an RPM repository names: repomd.xml has the checksum of primary.xml, that those of packages.

All of it is what a repository chose: it is read within bounds.
"""

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from xml.parsers import expat

from postroj import tar

_INDEX = "repomd.xml"
_KINDS = ("sha256", "sha384", "sha512")
_HEX = re.compile(r"[0-9a-f]{64,128}")
_LONGEST = 256
"""Characters of a checksum, with spaces around it."""
_MOST_INDEX = 16 << 20
_MOST = 4 << 30
"""Bytes of metadata when decompressed: those of Fedora have 200 MB."""
_MOST_TOKEN = 4 << 20
"""Bytes of one piece of XML, such as a text."""
_CHUNK = 256 << 10


def checksums(
    packages: Collection[str], lists: Mapping[str, str], directory_of: Callable[[str], str]
) -> dict[str, set[str]]:
    """Return the checksum that the metadata of its own repository has first for the file of each package.

    `lists` are files by their paths in the guest, `directory_of` a package is that of its repository's metadata there.
    Raises ValueError for what is damaged, or is not what repomd.xml names.
    """
    found: dict[str, set[str]] = {}
    for directory in {directory_of(package) for package in packages}:
        own = {os.path.basename(package): package for package in packages if directory_of(package) == directory}
        metadata = {os.path.basename(path): file for path, file in lists.items() if os.path.dirname(path) == directory}
        if _INDEX not in metadata or not (primary := _primary(metadata)):
            continue
        for name, checksum in _named(primary):
            if name in own and checksum:
                found.setdefault(own.pop(name), set()).add(checksum)
                if not own:  # Fedora's take seconds
                    break
    return found


def index_url(base: str) -> str:
    """Return the URL of the index of the repository at a URL."""
    return f"{base.rstrip('/')}/repodata/{_INDEX}"


def _primary(metadata: Mapping[str, str]) -> str:
    """Return the file primary.xml, which is what the index says; empty if there is none of that form."""
    with _opened(metadata[_INDEX]) as source:
        parts = list(_Elements(("data", "checksum", "location")).read(source, _MOST_INDEX))
    for part in parts:
        name = os.path.basename(part.location)
        if part.attributes.get("type") == "primary" and name in metadata:
            kind, _, wanted = part.checksum.partition(":")
            with open(metadata[name], "rb") as file:
                if kind not in _KINDS or hashlib.file_digest(file, kind).hexdigest() != wanted:
                    raise ValueError(f"{name} is not what {_INDEX} names")
            return metadata[name]
    return ""


def _named(primary: str) -> Iterator[tuple[str, str]]:
    """The names of the files of all packages, each with its checksum."""
    parts = _Elements(("package", "checksum", "location"))
    with _opened(primary) as source:
        for part in parts.read(source, _MOST):
            yield os.path.basename(part.location), part.checksum


@contextmanager
def _opened(path: str) -> Iterator[tar.Source]:
    with open(path, "rb") as file:
        kind = tar.compression(file.read(8))
        file.seek(0)
        yield tar.decompressed(file, kind)


class _Part:
    """An element of which the others are parts."""

    def __init__(self, attributes: dict[str, str]) -> None:
        self.attributes = attributes
        self.location = ""
        self.checksum = ""


class _Elements:
    """Reads elements with a checksum and a location one after the other: names of the three."""

    def __init__(self, names: tuple[str, str, str]) -> None:
        self._whole, self._checksum, self._location = names
        self._parts: list[_Part] = []
        self._kind = self._text = ""

    def read(self, source: tar.Source, most: int) -> Iterator[_Part]:
        """All of them. Raises ValueError if it is damaged, or is too large."""
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.StartDoctypeDeclHandler = self._refuse
        try:
            fed = 0
            while data := source.read(_CHUNK):
                fed += len(data)
                parser.Parse(data)
                if fed > most or fed - parser.CurrentByteIndex > _MOST_TOKEN:
                    raise ValueError("it is too large")
                yield from self._parts[:-1]
                del self._parts[:-1]
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise ValueError(f"it is damaged: {error}") from error
        yield from self._parts

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._kind:
            self._end_checksum()
        if name == self._whole:
            self._parts.append(_Part(attributes))
        elif not self._parts:
            return
        elif name == self._location:
            self._parts[-1].location = attributes.get("href", "")
        elif name == self._checksum and not self._parts[-1].checksum:
            self._kind, self._text = attributes.get("type", "?"), ""
            self._parser.CharacterDataHandler = self._characters

    def _characters(self, text: str) -> None:
        self._text += text[: _LONGEST - len(self._text)]

    def _end_checksum(self) -> None:
        """Keep what has been read of it: another element begins, as one does behind each checksum."""
        self._parser.CharacterDataHandler = None
        text = self._text.split()
        if text and _HEX.fullmatch(text[0]):
            self._parts[-1].checksum = f"{self._kind}:{text[0]}"
        self._kind = ""

    def _refuse(self, *words: Any) -> None:
        raise ValueError("it has a document type")
