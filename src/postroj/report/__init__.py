"""A verdict in the forms that people and programs read, each a view of one Result."""

import importlib
import os
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
    from postroj.errors import UsageError
    from postroj.report.clean import cleaned

    if format not in FORMATS:
        raise UsageError(f"there is no report '{format[:80]}'", hint=f"one of {', '.join(FORMATS)}")
    text: str = importlib.import_module(f"postroj.report.{format}").render(cleaned(result))
    return text


def write(result: "Result", format: str, file: str | os.PathLike[str]) -> None:
    """Write a report in one of FORMATS to a file, whole or not at all.

    A pipe or a device is written to as it is. Raises UsageError for another format, or a directory that is not there,
    and OSError.
    """
    from postroj.replacing import check_place, replacing

    data = render(result, format).encode()
    path = os.path.realpath(file)
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        with open(path, "wb") as stream:
            stream.write(data)
        return
    check_place(path)
    with replacing(path) as fd, open(fd, "wb", closefd=False) as stream:
        stream.write(data)


def printable(text: str) -> str:
    """Return a line without colours and control characters: a guest must not retitle or overwrite a terminal."""
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in without_colours(text))
