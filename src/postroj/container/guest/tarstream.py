"""Entries as a tar stream, and back: docker's form of a copy to standard output, or from standard input."""

import errno
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BufferedReader
from typing import IO, Any, Self

from postroj.container.guest.entries import Entry, Kind, Unreadable

_TYPES = {Kind.FILE: tarfile.REGTYPE, Kind.DIRECTORY: tarfile.DIRTYPE, Kind.LINK: tarfile.SYMTYPE}
_EXTENDED = {
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
}  # fmt: skip
_MOST_OF_HEADER = 1 << 20
_BLOCK = 512


def write(entries: Iterable[Entry], into: IO[bytes], prefix: tuple[str, ...]) -> None:
    """Write entries as an archive, whose top is called `prefix` in it. Raises OSError."""
    with tarfile.open(fileobj=into, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            info = tarfile.TarInfo("/".join((*prefix, *entry.path)) or ".")
            info.type = _TYPES[entry.kind]
            info.mode, info.uid, info.gid, info.linkname = entry.mode, entry.uid, entry.gid, entry.target
            info.mtime = int(max(0.0, entry.mtime))
            if entry.kind is not Kind.FILE:
                archive.addfile(info)
            elif sum(size for _, size in entry.extents) == entry.size:
                info.size = entry.size
                archive.addfile(info, _Data(entry, b""))  # type: ignore[arg-type]
            else:
                _add_sparse(archive, info, entry)


def _add_sparse(archive: tarfile.TarFile, info: tarfile.TarInfo, entry: Entry) -> None:
    """Add a file with holes, as GNU tar 1.0 has it: the map of its parts stands before them.

    https://www.gnu.org/software/tar/manual/html_node/PAX-1.html
    """
    parts = list(entry.extents)
    if not parts or sum(parts[-1]) < entry.size:
        parts.append((entry.size, 0))  # where the last hole ends
    numbers = [len(parts), *(number for part in parts for number in part)]
    text = "".join(f"{number}\n" for number in numbers).encode()
    text += bytes(-len(text) % _BLOCK)
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": info.name,
        "GNU.sparse.realsize": str(entry.size),
    }
    info.size = len(text) + sum(size for _, size in entry.extents)
    archive.addfile(info, _Data(entry, text))  # type: ignore[arg-type]


class _Data:
    """Reads what stands in an archive for a file: a header of ours, and its parts. What lacks of them is zeros."""

    def __init__(self, entry: Entry, header: bytes) -> None:
        self._entry = entry
        self._header = header
        self._extents = list(reversed(entry.extents))

    def read(self, size: int) -> bytes:
        data, self._header = self._header[:size], self._header[size:]
        while len(data) < size and self._extents:
            at, left = self._extents.pop()
            wanted = min(left, size - len(data))
            chunk = self._entry.read(at, wanted)
            data += chunk
            if len(chunk) < left and chunk:
                self._extents.append((at + len(chunk), left - len(chunk)))
            elif not chunk:  # it was cut off
                data += bytes(wanted)
                if wanted < left:
                    self._extents.append((at + wanted, left - wanted))
        return data


class _Member(tarfile.TarInfo):
    """A member, whose extended headers have a bound: tarfile reads each of them as a whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Return a header; see TarInfo."""
        found = super().frombuf(buf, encoding, errors)
        if found.type in _EXTENDED and found.size > _MOST_OF_HEADER:
            raise tarfile.ReadError(f"an extended header has {found.size} bytes")
        return found


def read(source: IO[bytes], skipped: Callable[[str, str], None], *, compressed: bool = True) -> Iterator[Entry]:
    """Yield the entries of an archive, which may be `compressed`. Raises OSError.

    What is neither a file, a directory nor a link is told to `skipped`. The archive is hostile input.
    """
    try:
        with tarfile.open(fileobj=source, mode="r|*" if compressed else "r|", tarinfo=_Member) as archive:
            for member in archive:
                path = _path(member.name)
                entry = Entry(path, Kind.FILE, member.mode, mtime=float(member.mtime))
                if member.isdir():
                    yield entry._replace(kind=Kind.DIRECTORY)
                elif member.issym():
                    yield entry._replace(kind=Kind.LINK, target=member.linkname)
                elif member.islnk():
                    yield entry._replace(kind=Kind.HARD_LINK, same_as=_path(member.linkname))
                elif member.isreg() and isinstance(data := archive.extractfile(member), BufferedReader):
                    yield entry._replace(size=member.size, extents=_extents(member), read=_reader(data))
                else:
                    skipped(member.name, "it is neither a file, a directory nor a link")
    except (tarfile.TarError, EOFError, ValueError, RecursionError) as error:  # it recurses over extended headers
        raise Unreadable(errno.EBADMSG, f"it is not a whole tar archive ({error})") from error


def _extents(member: tarfile.TarInfo) -> tuple[tuple[int, int], ...]:
    """Return the parts of a file that are no holes, in order. Raises TarError."""
    if member.sparse is None:
        return ((0, member.size),) if member.size else ()
    told: Sequence[tuple[int, int]] = member.sparse  # type: ignore[assignment]  # typeshed has bytes
    parts = tuple((offset, size) for offset, size in told if size)
    end = 0
    for offset, size in parts:
        if offset < end or size < 0:
            raise tarfile.ReadError("the parts of a file are out of order")
        end = offset + size
    if end > member.size:
        raise tarfile.ReadError("a part of a file is behind its end")
    return parts


def _reader(data: BufferedReader) -> Callable[[int, int], bytes]:
    """Return what reads a member from its beginning to its end: its parts are asked for in order."""
    raw: Any = data.raw  # the stream below has no seekable(), for which the buffer would ask

    def read(offset: int, size: int) -> bytes:
        raw.seek(offset)
        return bytes(raw.read(size))

    return read


def _path(name: str) -> tuple[str, ...]:
    return tuple(part for part in name.split("/") if part not in ("", "."))
