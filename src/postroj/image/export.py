"""An image as a tarball, from which it can be imported again, here or elsewhere."""

import os

from postroj import process
from postroj.errors import HostError, ToolError, UsageError
from postroj.events import Phase, emit
from postroj.image.progress import report
from postroj.image.store import Image
from postroj.replacing import check_place, replacing

_PROGRAMS = {".tar": "", ".tar.gz": "gzip", ".tgz": "gzip", ".tar.xz": "xz", ".tar.zst": "zstd", ".tar.bz2": "bzip2"}
_ALL_CPUS = {"xz": "xz --threads=0", "zstd": "zstd --threads=0"}
"""Those that can use more than one CPU, as tar takes them."""


def export(image: Image, path: str) -> None:
    """Write it, packed as the name says, in place of what is there; an interrupted one leaves that as it was.

    `path` is absolute. Raises UsageError for an unknown ending, or a directory that is not there, MissingToolError,
    HostError, OSError.
    """
    program = next((program for ending, program in _PROGRAMS.items() if path.endswith(ending)), None)
    if program is None:
        raise UsageError(f"'{path[:200]}' does not say how to pack it", hint=f"end the name in {', '.join(_PROGRAMS)}")
    check_place(path)
    emit(Phase(image.name, "export", f"writing {path}"))
    process.require("tar", *([program] if program else []))
    with replacing(path) as fd, report(lambda: os.fstat(fd).st_size, image.name):
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
