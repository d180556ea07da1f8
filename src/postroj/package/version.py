"""Orders of versions: Debian's, deb-version(7); rpm's, rpm-version(7); pacman's, vercmp(8)."""

import re
from collections.abc import Iterator
from itertools import zip_longest

_PART = re.compile(r"([^0-9]*)0*([0-9]*)")
_END = ([0], 0, "")

_RPM_PART = re.compile(r"[0-9]+|[A-Za-z]+|[~^]")
_ARCH_PART = re.compile(r"([^0-9A-Za-z]*)([0-9]+|[A-Za-z]*)")

_RELEASE = 2
"""Of what _parts returns."""

_Key = tuple[int, int, str]


def is_newer(one: str, other: str) -> bool:
    """Return whether a version, `[epoch:]upstream[-revision]`, is newer than another one, to dpkg."""
    for mine, theirs in zip(_parts(one), _parts(other), strict=True):
        # What ends is less than what goes on, unless that does so with a tilde.
        for pair in zip_longest(_pairs(mine), _pairs(theirs), fillvalue=_END):
            if pair[0] != pair[1]:
                return pair[0] > pair[1]
    return False


def is_newer_rpm(one: str, other: str) -> bool:
    """Return whether a version, `[epoch:]version-release`, is newer than another one, to rpm 4.15 or newer."""
    for mine, theirs in zip(_with_epoch(one), _with_epoch(other), strict=True):
        for pair in zip_longest(_rpm_keys(mine), _rpm_keys(theirs), fillvalue=_rpm_key("")):
            if pair[0] != pair[1]:
                return pair[0] > pair[1]
    return False


def is_newer_arch(one: str, other: str) -> bool:
    """Return whether a version, `[epoch:]version[-release]`, is newer than another one, to pacman."""
    if one == other:
        return False
    for number, (mine, theirs) in enumerate(zip(_with_epoch(one), _with_epoch(other), strict=True)):
        if number == _RELEASE and not (mine and theirs):
            break
        if order := _compare_arch(mine, theirs):
            return order > 0
    return False


def _parts(version: str) -> tuple[str, str, str]:
    epoch, _, rest = version.rpartition(":")
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return epoch, upstream, revision


def _with_epoch(version: str) -> tuple[str, str, str]:
    epoch, upstream, revision = _parts(version)
    return epoch or "0", upstream, revision


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


def _rpm_keys(text: str) -> Iterator[_Key]:
    return map(_rpm_key, _RPM_PART.findall(text))


def _rpm_key(part: str) -> _Key:
    """Return the place of a part: a tilde before the end, a caret after it, then words, then numbers."""
    if part in ("~", "", "^"):
        return ("~", "", "^").index(part), 0, ""
    return _key(part)


def _key(part: str) -> _Key:
    """Return the place of a word or a number; a number may have more digits than Python makes an integer of."""
    if not part[0].isdigit():
        return 3, 0, part
    digits = part.lstrip("0")
    return 4, len(digits), digits


def _compare_arch(one: str, other: str) -> int:
    """Return 1 if a version is newer than another one, -1 if it is older, 0 if neither: rpmvercmp() of libalpm.

    What separates their parts counts by its length, and what is left when one of them ends by its first character.
    """
    at, there = 0, 0
    while at < len(one) and there < len(other):
        mine, theirs = _ARCH_PART.match(one, at), _ARCH_PART.match(other, there)
        assert mine and theirs
        if not (mine[2] and theirs[2]):
            at, there = mine.end(1), theirs.end(1)
            break
        own, others = (len(mine[1]), _key(mine[2])), (len(theirs[1]), _key(theirs[2]))
        if own != others:
            return 1 if own > others else -1
        at, there = mine.end(), theirs.end()
    left, left_there = one[at : at + 1], other[there : there + 1]
    if left == left_there == "":
        return 0
    return -1 if left.isalpha() or (not left and not left_there.isalpha()) else 1
