"""Selectors: `IMAGE:PACKAGE[:VARIANT]`, each part a glob. What is not said matches everything."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import NamedTuple

from postroj.errors import UsageError

_PART = re.compile(r"[A-Za-z0-9_.+@~*?\[\]!-]{1,200}")
EXAMPLE = "such as 'debian-*:*' or debian-12:agent"


class Selector(NamedTuple):
    """Which cells."""

    text: str
    image: str
    package: str = "*"
    variant: str = "*"

    def matches(self, images: Sequence[str], package: str, variant: str) -> bool:
        """Return whether it selects a cell; an image has several names."""
        return self.has_image(images) and fnmatchcase(package, self.package) and fnmatchcase(variant, self.variant)

    def has_image(self, names: Sequence[str]) -> bool:
        """Return whether it selects cells of an image, as far as it depends on that."""
        return any(fnmatchcase(name, self.image) for name in names)


@cache
def parse(text: str) -> Selector:
    """Return the selector that a text is. Raises UsageError."""
    parts = text.split(":")
    if len(parts) > 3 or not all(map(_PART.fullmatch, parts)):
        raise UsageError(f"'{text[:200]}' selects no cells: IMAGE:PACKAGE[:VARIANT], each a glob", hint=EXAMPLE)
    return Selector(text, *parts)


def parse_all(texts: str | Sequence[str]) -> list[Selector]:
    """Return the selectors of one text, or of several. Raises UsageError."""
    return [parse(text) for text in ([texts] if isinstance(texts, str) else texts)]


def looks_like_one(word: str) -> bool:
    """Return whether a word of the command line is a selector, and not a package."""
    return ":" in word and "/" not in word
