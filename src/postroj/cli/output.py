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


class _Errors(io.FileIO):
    """Descriptor 2: what nobody can read any more, as the terminal is gone, is no reason to end."""

    def write(self, data: object) -> int:
        """Write as FileIO does, or lose it."""
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError:
            return len(memoryview(data).cast("B"))  # type: ignore[arg-type]


def opened_errors() -> TextIO:
    """Return standard error in the encoding of sys.stderr; whatever a guest prints can be written to it."""
    return _text(_Errors(2, "w", closefd=False), sys.stderr, line_buffering=True)


def abandon() -> None:
    """Lose what is still to be written to standard output: nobody is there to read it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def opened() -> TextIO:
    """Return standard output in the encoding of sys.stdout; whatever a guest prints can be written to it."""
    return _text(_Output(1, "w", closefd=False), sys.stdout, line_buffering=os.isatty(1))


def _text(raw: io.FileIO, before: TextIO | None, *, line_buffering: bool) -> TextIO:
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=line_buffering,
    )
