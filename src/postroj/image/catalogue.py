"""The table of curated images: data in catalogue.toml."""

import difflib
import os
import tomllib
from functools import cache
from typing import NamedTuple

from postroj.errors import UsageError


class Entry(NamedTuple):
    """One curated image; see catalogue.toml for the fields."""

    name: str
    alias: str
    family: str
    source: str


@cache
def entries() -> tuple[Entry, ...]:
    """All curated images, in the order of the catalogue."""
    with open(os.path.join(os.path.dirname(__file__), "catalogue.toml"), "rb") as file:
        return tuple(Entry(**image) for image in tomllib.load(file)["image"])


def resolve(name: str) -> Entry:
    """The entry of a name or version alias. Raises UsageError with the nearest names."""
    for entry in entries():
        if name in (entry.name, entry.alias):
            return entry
    known = [known for entry in entries() for known in (entry.name, entry.alias)]
    distribution, _, version = name.partition("-")
    versions = [entry for entry in entries() if entry.name.startswith(f"{distribution}-")]
    if versions and version[:1].isdigit():
        there = ", ".join(entry.alias for entry in versions)
        raise UsageError(f"there is no version {version[:40]!r} of {distribution}", hint=f"there is {there}")
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "see `postroj list-images`"
    raise UsageError(f"there is no image {name[:80]!r}", hint=hint)
