"""The source line that an error of a Python program is about: the error itself often names no file and no address."""

import errno
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

_LONGEST = 200
"""How much of a source line, or of a path, is looked at: patterns may take the square of it."""
_DIGITS = 9
_FRAME = re.compile(r'\s*File "(?P<file>[^"]+)", line (?P<line>\d+)')
_BEGIN = re.compile(r"\s*Traceback \(most recent call last\):")
_OF_LIBRARY = re.compile(r"<frozen|/lib(?:64|exec)?/python[\d.]*/|/(?:site|dist)-packages/")
_MARKS = re.compile(r"\s*[~^]+\s*$")
_ERRORS = "|".join(re.escape(os.strerror(number)) for number in errno.errorcode)
_BARE = re.compile(rf"(?:[\w.]+(?:Error|Exception)?: )?(?:\[Errno -?\d+\] )?(?:{_ERRORS})?\.?", re.IGNORECASE)


class Frame(NamedTuple):
    """A line of a program."""

    file: str
    line: int
    source: str

    @property
    def shown(self) -> str:
        """Return it as a clause."""
        return f"at: {self.source} ({self.file}:{self.line})"


def is_bare(line: str) -> bool:
    """Return whether an error has no more than its name: `OSError: [Errno 98] Address already in use`."""
    return bool(_BARE.fullmatch(line.strip())) or re.fullmatch(r"\w+(?:Error|Exception)", line.strip()) is not None


def frames(lines: Sequence[str]) -> list[Frame]:
    """Return the frames of the last traceback, the outermost first."""
    begins = [place for place, line in enumerate(lines) if _BEGIN.match(line)]
    if not begins:
        return []
    found = []
    for place in range(begins[-1], len(lines) - 1):
        if match := _FRAME.match(lines[place]):
            source = lines[place + 1].strip()
            if source and not _FRAME.match(source) and not _MARKS.match(source):
                found.append(Frame(match["file"][:_LONGEST], int(match["line"][:_DIGITS]), source[:_LONGEST]))
    return found


def own(found: Sequence[Frame]) -> Frame | None:
    """Return the innermost line of the program itself, or else of a library; None for no traceback."""
    if not found:
        return None
    return next((one for one in reversed(found) if not _OF_LIBRARY.search(one.file)), found[-1])
