"""Standard output and error, whose errors say that they are theirs: a full disk, for example."""

import io
import os
import sys
from typing import TextIO

NAMES = {1: "standard output", 2: "standard error"}


def error_of(fd: int, error: OSError) -> OSError:
    """Return the same error, with one of NAMES as its file name."""
    return OSError(error.errno, error.strerror, NAMES[fd])


class _Output(io.FileIO):
    """Descriptor 1."""

    def write(self, data: object) -> int:
        """Write as FileIO does."""
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            raise error_of(1, error) from error


def opened() -> TextIO:
    """Return standard output in the encoding of sys.stdout; whatever a guest prints can be written to it."""
    raw = _Output(1, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(sys.stdout, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=os.isatty(1),
    )
