"""What an .rpm file says of itself. The file is hostile input: of its headers, only what is asked for is read.

The format: rpm's docs/manual/format_header.md and format_v4.md. A lead of 96 bytes, a header with signatures, filled up
to 8 bytes, a header with the package's fields, and the payload. A header is an index of 16 bytes an entry, and a store.
The numbers of tags and types are those of rpm's rpmtag.h.
"""

import io
import re
import struct
from typing import IO, NamedTuple

from postroj.errors import UsageError
from postroj.package import architecture
from postroj.package.facts import Facts

MAGIC = b"\xed\xab\xee\xdb"
_LEAD = 96
_HEADER_MAGIC = b"\x8e\xad\xe8\x01"
_INTRO = 16
_ENTRY = struct.Struct(">4I")
# rpm's own bounds (lib/header.cc)
_MAX_ENTRIES = 0xFFFF
_MAX_STORE = 0x0FFF_FFFF
_MAX_TEXT = 255
"""A file name has no more, and these fields are part of one."""

_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH, _SOURCE_RPM, _PAYLOAD_SIZE = 1000, 1001, 1002, 1003, 1022, 1044, 5112
_SIG_SIZE, _SIG_LONG_SIZE = 1000, 270
_PROVIDES, _REQUIRES, _RECOMMENDS = 1047, 1049, 5046
_INT32, _INT64, _STRING, _STRINGS = 4, 5, 6, 8
_MAX_TEXTS = 1024 * 1024
"""Bytes of a list of texts."""
_NUMBERS = {_INT32: 4, _INT64: 8}

