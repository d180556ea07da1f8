"""What a user calls a package: files, an http(s) URL, or a name from the guest's repositories."""

import datetime
import glob
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import NamedTuple, Protocol

from postroj import download
from postroj.deadline import Deadline
from postroj.errors import UsageError
from postroj.events import Warn, emit
from postroj.family import OF_VMS, Family, apt, load, names_of_format
from postroj.image import catalogue, expected_families
from postroj.package import formats
from postroj.package.formats import FORMATS
from postroj.settings import downloads_dir

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_NAME = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9_.+~^@-]*(:[a-z0-9-]+)?(=[A-Za-z0-9_.+~^:-]+|/[a-z0-9-]+)?(?<!-)")
"""A package's name, and what may follow it, in some family; whether it is one in the image's is asked later."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]*")

_FEW = 3
"""So many packages of a directory or a glob are named."""


class Package(NamedTuple):
    """A package under test, looked at as far as can be without a guest."""

    reference: str
    """As the user wrote it."""
    file: str
    """Where it is on the host; empty for a name from the guest's repositories."""
    architecture: str
    """As the file says; empty for a name."""
    name: str = ""
    """The package's name, as the file says, or the user."""
    version: str = ""
    """As the file says, or the user; empty for whatever version there is."""
    fault: str = ""
    """What is wrong with it, found out without a guest: `is for x86_64, which Debian calls amd64`."""
    format: str = ""
    """Of its file, by its name in formats.FORMATS; empty for a name."""
    among: str = ""
    """The directory or glob that it was found in, as the user wrote it; empty if it was named itself."""
    services: tuple[str, ...] = ()
    """The services that it installs, if its format tells: the others are found by the files of installed packages."""

    def query(self, family: Family) -> str:
        """Return what the guest's package database calls it."""
        if self.file:
            return family.query(self.name, self.architecture)
        return re.split("[=/]", self.reference)[0]

    def guest_name(self, number: int) -> str:
        """Return its name in the guest; for a file, the path to which the file of package `number` is bound."""
        if not self.file:
            return self.reference
        base = os.path.basename(self.file)
        one = FORMATS[self.format]
        # apt-get and dnf take for a file only what is called like one
        plain = _PLAIN.fullmatch(base) and one.is_called(base)
        return one.place.format(number, base if plain else f"package{one.suffixes[0]}")

    def _title(self) -> str:
        """Return what it is, with what its file says of its services."""
        one = FORMATS[self.format]
        if not self.services:
            return one.title
        word = "service" if len(self.services) == 1 else "services"
        return f"{one.title}: {self.name} {self.version} with the {word} {', '.join(self.services)}"

    def check_installs(self, image: str, family: Family) -> None:
        """Raise UsageError unless the image's family installs the package."""
        if not family.format and not self.file:
            raise UsageError(f"postroj cannot install packages in the image {image}, which has {family.name}")
        if not self.file:
            if not family.word.fullmatch(self.reference):
                raise UsageError(
                    f"'{self.reference[:200]}' is not a package's name for {family.name}, which {image} has"
                )
            return
        if self.format != family.format:
            theirs = f" ({FORMATS[family.format].suffixes[0]})" if family.format else ""
            raise UsageError(
                f"{self.reference} is {self._title()}, and the image {image} has {family.name}{theirs}",
                hint=f"images that fit: {', '.join(fitting(self.format))}",
            )

    def check_fits(self, image: str, family: Family, architecture: str) -> None:
        """Raise UsageError unless the image's family installs the package, and it is for the image's architecture."""
        self.check_installs(image, family)
        if not self.file:
            return
        one = FORMATS[self.format]
        if self.architecture not in (one.every, architecture) and not one.runs_on(self.architecture, architecture):
            raise UsageError(f"{self.reference} is for {self.architecture}, and the image {image} is {architecture}")


class Installing(Protocol):
    """What packages are installed into: an image, or a guest."""

    @property
    def name(self) -> str:
        """What it is called in a message."""

    @property
    def family(self) -> str:
        """The name of its family."""

    @property
    def architecture(self) -> str:
        """As packages of its family have it."""


def check_all_fit(packages: Sequence[Package], image: Installing) -> Family:
    """Return the family of an image, which installs the packages. Raises UsageError if one of them does not fit."""
    if not image.family:
        raise UsageError(f"{image.name} has no package manager that postroj knows")
    found = load(image.family)
    for package in packages:
        package.check_fits(image.name, found, image.architecture)
    return found


