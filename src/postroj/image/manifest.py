"""All that is in a tree: what its digest is made of, and what tells later whether it is as it was.

One line for each path, in order: its kind and mode, owner, group, what it holds (a file's SHA-256, a link's target, a
device's number), and the path.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from typing import NamedTuple

_BUFFER = 1 << 18
_SHOWN = 20


class Listed(NamedTuple):
    """A tree that has been listed."""

    digest: str
    """sha256:… of the list."""
    size: int
    """Bytes on disk."""


def write(root: str, path: str) -> Listed:
    """List a tree into a file. Raises OSError."""
    hashed = hashlib.sha256()
    size = 0
    with open(path, "wb") as file:
        for line, blocks in _lines(root):
            file.write(line)
            hashed.update(line)
            size += blocks * 512
    return Listed(f"sha256:{hashed.hexdigest()}", size)


def differences(root: str, path: str) -> list[str]:
    """What in a tree is not as a list has it: lines for people, twenty at most. Raises OSError."""
    found = []
    with open(path, "rb") as file:
        then = {_path(line): line for line in file}
    for line, _ in _lines(root):
        before = then.pop(_path(line), b"")
        if before != line:
            found.append(f"{_readable(line)} {'is new' if not before else 'has changed'}")
    found += [f"{_readable(line)} is gone" for line in then.values()]
    return found[:_SHOWN] + ([f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else [])


def _lines(root: str) -> Iterator[tuple[bytes, int]]:
    """Each path's line, and its blocks of 512 bytes."""
    top = os.fsencode(root)
    stack = [(b".", os.lstat(top))]
    while stack:
        path, status = stack.pop()
        full = os.path.join(top, path)
        yield _line(path, full, status), status.st_blocks
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(full) as entries:
                children = sorted(((entry.name, entry.stat(follow_symlinks=False)) for entry in entries), reverse=True)
            stack += [(name if path == b"." else path + b"/" + name, child) for name, child in children]


def _line(path: bytes, full: bytes, status: os.stat_result) -> bytes:
    mode = status.st_mode
    holds = b"-"
    if stat.S_ISREG(mode):
        holds = _sha256(full)
    elif stat.S_ISLNK(mode):
        holds = _quoted(os.readlink(full))
    elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        holds = b"%d:%d" % (os.major(status.st_rdev), os.minor(status.st_rdev))
    return b"%o %d %d %s %s\n" % (mode, status.st_uid, status.st_gid, holds, _quoted(path))


def _sha256(path: bytes) -> bytes:
    hashed = hashlib.sha256()
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        while chunk := os.read(fd, _BUFFER):
            hashed.update(chunk)
    finally:
        os.close(fd)
    return hashed.hexdigest().encode()


def _quoted(text: bytes) -> bytes:
    """Without what would end a line or a field."""
    return text.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b" ", b"\\s")


def _path(line: bytes) -> bytes:
    return line.rstrip(b"\n").rsplit(b" ", 1)[-1]


def _readable(line: bytes) -> str:
    path = _path(line).decode(errors="replace")
    return "/" + ("" if path == "." else re.sub(r"\\([\\s])", lambda match: match[1].replace("s", " "), path))
