"""Which images a plan's words mean."""

import datetime
import os
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from postroj import family
from postroj import image as images
from postroj.errors import UsageError
from postroj.image import catalogue, store, vmimage
from postroj.image.source import host_architecture
from postroj.nearest import did_you_mean
from postroj.package.reference import looks_like_path

SUPPORTED = "supported"


class Image(NamedTuple):
    """An image of a plan."""

    name: str
    """As cells are called by it."""
    reference: str
    """As `pkgprobe --image` takes it."""
    aliases: tuple[str, ...] = ()
    formats: frozenset[str] | None = None
    """The formats of the packages that it installs; None if that is not known before it is pulled."""
    family: str = ""
    """The name of its family; empty if that is not known before it is pulled."""
    is_chosen: bool = False
    """Whether the user has named it, and not a group that it is one of."""
    is_vm: bool = False
    """Whether virtual machines only are made from it: it is not pulled ahead."""

    @property
    def names(self) -> tuple[str, ...]:
        """All that it is called."""
        return (self.name, *self.aliases)


def read(words: Sequence[str], formats: Collection[str], directory: str | None = None) -> list[Image]:
    """Return the images that words mean, each once, in their order. Raises UsageError.

    A word is a name, an alias, a reference, a glob of names, a family, or `supported`: the images of the catalogue that
    install packages of these formats, and are neither past their support nor for other architectures than the host's.
    Relative paths are those of `directory`.
    """
    found: dict[str, Image] = {}
    for word in words:
        if directory and word.startswith(("./", "../")):
            word = os.path.join(directory, word)
        group = _group(word, formats)
        for image in [_named(word)] if group is None else group:
            if image.name not in found or image.is_chosen:
                found[image.name] = image
        if group is not None and not group:
            if word == SUPPORTED:
                what = "names of packages do not tell which images they are for" if not any(formats) else ""
                raise UsageError(what or f"no supported image installs {', '.join(formats)}", hint="give --image")
            near = did_you_mean(word, [name for entry in catalogue.entries() for name in (entry.name, entry.alias)])
            raise UsageError(f"no image is called '{word[:80]}'", hint=near or "see `postroj list-images`")
    return list(found.values())


def is_of_the_past(pattern: str) -> bool:
    """Return whether a glob matches an image of the catalogue that is past its support."""
    today = datetime.date.today()
    past = (_of(entry) for entry in catalogue.entries() if entry.is_past_support(today))
    return any(fnmatchcase(name, pattern) for image in past for name in image.names)


def is_called(word: str) -> bool:
    """Return whether a word is the name of an image that is here or in the catalogue, an alias, or a glob of some."""
    names = [name for entry in catalogue.entries() for name in (entry.name, entry.alias)]
    return any(fnmatchcase(name, word) for name in (*names, *store.list_names()))


def _group(word: str, formats: Collection[str]) -> list[Image] | None:
    """Return the images of a word for several; None if it is one for a single image."""
    if word == SUPPORTED:
        return [image for image in map(_of, _entries()) if image.formats and image.formats & set(formats)]
    if word in family.NAMES:
        return [_of(entry) for entry in _entries() if entry.family == word]
    if any(letter in word for letter in "*?[") and "/" not in word:
        known = [one for one in map(_of, catalogue.entries()) if any(fnmatchcase(name, word) for name in one.names)]
        here = [_named(name) for name in store.list_names() if fnmatchcase(name, word)]
        return known + [one._replace(is_chosen=False) for one in here]
    return None


def _entries() -> list[catalogue.Entry]:
    """Return the images of the catalogue that are supported, and are there for this host."""
    today, architecture = datetime.date.today(), host_architecture().partition("/")[0]
    return [
        entry
        for entry in catalogue.entries()
        if not entry.is_past_support(today) and (not entry.architectures or architecture in entry.architectures)
    ]


def _of(entry: catalogue.Entry) -> Image:
    aliases = (entry.alias,) if entry.alias != entry.name else ()
    return Image(entry.name, entry.name, aliases, _formats([entry.family]), entry.family)


def _named(word: str) -> Image:
    """Return the image that a name, an alias or a reference means. Raises UsageError."""
    for entry in catalogue.entries():
        if entry.is_called(word):
            return _of(entry)._replace(is_chosen=True)
    if of_vm := vmimage.named(word):
        name, aliases, guests = of_vm
        return Image(name, word, aliases, _formats([guests] if guests else []), is_chosen=True, is_vm=True)
    name = word if word in store.list_names() else images.resolve(word).name
    if looks_like_path(word) and not os.path.exists(word) and name not in store.list_names():
        raise UsageError(f"there is no file or directory {word}")
    if name in store.list_names():
        with store.open_existing(name) as image:
            families = [image.family]
    else:
        families = images.expected_families(word)
    only = families[0] if len(families) == 1 else ""
    return Image(name, word, (word,) if word != name else (), _formats(families), only, is_chosen=True)


def _formats(families: Collection[str]) -> frozenset[str] | None:
    return frozenset(filter(None, (family.load(one).format for one in families))) if families else None
