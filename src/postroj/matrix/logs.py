"""Logs of cells (--artifacts) that are carried back from the host that has run them.

Guests have written them: here they are as untrusted as files of a guest. The host is trusted, as Dask's answers are
pickles.
"""

import os
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from postroj.container.guest import treewriter
from postroj.container.guest.entries import Bounds, Entry, Kind, walk
from postroj.errors import HostError

_BOUNDS = Bounds(files=5000, depth=8, size=256 << 20)
_PERMISSIONS = 0o777
_TOLD = 3


class Logs(NamedTuple):
    """The files of a directory, by their paths in it, and what of it they lack."""

    files: Mapping[str, bytes] = {}
    lacking: str = ""


def gather(directory: str) -> Logs:
    """Return the files below a directory, as many as are carried; none if it is not there. No link is followed."""
    lacking: list[str] = []
    try:
        top = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return Logs()

    def left_out(path: str, why: str) -> None:
        lacking.append(f"{path}: {why}")

    def cut(error: OSError) -> None:
        left_out(error.filename or "some files", error.strerror or str(error))

    try:
        files = {
            "/".join(entry.path): entry.read(0, entry.size)
            for entry in walk(top, 0, left_out, bounds=_BOUNDS, cut=cut)
            if entry.kind is Kind.FILE
        }
    finally:
        os.close(top)
    more = f"; and {len(lacking) - _TOLD} more" if len(lacking) > _TOLD else ""
    return Logs(files, "; ".join(lacking[:_TOLD]) + more)


def keep(logs: Logs, directory: str) -> None:
    """Write files below a directory of this host, which is made if it is not there; no link in it is followed.

    Raises HostError if they are none that `gather` returns, or cannot be written.
    """
    if not logs.files:
        return
    try:
        _check(logs.files)
        os.makedirs(directory, exist_ok=True)
        base = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            treewriter.write(_entries(logs.files), base, (), _PERMISSIONS)
        finally:
            os.close(base)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise HostError(f"{directory} cannot be written to: {reason}") from error


def _check(files: Mapping[str, bytes]) -> None:
    if len(files) > _BOUNDS.files or sum(map(len, files.values())) > (_BOUNDS.size or 0):
        raise ValueError("the cell's host has sent too much")
    if any(path.count("/") >= _BOUNDS.depth for path in files):
        raise ValueError("the cell's host has sent directories that are nested too deep")


def _entries(files: Mapping[str, bytes]) -> Iterator[Entry]:
    now = time.time()
    for path, data in files.items():
        yield Entry(
            tuple(path.split("/")),
            Kind.FILE,
            mtime=now,
            size=len(data),
            extents=((0, len(data)),),
            read=lambda at, size, data=data: data[at : at + size],  # type: ignore[misc]
        )
