"""Keyrings of this host, by which bootstrapped releases are trusted: whether they have a key that signs a release."""

import binascii
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

DEBIAN = "/usr/share/keyrings/debian-archive-keyring.gpg"
UBUNTU = "/usr/share/keyrings/ubuntu-archive-keyring.gpg"
_TRUSTED = "/etc/apt/trusted.gpg.d"
"""mmdebstrap(1), --keyring=: what apt trusts on this host counts as well."""

# Part of the user IDs of the keys, each of which alone makes a release trusted.
# A release is signed with the key of the one before as well.
_DEBIAN_SIGNERS = {
    "bullseye": ("(11/bullseye)",),
    "bookworm": ("(11/bullseye)", "(12/bookworm)"),
    "trixie": ("(12/bookworm)", "(13/trixie)"),
    "forky": ("(12/bookworm)", "(13/trixie)", "(14/forky)"),
    "sid": ("(12/bookworm)", "(13/trixie)", "(14/forky)"),
}
_UBUNTU_SIGNERS = dict.fromkeys(("focal", "jammy", "noble", "resolute"), ("Signing Key (2018)",))
_UNTRUSTED = re.compile(r"\b(?:NO_PUBKEY|EXPKEYSIG|KEYEXPIRED)\b|\bMissing key [0-9A-F]{16,40}\b")
_ARMOURED = re.compile(rb"-----BEGIN PGP [^\n]*\n(?:[^\n]+:[^\n]*\n)*\s*(.*?)\n(?:=[^\n]*\n)?-----END", re.DOTALL)


class Keyring(NamedTuple):
    """A keyring, and what it lacks."""

    path: str
    package: str
    """The package that brings it."""
    lacking: Sequence[str]
    """The releases that none of its keys has signed."""


def examine(debian: str = DEBIAN, ubuntu: str = UBUNTU, trusted: str = _TRUSTED) -> list[Keyring]:
    """Return the keyrings that there are, each with the releases of the catalogue that it has no key for."""
    shared = b"".join(_read(os.path.join(trusted, name)) for name in _list(trusted))
    found = []
    for path, signers in ((debian, _DEBIAN_SIGNERS), (ubuntu, _UBUNTU_SIGNERS)):
        if os.path.exists(path):
            keys = _read(path) + shared
            lacking = [suite for suite, names in signers.items() if not any(name.encode() in keys for name in names)]
            found.append(Keyring(path, package(path), lacking))
    return found


def package(path: str) -> str:
    """Return the package to update for a keyring; empty for one of the user's own."""
    return {
        os.path.basename(DEBIAN): "debian-archive-keyring",
        os.path.basename(UBUNTU): "ubuntu-keyring (on Debian ubuntu-archive-keyring)",
    }.get(os.path.basename(path), "")


def is_why(output: str) -> bool:
    """Return whether apt has found that a key is missing or has expired: apt-key(8), gpgv, sqv."""
    return _UNTRUSTED.search(output) is not None


def _list(directory: str) -> list[str]:
    with suppress(OSError):
        return sorted(name for name in os.listdir(directory) if name.endswith((".gpg", ".asc")))
    return []


def _read(path: str) -> bytes:
    """Return the packets of a keyring, user IDs among them in plain text: RFC 9580, 5.11."""
    with suppress(OSError, binascii.Error), open(path, "rb") as file:
        content = file.read()
        return b"".join(map(binascii.a2b_base64, _ARMOURED.findall(content))) or content
    return b""
