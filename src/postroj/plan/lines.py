"""In which line of a TOML file a key stands: tomllib forgets it."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

Path = Sequence[str | int]
"""Where a value is: ("override", 0, "timeout")."""

_WORD = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_WORDS = rf"{_WORD}(?:\s*\.\s*{_WORD})*"
_HEADER = re.compile(rf"\s*\[(?P<list>\[)?\s*(?P<words>{_WORDS})\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(rf"\s*(?P<words>{_WORDS})\s*=")
_MULTILINE = re.compile("\"\"\"|'''")


def line_of(text: str, path: Path) -> int:
    """Return the number of the line that sets a value, or of the nearest one around it; 0 if there is none."""
    wanted, lines = tuple(path), _lines(text)
    if wanted in lines.below:
        return lines.below[wanted]
    around = (wanted[:depth] for depth in range(len(wanted) - 1, 0, -1))
    return next((lines.own[place] for place in around if place in lines.own), 0)


class _Lines(NamedTuple):
    """Lines by place: a plan may have thousands of tables, and each value of each cell is asked for."""

    own: dict[tuple[str | int, ...], int]
    """The first line that sets a key or begins a table."""
    below: dict[tuple[str | int, ...], int]
    """The first that does so there, or in what is there."""


@cache
def _lines(text: str) -> _Lines:
    lines = _Lines({}, {})
    for number, place in _places(text):
        at = tuple(place)
        lines.own.setdefault(at, number)
        for depth in range(1, len(at) + 1):
            lines.below.setdefault(at[:depth], number)
    return lines


def _places(text: str) -> Iterator[tuple[int, list[str | int]]]:
    """Yield the lines that begin a table or set a key, each with where that is."""
    table: list[str | int] = []
    counts: dict[tuple[str | int, ...], int] = {}
    inside = ""  # of a string over many lines: the quotes that end it
    for number, line in enumerate(text.split("\n"), 1):  # as TOML does: U+2028 and its like end no line
        quotes = _MULTILINE.findall(line)
        if inside:
            inside = "" if inside in quotes else inside
            continue
        if header := _HEADER.match(line):
            table = _indexed(_split(header["words"]), counts, is_list=bool(header["list"]))
            yield number, table
        elif key := _KEY.match(line):
            yield number, [*table, *_split(key["words"])]
        if len(quotes) % 2:
            inside = quotes[-1]


def _indexed(words: Sequence[str], counts: dict[tuple[str | int, ...], int], *, is_list: bool) -> list[str | int]:
    """Return where a table is: those of lists have their number in it."""
    at: list[str | int] = []
    for position, word in enumerate(words):
        at.append(word)
        place = tuple(at)
        if is_list and position == len(words) - 1:
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            at.append(counts[place])
    return at


def _split(words: str) -> list[str]:
    return [word.strip("\"'") for word in re.findall(_WORD, words)]
