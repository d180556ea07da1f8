"""An image as a tarball, from which it can be imported again, here or elsewhere."""

import os
from contextlib import suppress

from postroj import process
from postroj.errors import UsageError
from postroj.events import Phase, emit
from postroj.image.store import Image

_PROGRAMS = {".tar": "", ".tar.gz": "gzip", ".tgz": "gzip", ".tar.xz": "xz", ".tar.zst": "zstd", ".tar.bz2": "bzip2"}


def export(image: Image, path: str) -> None:
    """Write it, packed as the name says, in place of what is there; an interrupted one leaves that as it was.

    Raises UsageError for an unknown ending, MissingToolError, ToolError, OSError.
    """
    program = next((program for ending, program in _PROGRAMS.items() if path.endswith(ending)), None)
    if program is None:
        raise UsageError(f"'{path[:200]}' does not say how to pack it", hint=f"end the name in {', '.join(_PROGRAMS)}")
    if os.path.isdir(path) or not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        raise UsageError(f"{path} is a directory, or in none")
    process.require("tar", *([program] if program else []))
    emit(Phase(image.name, "export", f"writing {path}"))
    temporary = f"{path}.part-{os.getpid()}"
    try:
        process.follow(
            [
                *("tar", "--create", f"--file={temporary}", f"--directory={image.root}", "--sort=name"),
                *("--numeric-owner", "--xattrs", "--xattrs-include=*"),
                "--exclude=./dev/*",  # a guest has a /dev of its own, and an import takes no device nodes
                *([f"--{program}"] if program else []),
                ".",
            ],
            subject=image.name,
        )
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
