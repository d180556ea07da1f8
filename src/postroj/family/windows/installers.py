"""Packages for Windows that are no .msi: installers (.exe), and names for Chocolatey and winget.

Sources: the manuals of NSIS ("Installer Usage"), Inno Setup ("Setup Command Line Parameters") and WiX (Burn), `choco
install --help`, and "winget install" with its return codes (Microsoft Learn).
"""

import re
from collections.abc import Sequence
from typing import IO, NamedTuple

from postroj.errors import UsageError
from postroj.family.windows.msiexec import DONE, MACHINE, PACKAGE, Exit, exit_of

_MOST_BYTES = 64 * 1024 * 1024
_CHUNK = 1024 * 1024
_MAGIC = b"MZ"

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")

CHOCOLATEY, WINGET = "choco", "winget"


class Kind(NamedTuple):
    """A program that makes installers."""

    name: str
    signs: tuple[bytes, ...]
    """Bytes of each of its installers."""
    silent: tuple[str, ...]
    """Arguments with which its installers ask nothing, and do not reboot."""


KINDS = (
    Kind("WiX", (b".wixburn",), ("/quiet", "/norestart")),
    Kind(
        "Inno Setup",
        (b"Inno Setup Setup Data (", b"rDlPtS\xcd\xe6\xd7\x7b\x0b\x2a"),
        ("/VERYSILENT", "/SUPPRESSMSGBOXES", "/NORESTART", "/SP-"),
    ),
    Kind("NSIS", (b"\xef\xbe\xad\xdeNullsoftInst",), ("/S",)),
)

_WINGET = {
    0x8A150010: Exit(0x8A150010, "", "no installer of the package is for this Windows", PACKAGE),
    0x8A150011: Exit(0x8A150011, "", "the installer is not the one that the manifest has the hash of", PACKAGE),
    0x8A150014: Exit(0x8A150014, "", "there is no such package", PACKAGE),
    0x8A150016: Exit(0x8A150016, "", "more than one package has this name", PACKAGE),
    0x8A150019: Exit(0x8A150019, "", "only an administrator can do that", MACHINE),
    0x8A15002B: Exit(0x8A15002B, "", "there is no newer version", DONE),
    0x8A150044: Exit(0x8A150044, "", "the source of the packages cannot be reached", MACHINE),
}


def kind_of(file: IO[bytes]) -> Kind | None:
    """Return what has made an installer, by its bytes; None if that is not known.

    Raises UsageError for a file that is not a program of Windows, and OSError.
    """
    before = file.read(len(_MAGIC))
    if before != _MAGIC:
        raise UsageError("it is not a program of Windows")
    longest = max(len(sign) for kind in KINDS for sign in kind.signs)
    for _ in range(_MOST_BYTES // _CHUNK):
        chunk = file.read(_CHUNK)
        if not chunk:
            break
        data = before + chunk
        for kind in KINDS:
            if any(sign in data for sign in kind.signs):
                return kind
        before = data[-longest:]
    return None


def install(manager: str, name: str, version: str = "") -> list[str]:
    """Return the command by which Chocolatey or winget installs a package. Raises UsageError."""
    if manager == CHOCOLATEY:
        return [CHOCOLATEY, "install", *_choco(name, version)]
    return [WINGET, "install", *_winget(name, version), "--accept-package-agreements"]


def upgrade(manager: str, name: str, version: str = "") -> list[str]:
    """Return the command that upgrades a package. Raises UsageError."""
    if manager == CHOCOLATEY:
        return [CHOCOLATEY, "upgrade", *_choco(name, version)]
    return [WINGET, "upgrade", *_winget(name, version), "--accept-package-agreements"]


def remove(manager: str, name: str) -> list[str]:
    """Return the command that removes a package. Raises UsageError."""
    if manager == CHOCOLATEY:
        return [CHOCOLATEY, "uninstall", *_choco(name, "")]
    return [WINGET, "uninstall", *_winget(name, "")]


def exit_of_manager(manager: str, status: int) -> Exit:
    """Return what an exit code of Chocolatey or winget says; they hand on those of Windows Installer."""
    found = _WINGET.get(status & 0xFFFFFFFF) if manager == WINGET else None
    return found or exit_of(status)


def _choco(name: str, version: str) -> Sequence[str]:
    _check(name, version)
    return [name, "--yes", "--no-progress", "--limit-output", *([f"--version={version}"] if version else [])]


def _winget(name: str, version: str) -> Sequence[str]:
    _check(name, version)
    chosen = ["--version", version] if version else []
    quiet = ["--silent", "--accept-source-agreements", "--disable-interactivity"]
    return ["--id", name, "--exact", *chosen, *quiet]


def _check(name: str, version: str) -> None:
    if not _ID.fullmatch(name):
        raise UsageError(f"'{name[:200]}' cannot be the name of a package for Windows")
    if version and not _VERSION.fullmatch(version):
        raise UsageError(f"'{version[:200]}' cannot be a version")
