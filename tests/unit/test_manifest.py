"""All that is in a tree: what makes another digest, and what is told of what has changed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from postroj.image import manifest
from postroj.image.source import is_digest

ODD = [
    b"a b",
    b"a\nb",
    b"a\\sb",
    b"a\\nb",
    b"a\\",
    b" ",
    b"\xff\xfe",
    "é".encode(),
    b".hidden",
    b"-o",
    b"a\tb\rc",
    b"\x1b[2J",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("etc/passwd", "usr/bin/true", "usr/bin.old/true"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("content\n")
    (root / "bin").symlink_to("usr/bin")
    return root


def digest(root: Path) -> str:
    return manifest.write(str(root), str(root.parent / "other")).digest


def differences(root: Path) -> list[str]:
    return manifest.differences(str(root), str(root.parent / "manifest"))


@pytest.fixture(autouse=True)
def listed(root: Path) -> manifest.Listed:
    return manifest.write(str(root), str(root.parent / "manifest"))


def test_a_line_has_all_that_counts(root: Path) -> None:
    lines = (root.parent / "manifest").read_bytes().splitlines()
    paths = [line.rsplit(b" ", 1)[1].decode() for line in lines]
    assert paths == [
        *(".", "bin", "etc", "etc/passwd", "usr", "usr/bin", "usr/bin/true", "usr/bin.old", "usr/bin.old/true")
    ]
    mine = f"{os.getuid()} {os.getgid()}"
    sha256 = "434728a410a78f56fc1b5899c3593436e61ab0c731e9072d95e96db290205e53"  # of `content`, by sha256sum(1)
    assert lines[1].decode() == f"120777 {mine} usr/bin bin"
    assert lines[3].decode() == f"100644 {mine} {sha256} etc/passwd"


def test_the_digest_is_of_what_is_in_it_and_not_of_where_and_when(
    root: Path, listed: manifest.Listed, tmp_path: Path
) -> None:
    assert is_digest(listed.digest)
    os.utime(root / "etc/passwd", (1, 1))
    moved = root.rename(tmp_path / "elsewhere")
    assert digest(moved) == listed.digest


def test_the_size_is_that_on_disk(root: Path) -> None:
    with open(root / "sparse", "wb") as file:
        file.truncate(10_000_000)
    assert 3 * 512 <= manifest.write(str(root), str(root.parent / "other")).size < 1_000_000


def replaced(path: Path) -> Path:
    path.unlink()
    return path


CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "content": (lambda root: (root / "etc/passwd").write_text("CONTENT\n"), ["/etc/passwd has changed"]),
    "mode": (lambda root: (root / "usr/bin/true").chmod(0o4755), ["/usr/bin/true has changed"]),
    "mode of a directory": (lambda root: (root / "etc").chmod(0o1777), ["/etc has changed"]),
    "mode of the root": (lambda root: root.chmod(0o700), ["/ has changed"]),
    "gone": (lambda root: (root / "usr/bin.old/true").unlink(), ["/usr/bin.old/true is gone"]),
    "new": (lambda root: (root / "etc/new").touch(), ["/etc/new is new"]),
    "new directory": (lambda root: (root / "srv").mkdir(), ["/srv is new"]),
    "kind": (lambda root: replaced(root / "etc/passwd").mkdir(), ["/etc/passwd has changed"]),
    "target": (lambda root: replaced(root / "bin").symlink_to("usr/bin.old"), ["/bin has changed"]),
    "pipe": (lambda root: os.mkfifo(root / "pipe"), ["/pipe is new"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_told_and_makes_another_digest(root: Path, listed: manifest.Listed, change: str) -> None:
    assert differences(root) == []
    do, told = CHANGES[change]
    do(root)
    assert differences(root) == told
    assert digest(root) != listed.digest


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_odd_names(root: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(root), name)
    os.mkdir(path)
    os.symlink(name, os.path.join(path, name))
    shown = name.decode(errors="replace").replace("\n", "\\n")
    assert differences(root) == [f"/{shown} is new", f"/{shown}/{shown} is new"]
    manifest.write(str(root), str(root.parent / "manifest"))
    assert differences(root) == []
    os.unlink(os.path.join(path, name))
    assert differences(root) == [f"/{shown}/{shown} is gone"]


def test_names_that_look_alike_are_not_the_same(root: Path) -> None:
    found = set()
    for name in ODD:
        path = os.path.join(os.fsencode(root), name)
        os.mkdir(path)
        found.add(digest(root))
        os.rmdir(path)
    assert len(found) == len(ODD)


@pytest.mark.parametrize(("number", "told"), [(20, 20), (21, 21), (150, 21)])
def test_as_much_is_told_as_can_be_read(root: Path, number: int, told: int) -> None:
    for at in range(number):
        (root / f"new-{at}").touch()
    found = differences(root)
    assert len(found) == told
    assert found[20:] == ([f"and {number - 20} more"] if number > 20 else [])


def test_links_are_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("x")
    (root / "file").symlink_to(tmp_path / "outside")
    (root / "directory").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")
    manifest.write(str(root), str(root.parent / "manifest"))
    (tmp_path / "outside").write_text("y")
    assert differences(root) == []


def test_a_list_that_is_not_there(root: Path) -> None:
    (root.parent / "manifest").unlink()
    with pytest.raises(FileNotFoundError):
        differences(root)
