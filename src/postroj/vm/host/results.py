"""What a command in the Linux VM has changed of the directories that were shared, written to this host.

The VM is not trusted with more than these: no link is followed on the way to a file, and none leads out of them.
"""

import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from postroj.errors import HostError
from postroj.events import Warn, emit
from postroj.vm.host.shares import Share

_TOP = "shares"


def unpack(stream: IO[bytes], shares: Sequence[Share]) -> None:
    """Write the files of an archive, whose paths are shares/NUMBER/PATH. Raises HostError, TarError, OSError."""
    with tarfile.open(mode="r|", fileobj=stream) as archive:
        for member in archive:
            top, number, *parts = [*member.name.split("/"), ""]
            parts = parts[:-1]
            if top != _TOP or not number.isdecimal() or int(number) >= len(shares) or not parts:
                raise HostError("the Linux VM has sent back files that were not shared", why=member.name[:500])
            try:
                if not all(part and part not in (".", "..") and "\0" not in part for part in parts):
                    raise _LeadsOutError
                content = archive.extractfile(member) if member.isreg() else None
                _write(shares[int(number)].path, parts, member, content)
            except (_LeadsOutError, NotADirectoryError, IsADirectoryError):
                emit(Warn(f"{'/'.join(parts)[:200]} is not copied out of the Linux VM: it would be written elsewhere"))


class _LeadsOutError(Exception):
    """A path, or a link, leads out of what is shared."""


def _write(directory: str, parts: Sequence[str], member: tarfile.TarInfo, content: IO[bytes] | None) -> None:
    *above, name = parts
    with _opened(directory, above) as fd:
        if member.isdir():
            with suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=fd)
            return
        if member.issym():
            _check_link(above, member.linkname)
            _remove(name, fd)
            os.symlink(member.linkname, name, dir_fd=fd)
        elif member.isreg() and content:
            _remove(name, fd)  # so nothing is written through a link, nor into another name of the file
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with open(os.open(name, flags, member.mode & 0o777, dir_fd=fd), "wb") as file:
                shutil.copyfileobj(content, file)


@contextmanager
def _opened(directory: str, parts: Sequence[str]) -> Iterator[int]:
    """A descriptor of a directory below another; what is missing is made. Raises NotADirectoryError for a link."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts:
            with suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=fd)
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def _remove(name: str, fd: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=fd)


def _check_link(above: Sequence[str], target: str) -> None:
    depth = len(above)
    for part in target.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0 or target.startswith("/"):
            raise _LeadsOutError
