"""A compound file, as .msi files are: MS-CFB. It is a small file system with sectors, and hostile input.

It is read here, within bounds, and not by a library: only the streams of the root directory are needed.
"""

import struct
import sys
from array import array
from typing import IO

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HEADER = 512
_IN_HEADER = 109
"""So many sectors of the allocation table are named in the header; the others are in sectors of their own."""
_END = 0xFFFFFFFA
"""Numbers of sectors are smaller; from here on they mean something else."""
_ENTRY = 128
_STREAM, _ROOT = 2, 5
_MOST_TABLE = 16 * 1024 * 1024
"""Of the allocation table: enough for 2 GiB."""
_MOST_DIRECTORY = 16 * 1024 * 1024
_MINI = 64
_CUTOFF = 4096


class CompoundFile:
    """The streams in the root of a compound file. Raises ValueError if it is damaged or too large."""

    def __init__(self, file: IO[bytes]) -> None:
        """Read the directory of an open file."""
        self._file = file
        header = file.read(_HEADER)
        if len(header) < _HEADER or not header.startswith(MAGIC):
            raise ValueError("it is not a compound file")
        shift, mini = struct.unpack_from("<HH", header, 30)
        if shift not in (9, 12) or mini != 6 or struct.unpack_from("<I", header, 56) != (_CUTOFF,):
            raise ValueError("its header is damaged")
        self._sector = 1 << shift
        directory, mini_table = struct.unpack_from("<I", header, 48)[0], struct.unpack_from("<I", header, 60)[0]
        self._table = self._numbers(self._table_sectors(header))
        self._entries = self._read(directory, _MOST_DIRECTORY)
        self._mini_table = self._numbers(self._chain(mini_table, _MOST_TABLE))
        self._mini_stream: bytes | None = None
        self.streams = self._streams()
        """By name: the first sector and the size, which `stream` takes."""

    def stream(self, name: str, most: int) -> bytes:
        """Return what is in a stream; empty if there is none of this name. Raises ValueError if it is larger."""
        start, size = self.streams.get(name, (0, 0))
        if size > most:
            raise ValueError(f"its stream {name[:80]!r} has {size} bytes")
        data = self._read(start, size) if size >= _CUTOFF else self._small(start, size)
        if len(data) < size:
            raise ValueError("it is cut off")
        return data[:size]

    def _streams(self) -> dict[str, tuple[int, int]]:
        """Return the streams of the root: a tree of entries, in which those of storages inside are not."""
        found: dict[str, tuple[int, int]] = {}
        if len(self._entries) < _ENTRY or self._entries[66] != _ROOT:
            raise ValueError("it has no root directory")
        seen: set[int] = set()
        left = [struct.unpack_from("<I", self._entries, 76)[0]]
        while left:
            number = left.pop()
            if number >= _END or number in seen:
                continue
            seen.add(number)
            entry = self._entries[number * _ENTRY : (number + 1) * _ENTRY]
            if len(entry) < _ENTRY:
                raise ValueError("its directory is damaged")
            left += struct.unpack_from("<II", entry, 68)
            length, kind = struct.unpack_from("<HB", entry, 64)
            if kind == _STREAM and 2 <= length <= 64:
                start, size = struct.unpack_from("<II", entry, 116)
                found[entry[: length - 2].decode("utf-16-le", "replace")] = (start, size)
        return found

    def _small(self, start: int, size: int) -> bytes:
        """Return a stream below the cutoff: those share one stream, which is the root's."""
        if self._mini_stream is None:
            first, whole = struct.unpack_from("<II", self._entries, 116)
            if whole > _MOST_DIRECTORY * 4:
                raise ValueError("its small streams are too large")
            self._mini_stream = self._read(first, whole)
        data, number = b"", start
        while len(data) < size and number < len(self._mini_table):
            data += self._mini_stream[number * _MINI : (number + 1) * _MINI]
            number = self._mini_table[number]
        return data

    def _table_sectors(self, header: bytes) -> list[int]:
        """Return the sectors of the allocation table: its first are in the header, the others in a list of sectors."""
        count, following = struct.unpack_from("<I", header, 44)[0], struct.unpack_from("<I", header, 68)[0]
        if count * self._sector > _MOST_TABLE:
            raise ValueError("it is too large for a package")
        found = list(struct.unpack_from(f"<{_IN_HEADER}I", header, 76))
        while len(found) < count and following < _END:
            *more, following = self._numbers([following])
            found += more
        return [number for number in found[:count] if number < _END]

    def _read(self, start: int, most: int) -> bytes:
        """Return the sectors of a chain, up to the one that has byte `most`."""
        return b"".join(map(self._data, self._chain(start, most)))

    def _chain(self, start: int, most: int) -> list[int]:
        found: list[int] = []
        while start < _END and len(found) * self._sector < most:
            if start >= len(self._table):
                raise ValueError("it is damaged: a chain of sectors leads nowhere")
            found.append(start)
            start = self._table[start]
        return found

    def _numbers(self, sectors: list[int]) -> "array[int]":
        found = array("I", b"".join(map(self._data, sectors)))  # a list of the numbers would take nine times the memory
        if sys.byteorder == "big":
            found.byteswap()
        return found

    def _data(self, number: int) -> bytes:
        self._file.seek((number + 1) * self._sector)
        data = self._file.read(self._sector)
        if not data:
            raise ValueError("it is cut off")
        return data.ljust(self._sector, b"\0")  # the last one may be shorter
