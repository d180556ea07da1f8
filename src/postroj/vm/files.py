"""Files of a guest, written and read by commands in it, which ssh runs."""

import gzip
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import IO

from postroj import process
from postroj.capture import sink_into
from postroj.vm.ssh import Connection

_CHUNK = 1 << 20
_MOST_ERRORS = 4000
# The scripts are fixed; the path is their argument.
_WRITE = """
umask 022
mkdir -p -- "$(dirname -- "$1")" && cat >"$1" && chmod 644 -- "$1"
"""
# GNU tar ends with 1 if a file has changed as it was read, as logs do: what there was of it is in the archive.
_ARCHIVED = """
archived() {
    gnu=
    ! tar --version | grep -q "GNU tar" || gnu=--sparse
    tar --create $gnu "$@"
    status=$?
    [ "$status" -ne 1 ] || [ -z "$gnu" ] || status=0
    exit "$status"
}
"""
_TREE = _ARCHIVED + 'cd -- "$1" && archived --one-file-system --warning=no-file-ignored .'


_UNPACK = "exec tar --extract --gzip --directory=/ --no-same-owner --no-overwrite-dir"


_PACK = f"""{_ARCHIVED}
path=$1
if [ -d "$path" ]; then
    echo directory
    cd -- "$path" && archived --one-file-system --warning=no-file-ignored .
fi
[ -e "$path" ] || {{ echo "$path: No such file or directory" >&2; exit 1; }}
[ -f "$path" ] || {{ echo "$path: it is neither a file nor a directory" >&2; exit 1; }}
echo file
cd -- "$(dirname -- "$path")" || exit
name=./$(basename -- "$path")
# A file of the kernel has a size of 0 and is not empty: tar would take nothing of it.
if [ ! -s "$path" ] && [ "$(head -c 1 -- "$path" | wc -c)" -gt 0 ]; then
    copy=$(mktemp -d) || exit
    trap 'rm -r -- "$copy"' EXIT
    cat -- "$path" >"$copy/$name" && cd -- "$copy" || exit
fi
archived --dereference -- "$name"
"""
_PLACE = """
path=$1 is_directory=$2
if [ -d "$path" ]; then
    echo inside
elif [ -e "$path" ] && { [ "$is_directory" ] || [ ! -f "$path" ]; }; then
    echo "$path: Not a directory" >&2; exit 1
else
    case $path in */) [ "$is_directory" ] || { echo "$path: there is no such directory" >&2; exit 1; } ;; esac
    [ -d "$(dirname -- "$path")" ] || { echo "$path: No such file or directory" >&2; exit 1; }
    echo beside
fi
"""
_EXTRACT = 'cd -- "$1" && exec tar --extract --no-same-owner --no-overwrite-dir'
_SUMS_UP = ("Exiting with failure status due to previous errors", "Error is not recoverable: exiting now")
"""What tar ends with, whatever has failed."""
_KINDS = {b"directory\n": True, b"file\n": False}


class Refused(Exception):
    """The guest could not do it; its message is the reason."""


class _Failed(Exception):
    """A command has failed; `_started` knows why."""


def push(connection: Connection, path: str, source: IO[bytes]) -> None:
    """Write a file. Raises Refused."""
    with _fed(connection, ["sh", "-c", _WRITE, "sh", path]) as inlet:
        shutil.copyfileobj(source, inlet, _CHUNK)


def push_tree(connection: Connection, directory: str, *, without: Collection[str] = ()) -> None:
    """Write the files of a directory of the host over the guest's root, but for those of some paths. Raises Refused."""

    def chosen(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if entry.name in without else entry

    with (
        _fed(connection, ["sh", "-c", _UNPACK]) as inlet,
        gzip.GzipFile(fileobj=inlet, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        for name in sorted(os.listdir(directory)):
            archive.add(os.path.join(directory, name), name, filter=chosen)


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


def pack(connection: Connection, path: str, take: Callable[[IO[bytes], bool], None]) -> None:
    """Have a tar archive of a file or a directory taken, with whether it is one. Raises Refused, and what `take` does.

    Its top is called as it is, or `.` if it is a directory.
    """
    with _started(connection, ["sh", "-c", _PACK, "sh", path]) as asked:
        assert asked.stdout is not None
        kind = asked.stdout.readline(100)
        if kind in _KINDS:
            take(asked.stdout, _KINDS[kind])
        _check(asked)


def is_inside(connection: Connection, path: str, *, is_directory: bool) -> bool:
    """Return whether a copy goes into what a path leads to, which is a directory, and not to the path. Raises Refused.

    `is_directory` is whether one is copied.
    """
    told = BytesIO()
    _read(connection, ["sh", "-c", _PLACE, "sh", path, "yes" if is_directory else ""], told, 100)
    return told.getvalue() == b"inside\n"


def unpack(connection: Connection, directory: str, give: Callable[[IO[bytes]], None]) -> None:
    """Extract a tar archive, which `give` writes, into a directory. Raises Refused, and what it does."""
    with _fed(connection, ["sh", "-c", _EXTRACT, "sh", directory]) as inlet:
        give(inlet)


@contextmanager
def _started(
    connection: Connection, words: Sequence[str], *, is_fed: bool = False
) -> Iterator["subprocess.Popen[bytes]"]:
    """A command that runs, and is ended with the block; it is fed, or else it is read. Raises Refused: see `_check`."""
    quiet, pipe = subprocess.DEVNULL, subprocess.PIPE
    errors = bytearray()

    def keep(said: bytes) -> None:
        errors.extend(said[: _MOST_ERRORS - len(errors)])

    try:
        with sink_into(keep) as sink:  # what it says on the way must not hold it up
            asked = process.start(
                connection.argv(words), stdin=pipe if is_fed else quiet, stdout=quiet if is_fed else pipe, stderr=sink
            )
            try:
                yield asked
            finally:
                process.stop(asked)
                for stream in filter(None, (asked.stdin, asked.stdout)):
                    with suppress(BrokenPipeError):
                        stream.close()
    except _Failed:
        raise Refused(_reason(errors.decode(errors="replace"))) from None


@contextmanager
def _fed(connection: Connection, words: Sequence[str]) -> Iterator[IO[bytes]]:
    """What a command reads; at the end of the block it has ended with success. Raises Refused."""
    with _started(connection, words, is_fed=True) as asked:
        assert asked.stdin is not None
        with suppress(BrokenPipeError), asked.stdin as inlet:  # it has failed, and says why
            yield inlet
        _check(asked)


def _read(connection: Connection, words: Sequence[str], into: IO[bytes], most: int | None) -> bool:
    left = most
    with _started(connection, words) as asked:
        assert asked.stdout is not None
        while chunk := asked.stdout.read(_CHUNK):
            if left is not None and len(chunk) > left:
                into.write(chunk[:left])
                return False
            into.write(chunk)
            left = None if left is None else left - len(chunk)
        _check(asked)
        return True


def _check(asked: "subprocess.Popen[bytes]") -> None:
    """Wait for the end of a command; raise _Failed if it has failed."""
    if asked.wait():
        raise _Failed


def _reason(errors: str) -> str:
    """Return why a command has failed: the last part of its last line that says it."""
    lines = [line for line in errors.strip().splitlines() if not line.endswith(_SUMS_UP)]
    return lines[-1].rpartition(": ")[2] if lines else ""