def check_all_installable(packages: Sequence[Package], image: str, family: str = "") -> None:
    """Raise UsageError, before it is pulled, if an image will not install the packages: as far as its name tells.

    `family` is the image's, if that is known.
    """
    families = [load(name) for name in ([family] if family else expected_families(image))]
    if len({one.format for one in families}) != 1:
        return
    for package in packages:
        if package.file:
            package.check_installs(image, families[0])


def fitting(format_name: str) -> list[str]:
    """Return the names of the images that install packages of a format, those past their support left out."""
    from postroj.image import boxes

    today = datetime.date.today()
    guests = [name for name in OF_VMS if load(name).format == format_name]
    of_vms = [one.name for one in boxes.entries() if one.guest in guests and not (one.eol and one.eol < today)]
    return [*(one.name for one in supported(format_name)), *of_vms]


def supported(format_name: str) -> list[catalogue.Entry]:
    """Return the images of the catalogue that install packages of a format, those past their support left out."""
    today = datetime.date.today()
    families = names_of_format(format_name)
    return [one for one in catalogue.entries() if one.family in families and not one.is_past_support(today)]


def open_packages(
    references: Sequence[str],
    *,
    deadline: Deadline,
    offline: bool = False,
    mixed: bool = False,
    older_than: Sequence[Package] = (),
) -> list[Package]:
    """Look at each package, fetching what is a URL. Raises UsageError, DownloadError, DeadlineError.

    A directory, or a glob, stands for the packages in it, the newest version of each: of one format and for one
    architecture, unless `mixed`. Of the packages of `older_than` it is the newest version that is older.

    All that can be checked without the network is checked first; if `offline`, it is never used: by the guest neither.
    """
    looked = [one for reference in references for one in _look(reference, mixed, older_than)]
    if offline and (names := [one.reference for one in looked if isinstance(one, Package) and not one.file]):
        raise UsageError(
            f"{', '.join(names)} would be downloaded from the guest's repositories, and --offline forbids it",
            hint="name package files, or leave --offline out",
        )
    return [one if isinstance(one, Package) else _fetch(one, deadline, offline) for one in looked]


def _warn_of_directory(name: str) -> None:
    """Tell of a directory with packages in it that is called like a package: it may be what is meant."""
    with suppress(OSError):
        if any(entry.endswith(formats.SUFFIXES) for entry in os.listdir(name)):
            emit(Warn(f"--package={name} is taken for a package's name: for the directory write --package=./{name}"))


def looks_like_path(reference: str) -> bool:
    """Return whether a reference is meant to be a path, or a glob of paths, if there is something or not."""
    is_path = reference.startswith(("/", "./", "../", "~/")) or reference.endswith(("/", *formats.LIKE_FILES))
    return (is_path or glob.has_magic(reference)) and not is_url(reference)


def is_url(reference: str) -> bool:
    """Return whether a reference has a scheme."""
    return _SCHEME.match(reference) is not None


def _look(reference: str, mixed: bool, older_than: Sequence[Package]) -> Sequence[Package | str]:
    """Return the packages that a reference stands for, each file opened once; a URL as it is, to be fetched later."""
    if os.path.isdir(reference) and not apt.NAME.fullmatch(reference):
        found = sorted(name for name in os.listdir(reference) if name.endswith(formats.SUFFIXES))
        if not found:
            raise UsageError(f"the directory {reference} has no package in it ({formats.KNOWN})")
        return _newest(reference, [os.path.join(reference, name) for name in found], mixed, older_than)
    if _is_fetched(reference):
        download.check(reference)
        return [reference]
    if glob.has_magic(reference) and not os.path.exists(reference):
        found = sorted(glob.glob(reference))
        if not found:
            raise UsageError(f"no file matches {reference[:200]}")
        return _newest(reference, found, mixed, older_than)
    if _is_file(reference):
        return [_open_file(reference, reference)]
    _check_name(reference)
    _warn_of_directory(reference)
    return [Package(reference, "", "", re.split("[:=/]", reference)[0], reference.partition("=")[2])]


def _newest(reference: str, files: Sequence[str], mixed: bool, older_than: Sequence[Package]) -> list[Package]:
    """Return the newest of each package. Raises UsageError if they are not of one format, for one architecture."""
    packages = _older([_open_file(file, file) for file in files], older_than)
    if not packages and not mixed:
        names = ", ".join(f"{one.name} {one.version}" for one in older_than)
        raise UsageError(f"{reference} has no release that is older than {names}")
    if not mixed:
        _check_alike(reference, packages)
    newest: dict[tuple[str, str, str], Package] = {}
    for package in packages:
        key = (package.name, package.format, package.architecture if mixed else "")
        other = newest.get(key)
        if not other or FORMATS[package.format].is_newer(package.version, other.version):
            newest[key] = package
    return [package._replace(among=reference) for package in newest.values()]


