"""A verdict in the forms that people and programs read, each a view of one Result."""

import importlib
import os
from collections.abc import Collection
from typing import TYPE_CHECKING

from postroj.colours import without_colours

if TYPE_CHECKING:
    from postroj.harness.result import Result

FORMATS = {
    "text": "what is printed on a terminal",
    "json": "all of it, for programs; its JSON Schema is docs/report.schema.json",
    "junit": "JUnit XML, for Jenkins, GitLab and others",
    "tap": "TAP 14, the Test Anything Protocol",
    "github": "annotations of GitHub Actions",
    "html": "one page for a browser, with nothing to fetch",
}
"""By name, which is that of the module here; each is imported on use."""


def render(result: "Result", format: str) -> str:
    """Return a report in one of FORMATS, as a text that ends in a newline. Raises UsageError for another one."""
    from postroj.report.clean import cleaned

    check_format(format)
    text: str = importlib.import_module(f"postroj.report.{format}").render(cleaned(result))
    return text


def write(result: "Result", format: str, file: str | os.PathLike[str]) -> None:
    """Write a report in one of FORMATS to a file, whole or not at all.

    A pipe or a device is written to as it is. Raises UsageError for another format, or a place where there can be no
    such file, and OSError.
    """
    write_text(render(result, format), file)


def write_text(text: str, file: str | os.PathLike[str]) -> None:
    """Write the text of a report to a file as `write` does. Raises UsageError, OSError."""
    from postroj.replacing import replacing

    data = text.encode()
    check_file(file)
    if _is_stream(file):
        with open(file, "wb") as stream:
            stream.write(data)
        return
    with replacing(os.path.realpath(file)) as fd, open(fd, "wb", closefd=False) as stream:
        stream.write(data)


def check_format(format: str, known: Collection[str] = FORMATS) -> None:
    """Raise UsageError unless it is one of those that are known."""
    from postroj.errors import UsageError

    if format not in known:
        raise UsageError(f"there is no report '{format[:80]}'", hint=f"one of {', '.join(known)}")


def check_file(file: str | os.PathLike[str]) -> None:
    """Raise UsageError if a report cannot be written to a file, as far as can be told before."""
    from postroj.errors import UsageError
    from postroj.replacing import check_place

    if not _is_stream(file):
        check_place(os.path.realpath(file))
    elif not os.access(file, os.W_OK):
        raise UsageError(f"{os.fspath(file)} cannot be written to")


def _is_stream(file: str | os.PathLike[str]) -> bool:
    return os.path.exists(file) and not os.path.isfile(file) and not os.path.isdir(file)


def printable(text: str) -> str:
    """Return a line without colours and control characters: a guest must not retitle or overwrite a terminal."""
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in without_colours(text))
