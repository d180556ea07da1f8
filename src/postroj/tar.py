"""One file of a tar archive, plain or compressed, read within bounds: tar(5). The archive is hostile input.

It is read here, and not by tarfile, which recurses over extended headers and takes negative sizes.
"""

import lzma
import re
import sys
import zlib
from collections.abc import Callable, Collection, Iterator
from typing import IO, Protocol

_BLOCK = 512
_CHUNK = 256 * 1024
_MAX_MEMBERS = 500_000
_MAX_MEMORY = 128 * 1024 * 1024
"""Of a decompressor, in bytes: the highest levels take less, xz -9 65 MiB."""
_MAX_WINDOW = 27
"""The same for zstd, as a power of two: what `zstd --ultra -22` takes, and `zstd --decompress` at most."""

_MAGIC = {"gz": b"\x1f\x8b", "xz": b"\xfd7zXZ\0", "zst": b"\x28\xb5\x2f\xfd"}


class Source(Protocol):
    """Bytes one after the other."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""


def compression(start: bytes) -> str:
    """Return how a file is compressed, by its first bytes: gz, xz, zst, or empty."""
    return next((kind for kind, magic in _MAGIC.items() if start.startswith(magic)), "")


def decompressed(file: IO[bytes], kind: str) -> Source:
    """Return what a file is when decompressed; its `read` raises ValueError for damage and for a cut-off file."""
    return _Decompressed(file, kind) if kind else file


def read(source: Source, size: int) -> bytes:
    """Return the next `size` bytes; fewer at the end."""
    parts = []
    while size and (part := source.read(min(size, _CHUNK))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def find(source: Source, names: Collection[bytes], what: str, *, largest: int, within: int) -> bytes | None:
    """Return the first regular file of one of these names; None if there is none in the first `within` bytes.

    Raises ValueError if the archive is damaged, or the file has more than `largest` bytes; `what` is what it is called
    then.
    """
    found = files(source, lambda name: name in names, what, largest=largest, within=within)
    return next((data for _, data in found), None)


def files(
    source: Source, is_wanted: Callable[[bytes], bool], what: str, *, largest: int, within: int
) -> Iterator[tuple[bytes, bytes]]:
    """The regular files in the first `within` bytes whose name is wanted, with what is in them.

    Raises ValueError if the archive is damaged, or one of them has more than `largest` bytes; `what` is what they are
    called then.
    """
    for _ in range(_MAX_MEMBERS):
        header = read(source, _BLOCK)
        if len(header) < _BLOCK or not header.strip(b"\0"):
            break
        name, kind = header[:100].rstrip(b"\0"), header[156:157]
        size = _size(header[124:136])
        if size is None:
            raise ValueError(f"its {what} archive is damaged")
        padded = -(-size // _BLOCK) * _BLOCK
        within -= _BLOCK + padded
        if is_wanted(name) and kind in (b"0", b"\0"):
            data = read(source, size) if size <= largest else b""
            if len(data) < size:
                raise ValueError(f"its {what} file has {size} bytes")
            yield name, data
            padded -= size
        if within < 0:
            break
        _skip(source, padded)


def _size(field: bytes) -> int | None:
    """Return the size of a member; None if it cannot be one. GNU tar writes 8 GiB and more in base 256: tar(5)."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b"\0 ")
    return int(digits or b"0", 8) if re.fullmatch(rb"[0-7]{0,11}", digits) else None


def _skip(source: Source, size: int) -> None:
    while size and (part := source.read(min(size, _CHUNK))):
        size -= len(part)


class _Decoder(Protocol):
    """As lzma.LZMADecompressor."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """What zlib has, as a decoder."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.eof and not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


class _Decompressed:
    """A file, decompressed as it is read."""

    def __init__(self, file: IO[bytes], kind: str) -> None:
        self._file = file
        self._kind = kind
        self._ahead = b""
        self._decoder: _Decoder | None
        self._decoder, self._error = _decoder(kind)

    def read(self, size: int, /) -> bytes:
        while decoder := self._decoder:
            if decoder.eof:
                self._next(decoder.unused_data)
                continue
            data = b""
            if decoder.needs_input:
                data, self._ahead = self._ahead or self._file.read(_CHUNK), b""
            try:
                found = decoder.decompress(data, size)
            except (self._error, EOFError) as error:
                raise ValueError(f"it is damaged: {error}") from error
            if found:
                return found
            if not data and decoder.needs_input and not decoder.eof:
                raise ValueError("it is cut off")
        return b""

    def _next(self, rest: bytes) -> None:
        """Go on with the next stream, if one follows; zeros that fill a block end it."""
        rest = rest or self._file.read(_CHUNK)
        self._ahead = rest
        self._decoder = _decoder(self._kind)[0] if rest.startswith(_MAGIC[self._kind]) else None


def _decoder(kind: str) -> tuple[_Decoder, type[Exception]]:
    """Return a decoder, and what it raises for damage."""
    if kind == "gz":
        return _Gzip(), zlib.error
    if kind == "xz":
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_MEMORY), lzma.LZMAError
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd  # the same module, for older Python
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _MAX_WINDOW}), zstd.ZstdError
