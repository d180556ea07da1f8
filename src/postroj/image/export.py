"""An image as a tarball, from which it can be imported again, here or elsewhere."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from postroj import process
from postroj.errors import HostError, ToolError, UsageError
from postroj.events import Phase, emit
from postroj.image.progress import report
from postroj.image.store import Image
from postroj.interrupts import uninterrupted

_PROGRAMS = {".tar": "", ".tar.gz": "gzip", ".tgz": "gzip", ".tar.xz": "xz", ".tar.zst": "zstd", ".tar.bz2": "bzip2"}
_ALL_CPUS = {"xz": "xz --threads=0", "zstd": "zstd --threads=0"}
"""Those that can use more than one CPU, as tar takes them."""
_NO_UNNAMED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
"""What open(2) says where a file system has no O_TMPFILE."""


def export(image: Image, path: str) -> None:
    """Write it, packed as the name says, in place of what is there; an interrupted one leaves that as it was.

    `path` is absolute. Raises UsageError for an unknown ending, or a directory that is not there, MissingToolError,
    HostError, OSError.
    """
    program = next((program for ending, program in _PROGRAMS.items() if path.endswith(ending)), None)
    if program is None:
        raise UsageError(f"'{path[:200]}' does not say how to pack it", hint=f"end the name in {', '.join(_PROGRAMS)}")
    directory, name = os.path.split(path)
    if os.path.isdir(path):
        raise UsageError(f"{path} is a directory", hint="name a file in it")
    if not os.path.isdir(directory):
        raise UsageError(f"there is no directory {directory} to write {name} to", hint=f"mkdir --parents {directory}")
    emit(Phase(image.name, "export", f"writing {path}"))
    process.require("tar", *([program] if program else []))
    with _replacing(path) as fd, report(lambda: os.fstat(fd).st_size, image.name):
        try:
            process.follow(
                [
                    *("tar", "--create", f"--file=/proc/self/fd/{fd}", f"--directory={image.root}", "--sort=name"),
                    *("--numeric-owner", "--xattrs", "--xattrs-include=*"),
                    "--exclude=./dev/*",  # a guest has a /dev of its own, and an import takes no device nodes
                    *([f"--use-compress-program={_ALL_CPUS.get(program, program)}"] if program else []),
                    ".",
                ],
                subject=image.name,
                pass_fds=[fd],
            )
        except ToolError as error:
            raise HostError(f"{image.name} could not be written to {path}: {error.what}", why=error.why) from error


@contextmanager
def _replacing(path: str) -> Iterator[int]:
    """A file to write to, which gets its name at the end of the block, if that has succeeded.

    Until then it has none, so that nothing is left of it whatever happens. Where the file system needs a name it is
    PATH.part; one that a killed run has left is written over by the next.
    """
    part = ""
    try:
        fd = os.open(os.path.dirname(path), os.O_TMPFILE | os.O_RDWR, 0o666)
    except OSError as error:
        if error.errno not in _NO_UNNAMED:
            raise
        part = f"{path}.part"
        fd = _open_part(part)
    try:
        yield fd
        with uninterrupted():
            part = part or _named(fd, path)
            if part != path:
                os.replace(part, path)
    except BaseException:
        if part:
            with suppress(FileNotFoundError):
                os.unlink(part)
        raise
    finally:
        os.close(fd)


def _named(fd: int, path: str) -> str:
    """Give an unnamed file its name, or another one if there is a file of that name; returns it."""
    for wanted in (path, f"{path}.{os.urandom(4).hex()}"):
        with suppress(FileExistsError):
            os.link(f"/proc/self/fd/{fd}", wanted, src_dir_fd=fd)  # with it Python calls linkat(2), which follows links
            return wanted
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), wanted)


def _open_part(part: str) -> int:
    fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise HostError(f"another postroj writes {part} at the moment") from None
    os.truncate(fd, 0)
    return fd
