"""What is read of a tree of files, within bounds."""

import gzip
import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postroj.container.guest import tarstream
from postroj.container.guest.entries import Bounds, Unreadable, walk


@contextmanager
def opened(tree: Path) -> Iterator[int]:
    fd = os.open(tree, os.O_PATH)
    try:
        yield fd
    finally:
        os.close(fd)


def read(tree: Path, bounds: Bounds) -> tuple[set[str], list[OSError]]:
    """Return the names in an archive of a tree, and why it is not whole."""
    cut: list[OSError] = []
    into = io.BytesIO()
    with opened(tree) as fd:
        found = walk(fd, 0, lambda path, why: None, bounds=bounds, cut=cut.append)
        tarstream.write((entry for entry in found if entry.path), into, ())
    into.seek(0)
    with tarfile.open(fileobj=into) as archive:
        return set(archive.getnames()), cut


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/small").write_bytes(b"12345")
    (tmp_path / "a/large").write_bytes(bytes(1000))
    os.truncate(tmp_path / "a/large", 1 << 30)  # a hole counts
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


def test_all_of_it(tree: Path) -> None:
    assert read(tree, Bounds()) == ({"a", "a/b", "a/b/small", "a/large"}, [])


@pytest.mark.parametrize(
    ("bounds", "left_out"),
    [(Bounds(size=100), {"a/large"}), (Bounds(size=4), {"a/large", "a/b/small"}), (Bounds(depth=2), {"a/b/small"})],
)
def test_what_is_beyond_the_bounds_is_left_out(tree: Path, bounds: Bounds, left_out: set[str]) -> None:
    names, cut = read(tree, bounds)
    assert {"a", "a/b", "a/b/small", "a/large"} - names == left_out
    assert len(cut) == len(left_out)
    with opened(tree) as fd, pytest.raises(Unreadable):
        list(walk(fd, 0, lambda path, why: None, bounds=bounds))


def test_there_are_too_many(tree: Path) -> None:
    for number in range(100):
        (tree / f"a/{number}").touch()
    names, cut = read(tree, Bounds(files=50))
    assert 45 < len(names) < 50 and len(cut) == 1
    with opened(tree) as fd, pytest.raises(Unreadable, match="more than 50 files"):
        list(walk(fd, 0, lambda path, why: None, bounds=Bounds(files=50)))


def _header(kind: bytes, size: int) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "archive",
    [
        (_header(tarfile.XHDTYPE, 6) + b"6 a=b\n".ljust(512, b"\0")) * 3000,
        _header(tarfile.XHDTYPE, 9 << 30) + bytes(2 << 20),
        _header(tarfile.GNUTYPE_LONGNAME, 2 << 20) + b"x" * (2 << 20) + _header(tarfile.REGTYPE, 0),
        gzip.compress(_header(tarfile.REGTYPE, 0) + bytes(10240)),
        b"",
        b"nonsense" * 100,
    ],
    ids=["recursion", "extended", "name", "compressed", "empty", "none"],
)
def test_a_hostile_archive(archive: bytes) -> None:
    with pytest.raises(Unreadable):
        list(tarstream.read(io.BytesIO(archive), lambda name, why: None, compressed=False))
