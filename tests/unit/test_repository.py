"""Repositories as a user writes them, their keys, and what each family makes of them."""

import base64
from collections.abc import Sequence
from pathlib import Path

import pytest

from postroj import family
from postroj.contract import Completed
from postroj.deadline import NEVER, Deadline
from postroj.errors import HostError, UsageError
from postroj.family.repository import Repository
from postroj.package.repository import Repositories, add, read

from .fakes import FakeMachine

URL = "https://example.org/repo"
ARMORED = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEY\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"


@pytest.fixture
def key(tmp_path: Path) -> str:
    (tmp_path / "key.asc").write_text(ARMORED)
    return str(tmp_path / "key.asc")


def given(signed: Sequence[str] = (), unsigned: Sequence[str] = (), keys: Sequence[str] = ()) -> Repositories:
    return read(signed, unsigned, keys, deadline=NEVER)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is not a repository"),
        ("stable main", "is not a repository"),
        ("ftp://example.org/x", "is not a repository"),
        ("file:///srv/x", "is not a repository"),
        ("http://", "is not an http or https URL"),
        ("http://user:secret@example.org/", "a user or a password"),
        ("http://example.org/a\nTrusted: yes", "control characters"),
        ("http://example.org/a\r", "control characters"),
        ("http://example.org/\u202ea", "control characters"),
        ("http://example.org/ä", "percent-encoded"),
        ("http://example.org/a#b", "is not a checksum"),
        ("http://example.org/a,http://b", "percent-encoded"),
        ("http://example.org/a\\b", "percent-encoded"),
        ("http://example.org/'a'", "percent-encoded"),
        (f"http://example.org/{'a' * 3000}", "is not a repository"),
    ],
)
def test_not_a_repository(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        given(unsigned=[text])


@pytest.mark.parametrize(
    ("name", "text", "fits"),
    [
        ("apt", f"{URL} ./", True),
        ("apt", f"{URL} stable/", True),
        ("apt", f"{URL} stable main non-free", True),
        ("apt", f"{URL} bookworm/updates main", True),
        ("apt", URL, False),
        ("apt", f"{URL} stable", False),
        ("apt", f"{URL} stable/ main", False),
        ("apt", f"{URL} stable main; ", False),
        ("apt", f"{URL} [trusted=yes] main", False),
        ("pacman", f"{URL}/$repo/$arch vendor", True),
        ("pacman", URL, False),
        ("pacman", f"{URL} options", False),
        ("pacman", f"{URL} a]b", False),
        ("pacman", f"{URL} -a", False),
        *((name, URL, True) for name in ("dnf", "yum", "zypper")),
        *((name, f"{URL} stable", False) for name in ("dnf", "yum", "zypper")),
        ("microdnf", URL, False),
        ("apk", URL, False),
    ],
)
def test_what_a_family_takes(name: str, text: str, fits: bool) -> None:
    found = given(unsigned=[text])
    if fits:
        found.check_fits("image", family.load(name))
        return
    with pytest.raises(UsageError, match=name):
        found.check_fits("image", family.load(name))


def test_without_a_key_it_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="has no key") as caught:
        given([URL], [f"{URL}/unsigned"])
    assert "--repo-unsigned" in caught.value.hint
    with pytest.raises(UsageError, match="none is given"):
        given(unsigned=[URL], keys=[key])
    assert given([URL], keys=[key]) == Repositories([Repository(URL)], [ARMORED])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not an OpenPGP public key"),
        (b"<html>404</html>", "is not an OpenPGP public key"),
        (b"\x7fELF" + b"x" * 100, "is not an OpenPGP public key"),
        (b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n", "is a private key"),
        (ARMORED.encode() + b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n", "is a private key"),
        (b"\x95\x01x", "is a private key"),
        (ARMORED.encode() + b"x" * 1024 * 1024, "is not an OpenPGP public key"),
        (ARMORED.encode() + b"\xff", "is not an OpenPGP public key"),
    ],
)
def test_not_a_key(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(UsageError, match=told):
        given([URL], keys=[str(tmp_path / "key")])


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("no-such-file", "there is no key"),
        ("/", "there is no key"),
        ("/dev/zero", "there is no key"),
        ("http://example.org/key.asc", "anybody on the way"),
        ("https://example.org/a b", "percent-encoded"),
    ],
)
def test_no_key_there(where: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        given([URL], keys=[where])


def test_binary_key_is_armored(tmp_path: Path) -> None:
    data = b"\x99" + bytes(range(256))
    (tmp_path / "key.gpg").write_bytes(data)
    (armored,) = given([URL], keys=[str(tmp_path / "key.gpg")]).keys
    lines = armored.splitlines()
    assert lines[:2] == ["-----BEGIN PGP PUBLIC KEY BLOCK-----", ""]
    assert lines[-1] == "-----END PGP PUBLIC KEY BLOCK-----"
    assert base64.b64decode("".join(lines[2:-2])) == data
    assert lines[-2] == "=" + base64.b64encode((0xDF197E).to_bytes(3, "big")).decode()


FILES = {
    "apt": (
        "/etc/apt/sources.list.d/postroj.sources",
        "Types: deb\nURIs: https://example.org/repo\nSuites: stable\nComponents: main contrib\n"
        "Signed-By: /etc/postroj/key-1.asc\n\nTypes: deb\nURIs: https://example.org/repo/u\nSuites: ./\nTrusted: yes\n",
    ),
    "pacman": (
        "/etc/pacman.d/postroj.conf",
        "[vendor]\nSigLevel = Required DatabaseOptional\nServer = https://example.org/repo\n\n"
        "[others]\nSigLevel = Never\nServer = https://example.org/repo/u\n",
    ),
    "dnf": (
        "/etc/yum.repos.d/postroj.repo",
        "[postroj-1]\nname=postroj-1\nbaseurl=https://example.org/repo\nenabled=1\nskip_if_unavailable=0\n"
        "gpgcheck=1\ngpgkey=file:///etc/postroj/key-1.asc\n\n"
        "[postroj-2]\nname=postroj-2\nbaseurl=https://example.org/repo/u\nenabled=1\nskip_if_unavailable=0\n"
        "gpgcheck=0\nrepo_gpgcheck=0\npkg_gpgcheck=0\n",
    ),
}
FILES["zypper"] = ("/etc/zypp/repos.d/postroj.repo", FILES["dnf"][1])
WORDS = {"apt": (" stable main contrib", " ./"), "pacman": (" vendor", " others")}


@pytest.mark.parametrize("name", FILES)
def test_what_is_written(name: str, key: str) -> None:
    signed, unsigned = WORDS.get(name, ("", ""))
    machine = FakeMachine()
    added = given([URL + signed], [f"{URL}/u{unsigned}"], [key])
    added.check_fits("image", family.load(name))
    add(machine, family.load(name), added, deadline=Deadline(9))
    path, text = FILES[name]
    assert machine.pushed == {"/etc/postroj/key-1.asc": ARMORED.encode(), path: text.encode()}
    # Nothing of it is in a command but the place of the key.
    assert "example" not in str(machine.commands)
    assert ("/etc/postroj/key-1.asc" in str(machine.commands)) == (name in ("pacman", "zypper"))


def test_a_guest_that_does_not_take_it(key: str) -> None:
    machine = FakeMachine(lambda argv: Completed(1, "gpg: no valid OpenPGP data found.\n"))
    with pytest.raises(HostError, match="cannot take the package repositories") as caught:
        add(machine, family.load("zypper"), given([URL], keys=[key]), deadline=Deadline(9))
    assert "no valid OpenPGP data" in caught.value.why


@pytest.mark.parametrize(
    ("name", "output", "told"),
    [
        ("apt", "  The following signatures couldn't be verified because the public key is not available: NO_PUBKEY A\n"
         "E: The repository 'http://x ./ InRelease' is not signed.\n", "is signed by a key"),
        ("apt", "  Sub-process /usr/bin/sqv returned an error code (1), error message is: Missing key AB12, which is\n"
         "E: The repository 'http://x ./ InRelease' is not signed.\n", "is signed by a key"),
        ("apt", "E: The repository 'http://x ./ Release' is not signed.\n", "is not signed"),
        ("apt", "E: Failed to fetch http://x/Packages  404  Not Found\n", ""),
        ("dnf", "Public key for web-1.rpm is not installed. Failing package is: web-1\nError: GPG check FAILED\n",
         "is signed by a key"),
        ("dnf", "Package web-1.rpm is not signed\nError: GPG check FAILED\n", "is not signed"),
        ("dnf", "Error: Failed to download metadata for repo 'postroj-1'\n", ""),
        ("zypper", "Warning: File 'repomd.xml' from repository 'postroj-1' is unsigned.\n"
         " - Signature verification failed for repomd.xml\n", "is not signed"),
        ("zypper", "File 'repomd.xml' from repository 'x' is signed with an unknown key 'AB12'. Continue?\n",
         "is signed by a key"),
        ("zypper", "Repository 'postroj-1' is invalid.\n", ""),
    ],
)  # fmt: skip
def test_what_a_package_manager_says_of_signatures(name: str, output: str, told: str) -> None:
    found = family.load(name).distrusted(output)
    assert found.startswith(told)
    assert bool(found) == bool(told)
