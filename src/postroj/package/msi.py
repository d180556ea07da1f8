"""What an .msi file says of itself. The file is hostile input, and read within bounds.

An .msi is a compound file whose streams are the tables of a data base. Sources: "Summary Property Descriptions" and
"Database Tables" (Microsoft Learn). How names and texts of tables are stored is not documented there: msitools and Wine
show it.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from postroj.errors import UsageError
from postroj.package.cfb import CompoundFile
from postroj.package.facts import Facts

_MOST_TEXTS = 16 * 1024 * 1024
_MOST = 4 * 1024 * 1024
"""Of any other stream."""
_LONGEST = 1024
_MOST_SERVICES = 100

_SUMMARY = "\x05SummaryInformation"
_TEMPLATE = 7
_TEXT = 30
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._"
_PAIRS, _SINGLES, _TABLE = 0x3800, 0x4800, 0x4840
_IS_TEXT = 0x0800
_CODEPAGES = {0: "cp1252", 65001: "utf-8"}
_OF_REGISTRIES = {"amd64": "x64", "386": "x86", "arm64": "arm64"}
_ARCHITECTURES = {"": "x86", "Intel": "x86", "Intel64": "ia64", "AMD64": "x64", "Arm64": "arm64"}


class Msi(NamedTuple):
    """A package of Windows Installer."""

    name: str
    """ProductName."""
    version: str
    """ProductVersion."""
    architecture: str
    """Of its Template: x86, x64, arm64."""
    product: str
    """ProductCode, by which msiexec knows what is installed."""
    services: tuple[str, ...]
    """The services that it installs, by name."""


def read(path: str) -> Msi:
    """Read a package. Raises UsageError if it is not one of Windows Installer, or damaged; OSError."""
    try:
        with open(path, "rb") as file:
            return _Database(CompoundFile(file)).facts()
    except (ValueError, struct.error, LookupError) as error:
        raise UsageError(f"{path} is not a package of Windows Installer", why=str(error)) from error


def facts(path: str) -> Facts:
    """Read a package. Raises UsageError, OSError."""
    found = read(path)
    return Facts(found.name, found.version, found.architecture, found.services)


def architecture_fault(word: str) -> str:
    """Return what is wrong with the word for an architecture in a Template; empty for nothing."""
    return "" if word in _ARCHITECTURES.values() else f"is for '{word[:20]}', which is not an architecture of Windows"


def architecture_word(architecture: str) -> str:
    """Return how Windows Installer calls an architecture of a registry: x64 for amd64."""
    return _OF_REGISTRIES.get(architecture, architecture)


def runs_on(word: str, machine: str) -> bool:
    """Return whether a package for one architecture can be installed on a machine of another."""
    return word == "x86" and machine in ("x64", "arm64")


def is_newer(version: str, other: str) -> bool:
    """Return whether a version is newer; Windows Installer compares the first three numbers."""
    return _numbers(version) > _numbers(other)


def _numbers(version: str) -> list[int]:
    return [int(part) if part.isascii() and part.isdecimal() else 0 for part in version.split(".")[:3]]


class _Database:
    """The tables of a package."""

    def __init__(self, file: CompoundFile) -> None:
        self._file = file
        self._names = {_decoded(name): name for name in file.streams}
        self._texts, self._width = self._pool()

    def facts(self) -> Msi:
        properties = {name: value for name, value in self._rows("Property") if isinstance(name, str)}
        name, version, product = (
            str(properties.get(key) or "")[:_LONGEST] for key in ("ProductName", "ProductVersion", "ProductCode")
        )
        if not name or not version:
            raise ValueError("it has no ProductName and ProductVersion")
        services = [str(row[1])[:_LONGEST] for row in self._rows("ServiceInstall")]
        return Msi(name, version, self._architecture(), product, tuple(dict.fromkeys(services[:_MOST_SERVICES])))

    def _stream(self, table: str, most: int = _MOST) -> bytes:
        name = self._names.get(f"!{table}")
        return self._file.stream(name, most) if name else b""

    def _pool(self) -> tuple[list[str], int]:
        """Return all texts, by their numbers, and how many bytes such a number has in a table."""
        pool, data = self._stream("_StringPool"), self._stream("_StringData", _MOST_TEXTS)
        if len(pool) < 4:
            raise ValueError("it has no texts")
        (codepage,) = struct.unpack_from("<I", pool)
        known = codepage & 0x7FFFFFFF
        encoding = _CODEPAGES.get(known, f"cp{known}")
        texts, start = [""], 0
        entries = struct.iter_unpack("<HH", pool[4 : len(pool) // 4 * 4])
        for length, references in entries:
            if not length and references:  # a long one: its length is the next entry
                low, high = next(entries, (0, 0))
                length = low + (high << 16)
            texts.append(data[start : start + length].decode(encoding, "replace"))
            start += length
        return texts, 3 if codepage >> 31 else 2

    def _rows(self, table: str) -> Iterator[Sequence[str | int]]:
        """Return the rows of a table, as they are stored: one column after the other."""
        columns = [kind for _, name, kind in sorted(self._columns()) if name == table]
        yield from self._parsed(self._stream(table), columns) if columns else ()

    def _columns(self) -> Iterator[tuple[int, str, int]]:
        """Return the number of each column, its table and its type."""
        kinds = [_IS_TEXT, 2, _IS_TEXT, 2]  # the columns of the table of columns
        for table, number, _, kind in self._parsed(self._stream("_Columns"), kinds):
            if isinstance(table, str) and isinstance(number, int) and isinstance(kind, int):
                yield number, table, kind

    def _parsed(self, data: bytes, kinds: Sequence[int]) -> Iterator[Sequence[str | int]]:
        widths = [self._width if kind & _IS_TEXT else 2 if kind & 0xFF == 2 else 4 for kind in kinds]
        rows = len(data) // sum(widths)
        columns: list[list[str | int]] = []
        start = 0
        for kind, width in zip(kinds, widths, strict=True):
            end = start + width * rows
            numbers = [int.from_bytes(data[at : at + width], "little") for at in range(start, end, width)]
            is_text = kind & _IS_TEXT
            columns.append([self._texts[one] if is_text else one ^ (1 << (8 * width - 1)) for one in numbers])
            start = end
        return zip(*columns, strict=True)

    def _architecture(self) -> str:
        """Return the first part of the Template in the summary, `x64;1033`."""
        data = self._file.stream(_SUMMARY, _MOST)
        (start,) = struct.unpack_from("<I", data, 44)
        (count,) = struct.unpack_from("<I", data, start + 4)
        for place in range(min(count, 100)):
            key, at = struct.unpack_from("<II", data, start + 8 + 8 * place)
            if key == _TEMPLATE:
                kind, length = struct.unpack_from("<II", data, start + at)
                text = data[start + at + 8 : start + at + 8 + min(length, _LONGEST)] if kind == _TEXT else b""
                word = text.split(b"\0")[0].decode("ascii", "replace").partition(";")[0].partition(",")[0]
                return _ARCHITECTURES.get(word, word)
        raise ValueError("its summary has no Template")


def _decoded(name: str) -> str:
    """Return the name of a stream, two letters of which are stored as one."""
    found = ""
    for letter in name:
        code = ord(letter)
        if _PAIRS <= code < _SINGLES:
            found += _ALPHABET[(code - _PAIRS) & 63] + _ALPHABET[(code - _PAIRS) >> 6]
        elif _SINGLES <= code < _TABLE:
            found += _ALPHABET[code - _SINGLES]
        else:
            found += "!" if code == _TABLE else letter
    return found
