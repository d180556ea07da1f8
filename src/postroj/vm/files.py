"""Files of a guest, written and read by commands in it, which ssh runs."""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Collection, Sequence
from contextlib import suppress
from io import BytesIO
from typing import IO

from postroj import process
from postroj.vm.ssh import Connection

_CHUNK = 1 << 20
_MOST_ERRORS = 4000
# The scripts are fixed; the path is their argument.
_WRITE = """
umask 022
mkdir -p -- "$(dirname -- "$1")" && cat >"$1" && chmod 644 -- "$1"
"""
_TREE = 'cd -- "$1" && tar --create --one-file-system --warning=no-file-ignored .'


_UNPACK = "exec tar --extract --gzip --directory=/ --no-same-owner --no-overwrite-dir"


class Refused(Exception):
    """The guest could not do it; its message is the reason."""


def push(connection: Connection, path: str, source: IO[bytes]) -> None:
    """Write a file. Raises Refused."""
    asked = process.start(
        connection.argv(["sh", "-c", _WRITE, "sh", path]),
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert asked.stdin is not None
        with suppress(BrokenPipeError), asked.stdin as inlet:  # it has failed, and says why
            shutil.copyfileobj(source, inlet, _CHUNK)
        _check(asked)
    finally:
        process.stop(asked)


def push_tree(connection: Connection, directory: str, *, without: Collection[str] = ()) -> None:
    """Write the files of a directory of the host over the guest's root, but for those of some paths. Raises Refused."""

    def chosen(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if entry.name in without else entry

    asked = process.start(
        connection.argv(["sh", "-c", _UNPACK]),
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert asked.stdin is not None
        with suppress(BrokenPipeError), asked.stdin as inlet:  # it has failed, and says why
            with tarfile.open(fileobj=inlet, mode="w|gz", compresslevel=1) as archive:
                for name in sorted(os.listdir(directory)):
                    archive.add(os.path.join(directory, name), name, filter=chosen)
        _check(asked)
    finally:
        process.stop(asked)


def pull(connection: Connection, path: str, into: IO[bytes], *, most: int | None) -> bool:
    """Write a file's bytes into another, `most` of them; return whether that is all.

    Raises Refused, and OSError of `into`.
    """
    words = ["cat", "--", path] if most is None else ["head", f"--bytes={most + 1}", "--", path]
    return _read(connection, words, into, most)


def pull_tree(connection: Connection, path: str, into: IO[bytes], *, most: int) -> bool:
    """Write a directory as a tar archive; return False, and write nothing, if it is larger. Raises Refused."""
    found = BytesIO()
    if not _read(connection, ["sh", "-c", _TREE, "sh", path], found, most):
        return False
    into.write(found.getbuffer())
    return True


def _read(connection: Connection, words: Sequence[str], into: IO[bytes], most: int | None) -> bool:
    left = most
    asked = process.start(
        connection.argv(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert asked.stdout is not None
        while chunk := asked.stdout.read(_CHUNK):
            if left is not None and len(chunk) > left:
                into.write(chunk[:left])
                return False
            into.write(chunk)
            left = None if left is None else left - len(chunk)
        _check(asked)
        return True
    finally:
        process.stop(asked)


def _check(asked: "subprocess.Popen[bytes]") -> None:
    """Wait for the end of a command; raise Refused if it has failed."""
    assert asked.stderr is not None
    errors = asked.stderr.read(_MOST_ERRORS).decode(errors="replace")
    if asked.wait():
        raise Refused(_reason(errors))


def _reason(errors: str) -> str:
    """Return why a command has failed: the last part of its last line."""
    return errors.strip().rpartition("\n")[2].rpartition(": ")[2]
