"""The tables of curated images: catalogue.toml here, and the user's own. Checked as they are read."""

import datetime
import os
import re
import tomllib
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from postroj import family
from postroj.errors import UsageError
from postroj.image import boxes, source
from postroj.image.names import is_name
from postroj.image.source import Bootstrap, Source
from postroj.nearest import did_you_mean

_SYSTEM = "/etc/postroj/images.toml"
_HEADER = re.compile(r"\s*\[\[\s*[\"']?image[\"']?\s*\]\]")
_RELATIVE = re.compile(r"\.|(oci|oci-archive|docker-archive):(?![/~])")
_ELSEWHERE = "see `postroj list-images`; for an image of a registry write docker://NAME:TAG"
_TEXTS = ("name", "alias", "family")
_LISTS = ("architectures", "sources")
_BOOTSTRAP = {"components": list, "packages": list, "keyring": str, "mirror": str}


class Entry(NamedTuple):
    """One curated image; see catalogue.toml for the fields."""

    name: str
    alias: str
    family: str
    eol: datetime.date | None
    architectures: tuple[str, ...]
    sources: tuple[Source, ...]

    def is_called(self, name: str) -> bool:
        """Whether this is its name or its alias."""
        return name in (self.name, self.alias)

    def is_past_support(self, today: datetime.date) -> bool:
        """Whether its distributor has ended its support."""
        return self.eol is not None and self.eol < today


@cache
def entries() -> tuple[Entry, ...]:
    """All of them, ours in the order of the catalogue, then those that are the user's alone.

    Raises UsageError, with file, line and key, for a table that cannot be read.
    """
    found: dict[str, Entry] = {}
    for path in _paths():
        found |= {entry.name: entry for entry in _read(path, list(found.values()))}
    return tuple(found.values())


def resolve(name: str) -> Entry:
    """The entry of a name or version alias. Raises UsageError with the nearest names."""
    for entry in entries():
        if entry.is_called(name):
            return entry
    known = dict.fromkeys(known for entry in entries() for known in (entry.name, entry.alias))
    known |= dict.fromkeys(known for box in boxes.entries() for known in (box.name, box.alias) if known)
    distribution, _, version = name.partition("-")
    versions = [entry.alias for entry in entries() if entry.name.startswith(f"{distribution}-")]
    versions = versions or [box.name for box in boxes.entries() if box.name.startswith(f"{distribution}-")]
    if versions and version[:1].isdigit() and ":" not in version:
        there = ", ".join(versions)
        raise UsageError(f"there is no version {version[:40]!r} of {distribution}", hint=f"there is {there}")
    raise UsageError(f"there is no image {name[:80]!r}", hint=did_you_mean(name, known, 3) or _ELSEWHERE)


def _paths() -> list[str]:
    own = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    users = [_SYSTEM, os.path.join(own, "postroj/images.toml")]
    return [os.path.join(os.path.dirname(__file__), "catalogue.toml"), *filter(os.path.exists, users)]


def _read(path: str, before: Sequence[Entry]) -> list[Entry]:
    """The entries of a file, after those of others."""
    try:
        with open(path, "rb") as file:
            text = file.read().decode()
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    images = table.pop("image", [])
    if table or not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise UsageError(f"{path}: only [[image]] tables belong here")
    return _distinct([_Checker(path, text, number, image) for number, image in enumerate(images)], before)


def _distinct(checkers: "Sequence[_Checker]", before: Sequence[Entry]) -> list[Entry]:
    """Their entries, of which no two have a name or alias in common, nor one with another's of before: it could mean
    either. An entry takes the place of one of its name.
    """
    found: list[Entry] = []
    for checker in checkers:
        entry = checker.entry()
        others = [other for other in before if other.name != entry.name]
        for key in ("name", "alias"):
            if any(other.is_called(getattr(entry, key)) for other in [*others, *found]):
                raise checker.error(key, f"is that of another image: {getattr(entry, key)}")
        found.append(entry)
    return found


class _Checker:
    """Makes an entry of one table, and says where a mistake is: tomllib itself forgets the lines."""

    def __init__(self, path: str, text: str, number: int, image: dict[str, Any]) -> None:
        self._path = path
        self._lines = text.split("\n")  # as TOML does: U+2028 and its like end no line
        self._image = image
        starts = [at for at, line in enumerate(self._lines) if _HEADER.match(line)]
        self._start = starts[number] if number < len(starts) else 0
        self._end = starts[number + 1] if number + 1 < len(starts) else len(self._lines)

    def entry(self) -> Entry:
        image = self._image
        for key in image:
            if key not in (*_TEXTS, *_LISTS, "eol", "bootstrap"):
                question = did_you_mean(key, [*_TEXTS, *_LISTS, "eol", "bootstrap"])
                raise self.error(key, "is an unknown key" + (question and f": {question}"))
        for key in ("name", "family", "sources"):
            if key not in image:
                raise self.error(key, "is missing")
        name, alias = self._name("name"), self._name("alias") if "alias" in image else self._name("name")
        if image["family"] not in family.NAMES:
            raise self.error("family", f"is not one of {', '.join(family.NAMES)}")
        eol = image.get("eol")
        if eol is not None and (not isinstance(eol, datetime.date) or isinstance(eol, datetime.datetime)):
            raise self.error("eol", "is not a date such as 2028-06-30, without quotes")
        bootstrap = self._bootstrap()
        sources = tuple(self._source(text, bootstrap) for text in self._texts("sources"))
        if not sources:
            raise self.error("sources", "is empty")
        architectures = self._texts("architectures") if "architectures" in image else ()
        return Entry(name, alias, image["family"], eol, architectures, sources)

    def _name(self, key: str) -> str:
        name = self._image[key]
        if not isinstance(name, str) or not is_name(name):
            raise self.error(key, "is not a name of lower-case letters, digits, dots and hyphens")
        return name

    def _texts(self, key: str) -> tuple[str, ...]:
        texts = self._image[key]
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise self.error(key, "is not a list of texts")
        return tuple(texts)

    def _bootstrap(self) -> Bootstrap:
        table = self._image.get("bootstrap", {})
        if not isinstance(table, dict):
            raise self.error("bootstrap", "is not a table")
        for key, value in table.items():
            if key not in _BOOTSTRAP:
                raise self.error("bootstrap", f"has no key {key}: {', '.join(_BOOTSTRAP)}")
            texts = value if isinstance(value, list) else [value]
            plain = all(
                isinstance(text, str) and re.fullmatch(r"[A-Za-z0-9/][^\s,\x00-\x1f\x7f]*", text) for text in texts
            )
            if not isinstance(value, _BOOTSTRAP[key]) or not plain:
                raise self.error("bootstrap", f"has a {key} that cannot be: '{value}'")
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in table.items()
        }
        return Bootstrap(**fields)

    def _source(self, text: str, bootstrap: Bootstrap) -> Source:
        if _RELATIVE.match(text):  # to what: a table is read from anywhere
            raise self.error("sources", f": '{text[:200]}' is not an absolute path")
        try:
            return source.parse(text, bootstrap)
        except UsageError as error:
            raise self.error("sources", f": {error.what}") from error

    def error(self, key: str, what: str) -> UsageError:
        """The mistake that a key's value is, with where it is."""
        begins = re.compile(rf"\s*(\[\s*image\s*\.\s*)?[\"']?{re.escape(key)}(?![\w-])")
        line = next((at for at in range(self._start, self._end) if begins.match(self._lines[at])), self._start)
        return UsageError(f"{self._path}, line {line + 1}: {key} {what}".replace(" :", ":"))
