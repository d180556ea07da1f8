"""Debian's order of versions: deb-version(7)."""

import re
from itertools import zip_longest

_PART = re.compile(r"([^0-9]*)0*([0-9]*)")
_END = ([0], 0, "")


def is_newer(one: str, other: str) -> bool:
    """Return whether a version, `[epoch:]upstream[-revision]`, is newer than another one."""
    for mine, theirs in zip(_parts(one), _parts(other), strict=True):
        # What ends is less than what goes on, unless that does so with a tilde.
        for pair in zip_longest(_pairs(mine), _pairs(theirs), fillvalue=_END):
            if pair[0] != pair[1]:
                return pair[0] > pair[1]
    return False


def _parts(version: str) -> tuple[str, str, str]:
    epoch, _, rest = version.rpartition(":")
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return epoch, upstream, revision


def _pairs(text: str) -> list[tuple[list[int], int, str]]:
    """Return what is compared one after the other: what is no digit, and a number, by its length and its digits.

    It may have more digits than Python makes an integer of.
    """
    return [([*map(_rank, word), 0], len(number), number) for word, number in _PART.findall(text)]


def _rank(character: str) -> int:
    """Return the place of a character: a tilde before the end, letters before all others."""
    if character == "~":
        return -1
    return ord(character) + (0 if character.isalpha() else 256)
