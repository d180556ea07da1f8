"""Files that a command in the Linux VM shares with this host: they are copied into it before; see results.py.

Each directory has the same path in the VM as here, so that no word of a command line has to be changed. A copy of its
own for each command is mounted there, which only that command sees: two commands are not in each other's way.
"""

import os
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from postroj.errors import UsageError
from postroj.events import Warn, emit
from postroj.vm.host.guest import plain

MOST_BYTES, MOST_FILES = 500_000_000, 50_000
_TOO_MANY = f"{MOST_FILES} files or {MOST_BYTES // 1_000_000} MB"
_OF_THE_VM = ("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "run", "sbin", "sys", "usr", "var")
"""What a directory of this host must not hide in the VM."""
_EXCEPT = ("/var/folders", "/var/tmp")
"""Temporary files of macOS' users, and of all."""


class Share(NamedTuple):
    """A directory that is shared."""

    path: str
    """Its absolute path, here and in the VM."""
    names: frozenset[str] | None = frozenset()
    """The entries that are copied into the VM; None for all."""


def is_possible(path: str) -> bool:
    """Return whether a directory of this host can be mounted in the VM where it is here."""
    if any(path == one or path.startswith(f"{one}/") for one in _EXCEPT):
        return True
    return path != "/" and path.split("/")[1] not in _OF_THE_VM


def is_small(path: str) -> bool:
    """Return whether all that is in a directory is little enough to be copied."""
    files = size = 0
    for status in _statuses(path):
        files, size = files + 1, size + status.st_size
        if files > MOST_FILES or size > MOST_BYTES:
            return False
    return True


def _statuses(path: str) -> Iterator[os.stat_result]:
    for directory, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):  # it may be gone by now
                yield os.lstat(os.path.join(directory, name))


def collect(paths: Iterable[str], results: Iterable[str]) -> list[Share]:
    """Return what to share for files and directories that a command reads, and for those that it writes.

    The current directory comes first, unless it is the user's home, or cannot be shared. Raises UsageError.
    """
    shares: dict[str, frozenset[str] | None] = {}
    here = os.getcwd()
    if here != os.path.realpath(os.path.expanduser("~")) and is_possible(here):
        if is_small(here):
            shares[here] = None
        else:
            emit(Warn(f"the current directory is not shared with the Linux VM: it has more than {_TOO_MANY}"))
    for path in map(os.path.abspath, paths):
        if _is_in(path, shares):
            continue
        if os.path.isdir(path):
            _check(path)
            if not is_small(path):
                what = f"{path} is too large to be shared with the Linux VM: it has more than {_TOO_MANY}"
                raise UsageError(what, hint="name what is needed of it")
            shares[path] = None
        else:
            directory, name = os.path.split(path)
            _check(directory)
            shares[directory] = (shares.get(directory) or frozenset()) | {name}
    for path in map(os.path.abspath, results):
        directory = os.path.dirname(path)
        if not _is_in(path, shares) and os.path.isdir(directory):
            _check(directory)
            shares.setdefault(directory, frozenset())
    return [Share(path, names) for path, names in sorted(shares.items())]


def _check(directory: str) -> None:
    if not is_possible(directory):
        what = f"{directory} cannot be shared with the Linux VM, which has a directory of its own there"
        raise UsageError(what, hint="copy it into the current directory")


def _is_in(path: str, shares: dict[str, frozenset[str] | None]) -> bool:
    return any(names is None and (path == whole or path.startswith(f"{whole}/")) for whole, names in shares.items())


def pack(archive: tarfile.TarFile, shares: Iterable[Share]) -> None:
    """Write the files of all shares, in directories that are numbered."""
    for number, (directory, names) in enumerate(shares):
        top = tarfile.TarInfo(f"shares/{number}")
        top.type, top.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(top)
        for name in sorted(os.listdir(directory) if names is None else names):
            path = os.path.join(directory, name)
            named = os.path.realpath(path) if names else path  # what is named is meant, and not a link to it
            _add(archive, named, f"shares/{number}/{name}")


def _add(archive: tarfile.TarFile, path: str, name: str) -> None:
    try:
        archive.add(path, name, recursive=False, filter=plain)
        below = sorted(os.listdir(path)) if os.path.isdir(path) and not os.path.islink(path) else []
    except FileNotFoundError:  # it was there
        return
    except PermissionError:
        emit(Warn(f"{path} is not shared with the Linux VM: it cannot be read"))
        return
    for one in below:
        _add(archive, os.path.join(path, one), f"{name}/{one}")