# What rpmbuild lets them be made of; none is an option or a path.
_FIELD = {
    _NAME: ("Name", re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")),
    _VERSION: ("Version", re.compile(r"[A-Za-z0-9._+~^]+")),
    _RELEASE: ("Release", re.compile(r"[A-Za-z0-9._+~^]+")),
    _ARCH: ("Architecture", re.compile(r"[A-Za-z0-9_-]{1,40}")),
}

# Debian's, Docker's and Go's words for architectures, and rpm's.
_FOREIGN = {
    **dict.fromkeys(("amd64", "x86-64", "x64"), "x86_64"),
    **dict.fromkeys(("arm64", "arm64v8", "armv8"), "aarch64"),
    **dict.fromkeys(("386", "x86", "ia32"), "i686"),
    **dict.fromkeys(("armhf", "armv7", "arm32v7"), "armv7hl"),
    **dict.fromkeys(("armel", "arm32v5"), "armv5tel"),
    **dict.fromkeys(("ppc64el", "powerpc64le"), "ppc64le"),
    "mips64le": "mips64el",
    "mipsle": "mipsel",
    "loong64": "loongarch64",
    **dict.fromkeys(("all", "any"), "noarch"),
}
_X86 = ("i386", "i486", "i586", "i686")


class Header(NamedTuple):
    """What a package says of itself."""

    name: str
    epoch: int
    """0 if it has none, which is the same to rpm."""
    version: str
    release: str
    architecture: str

    @property
    def full_version(self) -> str:
        """`[epoch:]version-release`."""
        return f"{f'{self.epoch}:' if self.epoch else ''}{self.version}-{self.release}"


def read(path: str) -> Facts:
    """Read a package's header. Raises UsageError."""
    header = read_header(path)
    return Facts(header.name, header.full_version, header.architecture)


def read_header(path: str) -> Header:
    """Read a package's header. Raises UsageError for what is no RPM package, or cut off, and for a source package."""
    try:
        with open(path, "rb") as file:
            return _read(file, path)
    except ValueError as error:
        raise UsageError(f"{path} is not an RPM package", why=str(error)) from error


def read_needs(path: str) -> list[str]:
    """Return what a package requires and recommends, and does not itself provide; without versions.

    Raises UsageError.
    """
    try:
        with open(path, "rb") as file:
            header = _main_header(file, file.seek(0, io.SEEK_END))[0]
            own = {*header.texts(_PROVIDES)}
            return [one for tag in (_REQUIRES, _RECOMMENDS) for one in header.texts(tag) if one not in own]
    except ValueError as error:
        raise UsageError(f"{path} is not an RPM package", why=str(error)) from error


def architecture_word(word: str) -> str:
    """Return the word that this format has for an architecture, by that of another one, or of a registry."""
    return architecture.own(word, _FOREIGN)


def architecture_fault(word: str) -> str:
    """Return what is wrong with the word that a package has for its architecture; empty if nothing is, by its form."""
    return architecture.fault(word, _FOREIGN, "RPM")


def runs_on(word: str, machine: str) -> bool:
    """Return whether a package for an architecture can be installed on a machine of another: rpm's rpmrc, arch_compat.

    Whether the processor has what x86_64_v3 asks for is found out by the machine's rpm.
    """
    if machine == "x86_64":
        return word in _X86 or re.fullmatch("x86_64_v[2-4]", word) is not None
    return machine in _X86 and word in _X86[: _X86.index(machine) + 1]


def _read(file: IO[bytes], path: str) -> Header:
    end = file.seek(0, io.SEEK_END)
    header, signatures, start = _main_header(file, end)
    # Of header and payload (format 4), or of the payload (format 6). rpm has no use for them; a file may be longer.
    sizes = [start + size for tag in (_SIG_SIZE, _SIG_LONG_SIZE) if (size := signatures.number(tag)) is not None]
    if (size := header.number(_PAYLOAD_SIZE)) is not None:
        sizes.append(header.end + size)
    if (wanted := max(sizes, default=header.end + 1)) > end:
        raise ValueError(f"it is cut off: it should have {wanted} bytes, and has {end}")
    found = Header(
        header.field(_NAME),
        header.number(_EPOCH) or 0,
        header.field(_VERSION),
        header.field(_RELEASE),
        header.field(_ARCH),
    )
    if not header.has(_SOURCE_RPM):  # rpm's headerIsSource()
        raise UsageError(
            f"{path} is a source package, which is built and not installed", hint="name the packages built from it"
        )
    return found


def _main_header(file: IO[bytes], end: int) -> "tuple[_Index, _Index, int]":
    """Return the header of a file with so many bytes, that of its signatures, and where the former begins."""
    file.seek(0)
    if not file.read(_LEAD).startswith(MAGIC):
        raise ValueError("it does not begin as one")
    signatures = _Index(file, _LEAD, end, "signature header")
    start = signatures.end + -signatures.end % 8
    return _Index(file, start, end, "header"), signatures, start


class _Index:
    """The index of a header; values are read from the store one by one, so that its size costs nothing."""

    def __init__(self, file: IO[bytes], start: int, end: int, what: str) -> None:
        self._file = file
        self._what = what
        file.seek(start)
        intro = file.read(_INTRO)
        if len(intro) < _INTRO:
            raise ValueError(f"it is cut off in its {what}")
        count, self._size = struct.unpack(">2I", intro[8:])
        if not intro.startswith(_HEADER_MAGIC):
            raise ValueError(f"its {what} is damaged")
        if not 0 < count <= _MAX_ENTRIES or self._size > _MAX_STORE:
            raise ValueError(f"its {what} would have {count} entries, and {self._size} bytes")
        self._store = start + _INTRO + count * _ENTRY.size
        self.end = self._store + self._size
        if self.end > end:
            raise ValueError(f"it is cut off in its {what}")
        self._entries: dict[int, tuple[int, int, int]] = {}
        for tag, kind, offset, number in _ENTRY.iter_unpack(file.read(count * _ENTRY.size)):
            if tag in self._entries:
                raise ValueError(f"its {what} has entry {tag} twice")
            self._entries[tag] = kind, offset, number

    def has(self, tag: int) -> bool:
        return tag in self._entries

    def number(self, tag: int) -> int | None:
        """Return a number; None if there is no such entry."""
        if tag not in self._entries:
            return None
        kind, offset, count = self._entries[tag]
        width = _NUMBERS.get(kind)
        if not width or count != 1 or offset + width > self._size:
            raise ValueError(f"its {self._what} is damaged in entry {tag}")
        return int.from_bytes(self._at(offset, width))

    def field(self, tag: int) -> str:
        """Return a text that the package has to have."""
        name, form = _FIELD[tag]
        if tag not in self._entries:
            raise ValueError(f"its {self._what} has no {name}")
        kind, offset, count = self._entries[tag]
        if kind != _STRING or count != 1 or offset >= self._size:
            raise ValueError(f"its {self._what} is damaged in {name}")
        data, terminator, _ = self._at(offset, min(_MAX_TEXT + 1, self._size - offset)).partition(b"\0")
        text = data.decode(errors="replace")
        if not terminator or not form.fullmatch(text):
            raise ValueError(f"its {self._what} has an invalid {name}: {text[:40]!r}")
        return text

    def texts(self, tag: int) -> list[str]:
        """Return a list of texts; none if there is no such entry."""
        if tag not in self._entries:
            return []
        kind, offset, count = self._entries[tag]
        data = self._at(offset, min(_MAX_TEXTS, self._size - offset)) if offset < self._size else b""
        found = data.split(b"\0")[:count]
        if kind != _STRINGS or data.count(b"\0") < count:
            raise ValueError(f"its {self._what} is damaged in entry {tag}")
        return [text.decode(errors="replace") for text in found]

    def _at(self, offset: int, size: int) -> bytes:
        self._file.seek(self._store + offset)
        return self._file.read(size)
