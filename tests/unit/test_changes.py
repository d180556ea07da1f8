"""What a guest has changed, read from layers as an overlay leaves them."""

import os
import stat
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from postroj.container.guest import changes
from postroj.contract import Change, Changes

_OWN = (os.getuid(), os.getgid())
Read = Callable[..., Changes]


class Trees:
    """An image and two layers over it, the newest first."""

    def __init__(self, path: Path) -> None:
        self.image, self.new, self.old = (path / name for name in ("image", "new", "old"))
        for each in (self.image, self.new, self.old):
            each.mkdir()

    def read(self, root_uid: int = 0) -> Changes:
        with ExitStack() as stack:
            image, *layers = (self._open(path, stack) for path in (self.image, self.new, self.old))
            return changes.read(layers, image, root_uid)

    def found(self) -> dict[str, str]:
        """What has become of each file."""
        read = self.read()
        assert not read.is_cut
        return {path: change.what for path, change in read.files.items()}

    def _open(self, path: Path, stack: ExitStack) -> int:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, fd)
        return fd


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    return Trees(tmp_path)


@pytest.fixture(autouse=True)
def no_descriptor_left() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


def make(path: Path, text: str = "", mode: int = 0o644, seconds: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    os.utime(path, (seconds, seconds))


def whiteout(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
    except PermissionError:
        pytest.skip("before Linux 5.8 only root can make a whiteout")


def opaque(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    try:
        os.setxattr(path, "trusted.overlay.opaque", b"y")
    except OSError:
        pytest.skip("only root can make a directory opaque, where the file system has extended attributes")


def test_nothing(trees: Trees) -> None:
    make(trees.image / "etc/passwd", "root")
    assert trees.read() == Changes({})


def test_what_is_told_of_a_file(trees: Trees) -> None:
    make(trees.new / "a", "text", 0o4750, seconds=3)
    (trees.new / "link").symlink_to("/etc/passwd")
    files = trees.read().files
    assert files["/a"] == Change("added", "file", 0o4750, *_OWN, 4, 3_000_000_000)
    assert (files["/link"].kind, files["/link"].target) == ("link", "/etc/passwd")


def test_owners_are_as_the_guest_counts(trees: Trees) -> None:
    make(trees.new / "a")
    make(trees.image / "gone")
    whiteout(trees.new / "gone")
    files = trees.read(root_uid=_OWN[0] - 5).files
    assert files["/a"].uid == 5
    assert files["/gone"].uid == _OWN[0]  # the image's own


@pytest.mark.parametrize("make_it", [os.mkfifo, os.mkdir, lambda path: Path(path).symlink_to("x")])
def test_kinds_are_not_opened(make_it: Callable[[str], None], trees: Trees) -> None:
    make_it(str(trees.new / "odd"))
    make(trees.image / "odd", "text")
    assert trees.found() == {"/odd": "changed"}
    (trees.image / "odd").unlink()
    make_it(str(trees.image / "odd"))
    assert trees.found() == {}


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (("one", 0o644, 1), ("one", 0o644, 1), True),
        (("one", 0o644, 1), ("one", 0o644, 2), True),  # written again
        (("one", 0o644, 1), ("two", 0o644, 1), False),
        (("one", 0o644, 1), ("three", 0o644, 1), False),
        (("one", 0o644, 1), ("one", 0o600, 1), False),
    ],
)
def test_files_that_the_image_has(
    before: tuple[str, int, int], after: tuple[str, int, int], same: bool, trees: Trees
) -> None:
    make(trees.image / "etc/file", *before)
    make(trees.new / "etc/file", *after)
    assert trees.found() == ({} if same else {"/etc/file": "changed"})


def test_files_are_compared_within_a_bound(trees: Trees, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_COMPARED", 5)
    for name in ("a", "b"):
        make(trees.image / name, "same")
        make(trees.new / name, "same", seconds=2)
    assert len(trees.found()) == 1


def test_directories(trees: Trees) -> None:
    """One that the image has is in a layer for the sake of what is in it."""
    make(trees.image / "etc/one")
    make(trees.new / "etc/two")
    (trees.image / "mode").mkdir(mode=0o755)
    (trees.new / "mode").mkdir(mode=0o700)
    make(trees.new / "new/file")
    assert trees.found() == {"/etc/two": "added", "/mode": "changed", "/new": "added", "/new/file": "added"}


def test_removed(trees: Trees) -> None:
    make(trees.image / "etc/file", "text", 0o640)
    make(trees.image / "dir/file")
    whiteout(trees.new / "etc/file")
    whiteout(trees.new / "dir")
    whiteout(trees.new / "of-another-layer")
    make(trees.old / "of-another-layer")
    assert trees.found() == {"/etc/file": "removed", "/dir": "removed"}
    gone = trees.read().files["/etc/file"]
    assert (gone.kind, gone.mode, gone.size) == ("file", 0o640, 4)


def test_removed_and_made_again(trees: Trees) -> None:
    for name in ("dir/gone", "dir/same", "dir/other", "dir/sub/gone", "dir/sub/same", "dir/left/file"):
        make(trees.image / name, "1")
    opaque(trees.new / "dir")
    make(trees.new / "dir/same", "1")
    make(trees.new / "dir/other", "2")
    make(trees.new / "dir/sub/same", "1")
    assert trees.found() == {
        "/dir/gone": "removed", "/dir/other": "changed", "/dir/sub/gone": "removed", "/dir/left": "removed",
    }  # fmt: skip


def test_layers_are_one(trees: Trees) -> None:
    make(trees.image / "etc/file", "0")
    make(trees.old / "etc/file", "1")
    make(trees.new / "etc/file", "0")  # as it was
    make(trees.old / "both", "long")
    make(trees.new / "both", "new")
    make(trees.old / "etc/old")
    make(trees.new / "etc/new")
    make(trees.image / "back", "0")
    whiteout(trees.old / "back")
    make(trees.new / "back", "0")
    assert trees.found() == {"/both": "added", "/etc/old": "added", "/etc/new": "added"}
    assert trees.read().files["/both"].size == 3


def test_layer_that_hides_another(trees: Trees) -> None:
    make(trees.image / "dir/image")
    make(trees.old / "dir/old")
    opaque(trees.new / "dir")
    make(trees.new / "dir/new")
    assert trees.found() == {"/dir/new": "added", "/dir/image": "removed"}


def test_directory_over_what_was_removed_in_another_layer(trees: Trees) -> None:
    make(trees.image / "dir/image")
    whiteout(trees.old / "dir")
    make(trees.new / "dir/new")
    assert trees.found() == {"/dir/new": "added", "/dir/image": "removed"}


def test_file_in_place_of_a_directory_and_back(trees: Trees) -> None:
    make(trees.image / "a/file")
    make(trees.new / "a")
    make(trees.image / "b")
    make(trees.new / "b/file")
    assert trees.found() == {"/a": "changed", "/b": "changed", "/b/file": "added"}


def test_image_without_the_directory_that_a_link_of_it_names(trees: Trees, tmp_path: Path) -> None:
    """A link of the image is not followed, wherever it leads on this host."""
    make(tmp_path / "outside/file", "host")
    (trees.image / "dir").symlink_to(tmp_path / "outside")
    make(trees.new / "dir/file", "host")
    assert trees.found() == {"/dir": "changed", "/dir/file": "added"}


def test_hostile_names(trees: Trees) -> None:
    names = [b"line\nbreak", b"\xff\xfe", b"-rf", b"\x1b[31m", b" "]
    for name in names:
        (trees.new / os.fsdecode(name)).touch()
    assert sorted(map(os.fsencode, trees.read().files)) == sorted(b"/" + name for name in names)


def test_more_than_is_looked_at(trees: Trees, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_MOST", 10)
    for number in range(11):
        (trees.new / str(number)).touch()
    read = trees.read()
    assert read.is_cut
    assert len(read.files) <= 10


def _deep(path: Path, levels: int) -> None:
    here = os.open(path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        there = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = there
    os.close(here)


@pytest.mark.parametrize(("levels", "is_cut"), [(100, False), (101, True), (1200, True)])
def test_depth(levels: int, is_cut: bool, trees: Trees) -> None:
    try:
        _deep(trees.new, levels)
        read = trees.read()
    finally:  # too deep for pytest
        subprocess.run(["rm", "-rf", trees.new], check=True)
    assert (read.is_cut, len(read.files)) == (is_cut, min(levels, 101))


def test_what_vanishes_meanwhile(trees: Trees, monkeypatch: pytest.MonkeyPatch) -> None:
    make(trees.new / "a")
    make(trees.new / "b")
    names: Callable[[changes._Reader, Sequence[int]], dict[str, list[int]]] = changes._Reader._names

    def then_gone(reader: changes._Reader, layers: Sequence[int]) -> dict[str, list[int]]:
        found = names(reader, layers)
        (trees.new / "a").unlink()
        return found

    monkeypatch.setattr(changes._Reader, "_names", then_gone)
    assert trees.found() == {"/b": "added"}
