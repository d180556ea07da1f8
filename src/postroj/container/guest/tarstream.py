"""Entries as a tar stream, and back: docker's form of a copy to standard output, or from standard input."""

import errno
import tarfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from postroj.container.guest.entries import Entry, Kind, Unreadable

_TYPES = {Kind.FILE: tarfile.REGTYPE, Kind.DIRECTORY: tarfile.DIRTYPE, Kind.LINK: tarfile.SYMTYPE}
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


def read(source: IO[bytes], skipped: Callable[[str, str], None]) -> Iterator[Entry]:
    """Yield the entries of an archive, compressed or not. Raises OSError.

    What is neither a file, a directory nor a link is told to `skipped`.
    """
    try:
        with tarfile.open(fileobj=source, mode="r|*") as archive:
            for member in archive:
                path = _path(member.name)
                entry = Entry(path, Kind.FILE, member.mode, mtime=float(member.mtime))
                if member.isdir():
                    yield entry._replace(kind=Kind.DIRECTORY)
                elif member.issym():
                    yield entry._replace(kind=Kind.LINK, target=member.linkname)
                elif member.islnk():
                    yield entry._replace(kind=Kind.HARD_LINK, same_as=_path(member.linkname))
                elif member.isreg() and (data := archive.extractfile(member)):
                    extents = ((0, member.size),) if member.size else ()
                    yield entry._replace(size=member.size, extents=extents, read=_reader(data))
                else:
                    skipped(member.name, "it is neither a file, a directory nor a link")
    except (tarfile.TarError, EOFError) as error:
        raise Unreadable(errno.EBADMSG, f"it is not a whole tar archive ({error})", "standard input") from error


def _reader(data: IO[bytes]) -> Callable[[int, int], bytes]:
    """Return what reads a member from its beginning to its end: its parts are asked for in order."""
    return lambda offset, size: data.read(size)


def _path(name: str) -> tuple[str, ...]:
    return tuple(part for part in name.split("/") if part not in ("", "."))
