"""Selectors: `IMAGE:PACKAGE[:VARIANT]`, each part a glob. What is not said matches everything.

An image may be called by a reference with a tag, as the plan names it: `fedora:43:PACKAGE`.
"""

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
    tagged: "Selector | None" = None
    """The same text, read as one whose image is a reference with a tag."""

    def matches(self, images: Sequence[str], package: str, variant: str) -> bool:
        """Return whether it selects a cell; an image has several names."""
        if self.tagged and self.tagged.image in images:
            return self.tagged.matches(images, package, variant)
        return self.has_image(images) and fnmatchcase(package, self.package) and fnmatchcase(variant, self.variant)

    def has_image(self, names: Sequence[str]) -> bool:
        """Return whether it selects cells of an image, as far as it depends on that."""
        return any(fnmatchcase(name, self.image) for name in names) or bool(self.tagged and self.tagged.image in names)


@cache
def parse(text: str) -> Selector:
    """Return the selector that a text is. Raises UsageError."""
    parts = text.split(":")
    if len(parts) > 4 or not all(map(_PART.fullmatch, parts)):
        raise UsageError(f"'{text[:200]}' selects no cells: IMAGE:PACKAGE[:VARIANT], each a glob", hint=EXAMPLE)
    tagged = _of(text, [":".join(parts[:2]), *parts[2:]]) if len(parts) > 1 else None
    return tagged if tagged and len(parts) > 3 else _of(text, parts)._replace(tagged=tagged)


def _of(text: str, parts: Sequence[str]) -> Selector:
    image, package, variant = [*parts, "*", "*"][:3]
    return Selector(text, image, package, variant)


def parse_all(texts: str | Sequence[str]) -> list[Selector]:
    """Return the selectors of one text, or of several. Raises UsageError."""
    return [parse(text) for text in ([texts] if isinstance(texts, str) else texts)]


def looks_like_one(word: str) -> bool:
    """Return whether a word of the command line is a selector, and not a package."""
    return ":" in word and "/" not in word
