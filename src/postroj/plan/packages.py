"""Which packages a plan's words mean: an entry for each that is a row of the matrix."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from postroj.deadline import Deadline
from postroj.errors import PostrojError, UsageError
from postroj.events import Warn, emit
from postroj.image.source import host_architecture
from postroj.package import reference
from postroj.package.formats import FORMATS
from postroj.plan.file import Source
from postroj.plan.model import Package as Table
from postroj.plan.wording import some

_FETCH_SECONDS = 1800.0


class Entry(NamedTuple):
    """What is under test in a cell: packages of one format, or of the images' repositories."""

    name: str
    packages: tuple[reference.Package, ...]
    source: Source | None = None
    """The file with the table that it has options in."""
    table: Table | None = None
    number: int = 0
    """Which of the file's tables that is."""

    @property
    def format(self) -> str:
        """The format of its files; empty for names."""
        return next((package.format for package in self.packages if package.file), "")

    def is_among(self, tables: "Iterable[Entry]") -> bool:
        """Return whether one of these has its packages, for which a table says more."""
        mine = {package.name for package in self.packages}
        return any(one.format == self.format and mine & {package.name for package in one.packages} for one in tables)


def read(references: Sequence[str], directory: str, *, offline: bool = False) -> list[Entry]:
    """Return an entry for each package that references mean, the newest of each. Raises UsageError, DownloadError.

    Relative paths are those of `directory`. Packages that are for other architectures than this host's are left out.
    """
    packages = opened(references, directory, offline=offline)
    entries = [Entry(package.name, (package,)) for package in _here(packages)]
    _check_names(entries)
    return entries


def read_table(source: Source, number: int, *, offline: bool = False) -> list[Entry]:
    """Return the entries of a [[package]] table, one for each format of its files. Raises UsageError, DownloadError."""
    table = source.plan.package[number]
    try:
        packages = _here(opened(table.files, source.directory, offline=offline or table.offline is True))
    except UsageError as error:
        raise source.at(("package", number, "files"), error) from error
    formats = dict.fromkeys(package.format for package in packages)
    if "" in formats and len(formats) > 1:
        raise source.error(("package", number, "files"), "has both files and names of packages")
    name = table.name or (packages[0].name if packages else "")
    return [
        Entry(name, tuple(one for one in packages if one.format == format), source, table, number) for format in formats
    ]


def with_tables(entries: Sequence[Entry], tables: Sequence[tuple[Source, int]]) -> list[Entry]:
    """Return entries that were named outside the plan, with the names and options that its tables have for them.

    A table is for a package that has the format and the name of one of its own.
    """
    found, rest = [], list(entries)
    for source, number in tables:
        with suppress(PostrojError):  # files that are not there are not asked for now
            for known in read_table(source, number, offline=True):
                mine = [one for one in rest if one.is_among([known])]
                rest = [one for one in rest if one not in mine]
                if mine:
                    found.append(known._replace(packages=tuple(package for one in mine for package in one.packages)))
    return found + rest


def opened(
    references: Sequence[str], directory: str, *, offline: bool = False, older_than: Sequence[reference.Package] = ()
) -> list[reference.Package]:
    """Return all packages that references mean, of whatever format, the newest of each name, format and architecture.

    See reference.open_packages. A file that is named twice is one package. Raises UsageError, DownloadError.
    """
    if not all(references):
        raise UsageError("a package has no name")
    paths = [_path(one, directory) for one in references]
    found: dict[str, reference.Package] = {}
    deadline = Deadline(_FETCH_SECONDS)
    for package in reference.open_packages(
        paths, deadline=deadline, offline=offline, mixed=True, older_than=older_than
    ):
        is_here = package.file and not reference.is_url(package.reference)
        found.setdefault(os.path.realpath(package.file) if is_here else package.reference, package)
    return list(found.values())


def _path(text: str, directory: str) -> str:
    """Return a reference, which is a path if it looks like one, or is there."""
    path = os.path.join(directory, os.path.expanduser(text))
    if reference.is_url(text) or not (os.path.exists(path) or reference.looks_like_path(text)):
        return text
    relative = os.path.relpath(path)
    return relative if relative.startswith("../") else f"./{relative}"


def _here(packages: Sequence[reference.Package]) -> list[reference.Package]:
    """Return those that can be installed on this host."""
    kept: list[reference.Package] = []
    others: dict[str, list[str]] = {}
    for package in packages:
        if not package.file or package.fault or _runs_here(package):
            kept.append(package)
        else:
            others.setdefault(package.architecture, []).append(package.reference)
    for architecture, left_out in others.items():
        told = "are left out: they are" if len(left_out) > 1 else "is left out: it is"
        emit(Warn(f"{some(left_out)} {told} for {architecture}, and this host is not"))
    if packages and not kept:
        raise UsageError(f"none of these packages is for this host: {reference.called(packages)}")
    return kept


def _runs_here(package: reference.Package) -> bool:
    one = FORMATS[package.format]
    word = one.architecture_word(host_architecture())
    return package.architecture in (one.every, word) or one.runs_on(package.architecture, word)


def _check_names(entries: Sequence[Entry]) -> None:
    seen: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        other = seen.setdefault((entry.name, entry.format), entry)
        if other is not entry:
            one, two = other.packages[0].reference, entry.packages[0].reference
            raise UsageError(
                f"{one} and {two} are both packages of the name {entry.name}",
                hint="name one of them, or give each a name of its own by [[package]] tables",
            )