def _older(packages: Sequence[Package], than: Sequence[Package]) -> Sequence[Package]:
    """Return packages without those that are not older than what has their name and format."""

    def is_older(package: Package) -> bool:
        alike = [one for one in than if (one.name, one.format) == (package.name, package.format)]
        return all(FORMATS[package.format].is_newer(one.version, package.version) for one in alike)

    return [package for package in packages if is_older(package)]


def _check_alike(reference: str, packages: Sequence[Package]) -> None:
    """Raise UsageError unless packages are of one format, and for one architecture."""
    suffixes = [FORMATS[name].suffixes[0] for name in FORMATS if name in {package.format for package in packages}]
    if len(suffixes) > 1:
        directory = reference if os.path.isdir(reference) else os.path.dirname(reference) or "."
        raise UsageError(
            f"{reference} has packages of several formats: {', '.join(suffixes)}",
            hint=f"a machine has one package manager: take a glob such as {os.path.join(directory, '*' + suffixes[0])}",
        )
    one = FORMATS[packages[0].format]
    architectures = sorted({package.architecture for package in packages} - {one.every})
    if len(architectures) > 1:
        raise UsageError(
            f"{reference} has packages for {' and '.join(architectures)}",
            hint=f"a machine has one architecture: name the files, or take a glob such as"
            f" {one.glob.format(architectures[0])}",
        )


def called(packages: Sequence[Package], name: Callable[[Package], str] = attrgetter("reference")) -> str:
    """Return what to call packages in one line: each by `name`, or many of one directory by that."""
    groups: dict[str, list[str]] = {}
    for package in packages:
        groups.setdefault(package.among, []).append(name(package))
    words = [
        f"{among} ({len(names)} packages)" if among and len(names) > _FEW else ", ".join(names)
        for among, names in groups.items()
    ]
    return ", ".join(words)


def _fetch(url: str, deadline: Deadline, offline: bool) -> Package:
    return _open_file(url, download.fetch(url, downloads_dir(), deadline=deadline, offline=offline))


def _open_file(reference: str, path: str) -> Package:
    one = _format(reference, path)
    try:
        facts = one.read(path)
    except UsageError as error:
        what = error.what.replace(path, reference, 1)  # a URL is read where it has been fetched to
        raise UsageError(what, why=error.why, hint=error.hint) from error
    fault = one.architecture_fault(facts.architecture)
    package = Package(reference, os.path.abspath(path), facts.architecture, facts.name, facts.version, fault, one.name)
    return package._replace(services=facts.services)


def _format(reference: str, path: str) -> formats.Format:
    """Return the format of a file. Raises UsageError if it cannot be read, or has another format."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{reference} is not a file")
    if os.path.isfile(path) and not os.path.getsize(path):
        raise UsageError(f"{reference} is empty")
    try:
        return formats.of_file(path, reference)
    except FileNotFoundError:
        raise UsageError(f"there is no file {reference}") from None
    except OSError as error:
        raise UsageError(f"{reference} cannot be read: {error.strerror}") from error


def _is_fetched(reference: str) -> bool:
    found = _SCHEME.match(reference)
    if found and found[0].lower() == "file://":
        path = "/" + reference[len(found[0]) :].partition("/")[2]
        raise UsageError(f"'{reference[:200]}' is a file of this host: write its path", hint=f"--package={path[:200]}")
    if found and found[0].lower() not in ("http://", "https://"):
        raise UsageError(f"'{reference[:200]}' has an unknown scheme", hint="a package comes by http:// or https://")
    return found is not None


def _is_file(reference: str) -> bool:
    looks = reference.startswith(("/", "./", "../")) or reference.endswith(formats.LIKE_FILES)
    return looks or (not apt.NAME.fullmatch(reference) and os.path.exists(reference))


def _check_name(reference: str) -> None:
    if not _NAME.fullmatch(reference):
        raise UsageError(
            f"'{reference[:200]}' is neither a file nor a package's name",
            hint="a package is ./FILE.deb, .rpm or .pkg.tar.zst, a directory or a glob of such, an http(s) URL, or a"
            " name such as nginx, nginx=1.22.1-9 or nginx/bookworm",
        )
