"""In which line of a TOML file a key stands: tomllib forgets it."""

import re
from collections.abc import Iterator, Sequence
from functools import cache

Path = Sequence[str | int]
"""Where a value is: ("override", 0, "timeout")."""

_WORD = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_WORDS = rf"{_WORD}(?:\s*\.\s*{_WORD})*"
_HEADER = re.compile(rf"\s*\[(?P<list>\[)?\s*(?P<words>{_WORDS})\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(rf"\s*(?P<words>{_WORDS})\s*=")
_MULTILINE = re.compile("\"\"\"|'''")


def line_of(text: str, path: Path) -> int:
    """Return the number of the line that sets a value, or of the nearest one around it; 0 if there is none."""
    return _line_of(text, tuple(path))


@cache
def _line_of(text: str, path: tuple[str | int, ...]) -> int:
    best, depth = 0, 0
    for number, at in _all_places(text):
        common = _common(at, path)
        if common > depth and common in (len(at), len(path)):
            best, depth = number, common
    return best


@cache
def _all_places(text: str) -> list[tuple[int, list[str | int]]]:
    return list(_places(text))


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


def _common(one: Path, other: Path) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
