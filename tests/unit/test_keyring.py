"""Which releases a keyring has a key for, told by the user IDs in it."""

import base64
from pathlib import Path

import pytest

from postroj.image import bootstrap, keyring

_NEW = b"\xb4IDebian Archive Automatic Signing Key (13/trixie) <ftpmaster@debian.example>\x89"
_OLD = b"\xb4IDebian Archive Automatic Signing Key (11/bullseye) <ftpmaster@debian.example>\x89"


def armoured(packets: bytes) -> bytes:
    head = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: x\n\n"
    return head + base64.encodebytes(packets) + b"=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"


@pytest.mark.parametrize(
    ("keys", "trusted", "lacking"),
    [
        (_OLD + _NEW, {}, []),
        (_NEW, {}, ["bullseye", "bookworm"]),
        (_OLD, {}, ["trixie", "forky", "sid"]),
        (_OLD, {"new.gpg": _NEW}, []),
        (_OLD, {"new.asc": armoured(_NEW)}, []),
        (_OLD, {"new.asc.save": armoured(_NEW)}, ["trixie", "forky", "sid"]),
        (b"", {"bad.asc": b"-----BEGIN PGP X\n\n=\n-----END"}, ["bullseye", "bookworm", "trixie", "forky", "sid"]),
    ],
)
def test_releases_without_a_key(tmp_path: Path, keys: bytes, trusted: dict[str, bytes], lacking: list[str]) -> None:
    file, directory = tmp_path / "debian-archive-keyring.gpg", tmp_path / "trusted"
    file.write_bytes(keys)
    directory.mkdir()
    for name, content in trusted.items():
        (directory / name).write_bytes(content)
    (found,) = keyring.examine(str(file), str(tmp_path / "none"), str(directory))
    assert (found.package, list(found.lacking)) == ("debian-archive-keyring", lacking)


def test_no_keyring(tmp_path: Path) -> None:
    assert keyring.examine(*[str(tmp_path / "none")] * 3) == []


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("couldn't be verified because the public key is not available: NO_PUBKEY 6ED0E7B82643E131", True),
        ("The following signatures were invalid: EXPKEYSIG 6ED0E7B82643E131 Debian", True),
        (
            "sqv returned an error code (1), error message is: Missing key 4CB50190207B4758A3F73A796ED0E7B82643E131",
            True,
        ),
        ("E: Unable to locate package no-pubkey", False),
        ("", False),
    ],
)
def test_what_apt_says_of_a_key_that_lacks(output: str, told: bool) -> None:
    assert keyring.is_why(output) is told


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("Err:1 http://x forky InRelease\n  no route\nE: Failed to fetch http://x/InRelease  no route\nE: it failed",
         ": Failed to fetch http://x/InRelease no route"),
        ("mmdebstrap: cannot create the directory", ": mmdebstrap: cannot create the directory"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_cause_of_a_bootstrap_that_fails_is_in_its_first_line(output: str, cause: str) -> None:
    assert bootstrap._cause(output) == cause
