"""The formats of package files, each with what it knows; and those that no package manager here installs."""

from collections.abc import Callable
from typing import IO, NamedTuple

from postroj import tar
from postroj.errors import UsageError
from postroj.package import arch, cfb, deb, msi, pkg, rpm, version
from postroj.package.facts import Facts


class Format(NamedTuple):
    """A format of package files."""

    name: str
    title: str
    """What a file of it is: `a Debian package`."""
    suffixes: tuple[str, ...]
    """What its files are called; the first one is the usual one."""
    every: str
    """The architecture of a package that is for all of them."""
    glob: str
    """A glob for the packages of one architecture."""
    read: Callable[[str], Facts]
    """Read a file. Raises UsageError."""
    architecture_fault: Callable[[str], str]
    """Return what is wrong with a word for an architecture."""
    architecture_word: Callable[[str], str]
    """Return its word for an architecture, by that of a registry: x86_64 for amd64."""
    runs_on: Callable[[str, str], bool]
    """Return whether a package for one architecture can be installed on a machine of another."""
    is_newer: Callable[[str, str], bool]
    """Return whether a version is newer than another one."""
    place: str = "/run/postroj/{}/{}"
    """Where a guest has a file: its number, and its name."""

    def is_called(self, name: str) -> bool:
        """Return whether a file's name is that of such a package."""
        return name.endswith(self.suffixes)


def _never(_word: str, _machine: str) -> bool:
    return False


FORMATS = {
    "deb": Format(
        "deb", "a Debian package", (".deb",), "all", "*_{}.deb",
        deb.read, deb.architecture_fault, deb.architecture_word, _never, version.is_newer,
    ),
    "rpm": Format(
        "rpm", "an RPM package", (".rpm",), "noarch", "*.{}.rpm",
        rpm.read, rpm.architecture_fault, rpm.architecture_word, rpm.runs_on, version.is_newer_rpm,
    ),
    "arch": Format(
        "arch", "an Arch Linux package", (".pkg.tar.zst", ".pkg.tar.xz", ".pkg.tar.gz", ".pkg.tar"), "any",
        "*-{}.pkg.tar.zst", arch.read, arch.architecture_fault, arch.architecture_word, _never,
        version.is_newer_arch,
    ),
    "msi": Format(
        "msi", "a package of Windows Installer", (".msi",), "", "*.msi",
        msi.facts, msi.architecture_fault, msi.architecture_word, msi.runs_on, msi.is_newer,
        "C:\\Windows\\Temp\\postroj\\{}\\{}",
    ),
    "pkg": Format(
        "pkg", "a package of FreeBSD", (".pkg",), "", "*.pkg",
        pkg.read, pkg.architecture_fault, pkg.architecture_word, pkg.runs_on, pkg.is_newer,
        "/var/tmp/postroj/{}/{}",
    ),
}  # fmt: skip
"""By name."""

SUFFIXES = tuple(suffix for one in FORMATS.values() for suffix in one.suffixes)
KNOWN = ", ".join(one.suffixes[0] for one in FORMATS.values())
"""The usual suffixes, for a message."""

_APK = "is an Alpine Linux package (.apk), and Alpine Linux has no systemd"
_IPK = "is an OpenWrt package (.ipk), and OpenWrt has no systemd"
_SNAP = "is a snap, which snapd installs and no package manager of an image"
_APPIMAGE = "is an AppImage, a program that is run and not installed"
_EXE = "is a program for Windows, and postroj installs .msi only: see docs/windows.md for installers that are programs"
_FLATPAK = "is a Flatpak bundle, which flatpak installs and no package manager of an image"
_OTHERS = (
    (0, b"ADB", _APK),
    (0, b"hsqs", _SNAP),
    (0, b"flatpak\0", _FLATPAK),
    (8, b"AI\x01", _APPIMAGE),
    (8, b"AI\x02", _APPIMAGE),
)
"""Where, and by which bytes, a file of another format is known."""
_OTHERS_CALLED = {
    ".apk": _APK, ".ipk": _IPK, ".snap": _SNAP, ".AppImage": _APPIMAGE, ".flatpak": _FLATPAK, ".exe": _EXE,
}  # fmt: skip

LIKE_FILES = (*SUFFIXES, *_OTHERS_CALLED)
"""What is called so is meant to be a file, if there is one or not."""

_USTAR = 257
_START = 512


def of_file(path: str, called: str) -> Format:
    """Return the format of a file, by its first bytes; `called` is what the user calls it.

    Raises UsageError for a format that is not known, and OSError.
    """
    with open(path, "rb") as file:
        start = file.read(_START)
        file.seek(0)
        kind = tar.compression(start)
        looks = kind == "gz" or (kind and called.endswith(".pkg"))  # Arch Linux's packages may be called so as well
        first = _first_member(start) if not kind else _first_compressed(file, kind) if looks else b""
    if start.startswith(rpm.MAGIC):
        return FORMATS["rpm"]
    other = next((told for suffix, told in _OTHERS_CALLED.items() if called.endswith(suffix)), "")
    if start.startswith(deb.MAGIC) and other != _IPK:
        return FORMATS["deb"]
    if first.startswith(b".SIGN."):
        other = _APK
    elif first.removeprefix(b"./") == b"debian-binary":
        other = _IPK
    other = next((told for at, magic, told in _OTHERS if start[at:].startswith(magic)), other)
    if start.startswith(cfb.MAGIC):
        return FORMATS["msi"]
    if start.startswith(b"MZ"):
        other = _EXE
    if other:
        raise UsageError(f"{called} {other}")
    if kind and first.startswith(b"+"):
        return FORMATS["pkg"]
    if kind or first:
        return FORMATS["arch"]
    for one in FORMATS.values():
        if one.is_called(called):
            return one  # whose reader says what is wrong
    raise UsageError(f"{called} is not a package of a known format", hint=f"those are {KNOWN}")


def _first_compressed(file: IO[bytes], kind: str) -> bytes:
    try:
        return _first_member(tar.read(tar.decompressed(file, kind), _START))
    except ValueError:
        return b""


def _first_member(start: bytes) -> bytes:
    """Return the name of the first member of a tar archive; empty if it is none."""
    return start[:100].rstrip(b"\0") if start[_USTAR:].startswith(b"ustar") else b""
