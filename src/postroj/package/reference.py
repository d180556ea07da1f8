"""What a user calls a package: files, an http(s) URL, or a name from the guest's repositories."""

import glob
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from postroj import download
from postroj.deadline import Deadline
from postroj.errors import UsageError
from postroj.events import Warn, emit
from postroj.package import apt, deb
from postroj.package.version import is_newer
from postroj.settings import downloads_dir

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SUFFIXES = (".deb", ".rpm")
_RPM_MAGIC = b"\xed\xab\xee\xdb"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]*")


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

    @property
    def query(self) -> str:
        """What dpkg-query(1) calls it."""
        if self.file:
            return f"{self.name}:{self.architecture}"
        return re.split("[=/]", self.reference)[0]

    def guest_name(self, number: int) -> str:
        """How it is called in the guest, where the file of package `number` is bound to this path."""
        if not self.file:
            return self.reference
        base = os.path.basename(self.file)
        # apt-get takes for a file only what is called like one
        plain = _PLAIN.fullmatch(base) and base.endswith(apt.SUFFIX)
        return f"/run/postroj/{number}/{base if plain else 'package' + apt.SUFFIX}"

    def check_fits(self, image: str, architecture: str) -> None:
        """Raise UsageError unless the package is for the image's architecture."""
        if self.architecture not in ("", "all", architecture):
            raise UsageError(f"{self.reference} is for {self.architecture}, and the image {image} is {architecture}")


def open_packages(references: Sequence[str], *, deadline: Deadline, offline: bool = False) -> list[Package]:
    """Look at each package, fetching what is a URL. Raises UsageError, DownloadError, DeadlineError.

    A directory, or a glob, stands for the packages in it, the newest version of each.

    All that can be checked without the network is checked first; `offline`, it is never touched.
    """
    references = [one for reference in references for one in _expanded(reference)]
    for reference in references:
        if _is_url(reference):
            download.check(reference)
        elif _is_file(reference):
            _open_file(reference, reference)
        else:
            _check_name(reference)
            _warn_of_directory(reference)
    return [_open(reference, deadline, offline) for reference in references]


def _warn_of_directory(name: str) -> None:
    """Tell of a directory with packages in it that is called like a package: it may be what is meant."""
    with suppress(OSError):
        if any(entry.endswith(apt.SUFFIX) for entry in os.listdir(name)):
            emit(Warn(f"--package={name} is taken for a package's name: for the directory write --package=./{name}"))


def _expanded(reference: str) -> list[str]:
    """Return the files that a directory or a glob stands for; a reference of another kind stands for itself."""
    if os.path.isdir(reference) and not apt.NAME.fullmatch(reference):
        found = sorted(name for name in os.listdir(reference) if name.endswith(apt.SUFFIX))
        if not found:
            raise UsageError(f"the directory {reference} has no {apt.SUFFIX} package in it")
        return _newest(reference, [os.path.join(reference, name) for name in found])
    if not _is_url(reference) and glob.has_magic(reference) and not os.path.exists(reference):
        found = sorted(glob.glob(reference))
        if not found:
            raise UsageError(f"no file matches {reference[:200]}")
        return _newest(reference, found)
    return [reference]


def _newest(reference: str, files: Sequence[str]) -> list[str]:
    """Return the newest file of each package. Raises UsageError if they are not for one architecture."""
    packages = [_open_file(file, file) for file in files]
    architectures = sorted({package.architecture for package in packages} - {"all"})
    if len(architectures) > 1:
        raise UsageError(
            f"{reference} has packages for {' and '.join(architectures)}",
            hint="a machine has one architecture: name the files, or take a glob such as *_amd64.deb",
        )
    newest: dict[str, Package] = {}
    for package in packages:
        there = newest.get(package.name)
        if not there or is_newer(package.version, there.version):
            newest[package.name] = package
    return [package.reference for package in newest.values()]


def _open(reference: str, deadline: Deadline, offline: bool) -> Package:
    if _is_url(reference):
        return _open_file(reference, download.fetch(reference, downloads_dir(), deadline=deadline, offline=offline))
    if _is_file(reference):
        return _open_file(reference, reference)
    return Package(reference, "", "", re.split("[:=/]", reference)[0], reference.partition("=")[2])


def _open_file(reference: str, path: str) -> Package:
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{reference} is not a file")
    try:
        with open(path, "rb") as file:
            start = file.read(len(_RPM_MAGIC))
    except FileNotFoundError:
        raise UsageError(f"there is no file {reference}") from None
    except OSError as error:
        raise UsageError(f"{reference} cannot be read: {error.strerror}") from error
    if start == _RPM_MAGIC:
        raise UsageError(f"{reference} is an rpm package, and no image here installs those yet")
    try:
        fields = deb.read_control(path)
    except UsageError as error:
        raise UsageError(f"{reference} is not a Debian package", why=error.why, hint=error.hint) from error
    return Package(
        reference,
        os.path.abspath(path),
        fields["Architecture"],
        fields["Package"].lower(),  # as dpkg takes it
        fields["Version"],
        deb.architecture_fault(fields["Architecture"]),
    )


def _is_url(reference: str) -> bool:
    found = _SCHEME.match(reference)
    if found and found[0].lower() not in ("http://", "https://"):
        raise UsageError(f"'{reference[:200]}' has an unknown scheme", hint="a package comes by http:// or https://")
    return found is not None


def _is_file(reference: str) -> bool:
    if _is_url(reference):
        return False
    looks = reference.startswith(("/", "./", "../")) or reference.endswith(_SUFFIXES)
    return looks or (not apt.NAME.fullmatch(reference) and os.path.exists(reference))


def _check_name(reference: str) -> None:
    if not apt.NAME.fullmatch(reference):
        raise UsageError(
            f"'{reference[:200]}' is neither a file nor a package's name",
            hint="a package is ./FILE.deb, a directory or a glob of such, an http(s) URL, or a name such as nginx,"
            " nginx=1.22.1-9 or nginx/bookworm",
        )
