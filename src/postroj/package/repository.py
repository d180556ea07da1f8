"""Repositories that a user adds to those of the image, with the keys that they are signed by."""

import base64
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from postroj import download
from postroj.contract import Machine
from postroj.deadline import Deadline
from postroj.errors import HostError, UsageError
from postroj.events import Step, emit
from postroj.family import Family
from postroj.family.repository import KEYS, Addition, Repository
from postroj.settings import downloads_dir

# Of what a URL may have (RFC 3986) without what ends a value, or divides it, in the files of some package manager.
_URL = re.compile(r"https?://[A-Za-z0-9._~:/?@!&*+;=%$()\[\]-]+")
_MAX_KEY = 1024 * 1024
_ARMOR = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
_PRIVATE = b"-----BEGIN PGP PRIVATE KEY BLOCK-----"
_PUBLIC_PACKETS = (0x98, 0x99, 0x9A, 0xC6)
_PRIVATE_PACKETS = (0x94, 0x95, 0x96, 0xC5)
"""The first byte of a key that is not armored: RFC 9580, 4.2."""


class Repositories(NamedTuple):
    """All repositories that are added, and their keys: each repository may be signed by each of them."""

    repositories: Sequence[Repository] = ()
    keys: Sequence[str] = ()
    """ASCII-armored."""

    def check_fits(self, image: str, family: Family) -> None:
        """Raise UsageError unless they are written as the image's family needs it."""
        for one in self.repositories:
            if not family.format:
                raise UsageError(f"postroj cannot add a repository in the image {image}, which has {family.name}")
            if not family.repository.words.fullmatch(" ".join(one.words)):
                raise UsageError(
                    f"'{' '.join((one.url, *one.words))[:200]}' is not a repository for {family.name}, which {image}"
                    " has",
                    hint=f"write --repo='{family.repository.form}'",
                )


def read(
    signed: Sequence[str], unsigned: Sequence[str], keys: Sequence[str], *, deadline: Deadline, offline: bool = False
) -> Repositories:
    """Check repositories as a user writes them, and read their keys, fetching what is a URL.

    Raises UsageError, DownloadError, DeadlineError. All that can be checked without the network is checked first.
    """
    repositories = check(signed, unsigned, keys)
    return Repositories(repositories, [_fetched(key, deadline, offline) for key in keys])


def check(signed: Sequence[str], unsigned: Sequence[str], keys: Sequence[str]) -> Sequence[Repository]:
    """Return repositories as a user writes them, if they and the files of their keys can be. Raises UsageError."""
    repositories = [parse(text, is_signed=True) for text in signed]
    repositories += [parse(text, is_signed=False) for text in unsigned]
    if signed and not keys:
        raise UsageError(
            f"the repository '{signed[0][:200]}' has no key to check its signatures by",
            hint="give it by --repo-key=FILE or URL; if it has no signatures, name it by --repo-unsigned instead",
        )
    if keys and not signed:
        raise UsageError("--repo-key is the key of a repository, and none is given", hint="give one by --repo")
    for key in filter(_is_url, keys):
        download.check(key)
        if key.startswith("http://") and "#sha256=" not in key:
            raise UsageError(
                f"the key {key[:200]} would come by http, where anybody on the way can replace it",
                hint="use https, or append #sha256= and its checksum",
            )
    files = [key for key in keys if not _is_url(key)]
    for file in files:
        _key(file, file)
    return repositories


def addition(family: Family, added: Repositories) -> Addition:
    """Return what adds them to those that a guest has, with their keys."""
    places = [KEYS.format(number) for number in range(1, len(added.keys) + 1)]
    found = family.add_repositories(added.repositories, places)
    return found._replace(files={**dict(zip(places, added.keys, strict=True)), **found.files})


def add(machine: Machine, family: Family, added: Repositories, *, deadline: Deadline) -> None:
    """Add them to those that the guest has. Raises HostError."""
    if not added.repositories:
        return
    emit(Step(machine.name, "adding package repositories"))
    found = addition(family, added)
    for path, text in found.files.items():
        machine.push(path, text.encode())
    for argv in found.commands:
        done = machine.command(argv, deadline=deadline, env=family.environment)
        if done.status != 0:
            raise HostError("the guest cannot take the package repositories that were given", why=done.output)


def parse(text: str, *, is_signed: bool) -> Repository:
    """Return the repository that a user has written. Raises UsageError."""
    shown = f"'{text[:200]}'"
    if not text.isprintable():
        raise UsageError(f"{shown} is not a repository: it has control characters")
    url, *words = text.split() or [""]
    if not url.startswith(("http://", "https://")) or len(text) > 2000:
        raise UsageError(f"{shown} is not a repository", hint="a repository is named by its http or https URL")
    download.check(url)
    if not _URL.fullmatch(url):
        raise UsageError(f"{shown} is not a repository: its URL has characters that need to be percent-encoded")
    return Repository(url, tuple(words), is_signed)


def _is_url(key: str) -> bool:
    return key.startswith(("http://", "https://"))


def _fetched(key: str, deadline: Deadline, offline: bool) -> str:
    path = download.fetch(key, downloads_dir(), deadline=deadline, offline=offline) if _is_url(key) else key
    return _key(key, path)


def _key(key: str, path: str) -> str:
    """Return an OpenPGP key, ASCII-armored. Raises UsageError if it is none."""
    try:
        if not os.path.isfile(path):
            raise UsageError(f"there is no key {key}")
        with open(path, "rb") as file:
            data = file.read(_MAX_KEY + 1)
    except OSError as error:
        raise UsageError(f"the key {key} cannot be read: {error.strerror}") from error
    if _PRIVATE in data or data[:1] in map(_byte, _PRIVATE_PACKETS):
        raise UsageError(f"{key} is a private key", hint="give the public one: gpg --armor --export KEY")
    if len(data) <= _MAX_KEY and _ARMOR in data and data.isascii():
        return data[data.index(_ARMOR) :].decode().replace("\r\n", "\n")
    if len(data) <= _MAX_KEY and data[:1] in map(_byte, _PUBLIC_PACKETS):
        return _armored(data)
    raise UsageError(f"{key} is not an OpenPGP public key", hint="make it by gpg --armor --export KEY")


def _byte(number: int) -> bytes:
    return bytes([number])


def _armored(data: bytes) -> str:
    """Return a key as rpm takes it: RFC 9580, 6, with the checksum that old programs want."""
    text = base64.b64encode(data).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    checksum = base64.b64encode(_crc24(data).to_bytes(3, "big")).decode()
    return "\n".join([_ARMOR.decode(), "", *lines, f"={checksum}", "-----END PGP PUBLIC KEY BLOCK-----", ""])


def _crc24(data: bytes) -> int:
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc
