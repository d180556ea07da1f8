"""Codes that colour what a program prints on a terminal."""

import re

# SGR of ECMA-48, and the `erase to the end of the line` that grep(1) prints beside them.
_COLOUR = r"\x1b\[[0-9;:]*[mK]"


def without_colours(text: str) -> str:
    """Return a text without them. Other control characters stay."""
    return re.sub(_COLOUR, "", text)
