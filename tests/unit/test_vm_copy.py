"""Files copied between a VM and the host: the guest's scripts, run on this host."""

import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import pytest

from postroj.cli import cp, vmcopy
from postroj.errors import HostError, PostrojError
from postroj.vm import files


class _Here:
    """A connection to this host."""

    def __init__(self, first: str = "") -> None:
        self._first = first

    def argv(self, words: Sequence[str]) -> list[str]:
        """Return a command line that has something done before."""
        return ["sh", "-c", f'{self._first}\nexec "$@"', "sh", *words] if self._first else list(words)


class _Vm:
    """A VM that is this host."""

    def pack(self, path: str, take: Any) -> None:
        files.pack(_Here(), path, take)  # type: ignore[arg-type]

    def is_inside(self, path: str, *, is_directory: bool) -> bool:
        return files.is_inside(_Here(), path, is_directory=is_directory)  # type: ignore[arg-type]

    def unpack(self, directory: str, give: Any) -> None:
        files.unpack(_Here(), directory, give)  # type: ignore[arg-type]


_VM: Any = _Vm()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    top = tmp_path / "it's $HOME"
    (top / "sub").mkdir(parents=True)
    (top / "sub/file").write_text("one\n")
    (top / "sub/file").chmod(0o750)
    (top / "link").symlink_to("sub/file")
    return top


def _list(top: Path) -> list[str]:
    return sorted(str(path.relative_to(top)) for path in top.rglob("*"))


@pytest.mark.parametrize(
    ("text", "machine", "path"),
    [
        ("box:/etc", "box", "/etc"),
        ("box:etc", "box", "/etc"),
        ("debian-12.5-vm-1:/a:b", "debian-12.5-vm-1", "/a:b"),
        ("./box:/etc", "", "./box:/etc"),
        ("Box:/etc", "", "Box:/etc"),
        ("-", "", "-"),
    ],
)
def test_what_is_in_a_machine(text: str, machine: str, path: str) -> None:
    """The name of a VM may have dots: it is called after its box's file."""
    assert cp._place(text) == (machine, path)


@pytest.mark.parametrize("copy", [vmcopy.out, vmcopy.into])
def test_copies(copy: Any, source: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    copy(_VM, str(source), str(there))  # into a directory that is there
    assert _list(there) == [source.name, *(f"{source.name}/{name}" for name in ("link", "sub", "sub/file"))]
    copy(_VM, str(source), str(tmp_path / "new"))  # under a new name
    assert _list(tmp_path / "new") == ["link", "sub", "sub/file"]
    assert os.readlink(tmp_path / "new/link") == "sub/file"
    copy(_VM, f"{source}/.", str(there))  # what is in it
    assert "sub/file" in _list(there)
    copy(_VM, f"{source}/sub/file", str(there))
    assert (there / "file").read_text() == "one\n" and (there / "file").stat().st_mode & 0o777 == 0o750
    copy(_VM, f"{source}/link", str(tmp_path / "new/sub/file"))  # over a file; the link is followed
    assert (tmp_path / "new/sub/file").read_text() == "one\n"
    copy(_VM, f"{source}/link", str(tmp_path / "-name"))
    assert not (tmp_path / "-name").is_symlink()


@pytest.mark.parametrize("copy", [vmcopy.out, vmcopy.into])
@pytest.mark.parametrize(
    ("path", "where"),
    [("nothing", "."), ("sub", "sub/file"), ("sub/file", "nowhere/x"), ("sub/file", "new/"), ("/dev/null", ".")],
)
def test_what_cannot_be_copied(copy: Any, path: str, where: str, source: Path) -> None:
    before = _list(source)
    with pytest.raises((files.Refused, PostrojError, OSError)):
        copy(_VM, os.path.join(source, path), os.path.join(source, where))
    assert _list(source) == before


def test_a_reason_is_that_of_the_guest(source: Path) -> None:
    with pytest.raises(files.Refused, match="No such file or directory"):
        vmcopy.out(_VM, f"{source}/nothing", str(source))
    assert not issubclass(files.Refused, HostError)


def test_a_tree_is_given_without_some_files(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "root").mkdir()
    monkeypatch.setattr(files, "_UNPACK", files._UNPACK.replace("--directory=/", f"--directory={tmp_path}/root"))
    files.push_tree(_Here(), str(source), without=["sub/file"])  # type: ignore[arg-type]
    assert _list(tmp_path / "root") == ["link", "sub"]


_MANY_ERRORS = "head -c 1000000 /dev/zero | tr '\\0' x >&2"


def test_errors_do_not_hold_up_a_command(tmp_path: Path) -> None:
    """What a guest's program says is read as it comes, and no more than a part of it is kept."""
    there: Any = _Here(_MANY_ERRORS)
    taken: list[int] = []
    (tmp_path / "file").write_bytes(b"y" * 5_000_000)
    with (tmp_path / "file").open("rb") as file:
        files.push(there, str(tmp_path / "pushed"), file)
    files.pack(there, str(tmp_path / "pushed"), lambda archive, _: taken.append(len(archive.read())))
    assert taken[0] > 5_000_000
    there = _Here(f"{_MANY_ERRORS}; exit 1")
    with pytest.raises(files.Refused) as caught:
        files.pack(there, "/", lambda archive, _: None)
    assert len(str(caught.value)) <= files._MOST_ERRORS


@pytest.fixture
def tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `tar` that is found first."""
    path = tmp_path / "bin/tar"
    path.parent.mkdir()
    path.touch(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return path


@pytest.mark.parametrize("kind", ["GNU tar", "bsdtar"])
@pytest.mark.parametrize("status", [1, 2])
def test_a_file_that_grows_while_it_is_read(kind: str, status: int, source: Path, tar: Path) -> None:
    """GNU tar says so by its status 1; others say by the same one that they have failed."""
    tar.write_text(f'#!/bin/sh\n[ "$1" != --version ] || exec echo "tar ({kind}) 1"\necho packed\nexit {status}\n')
    here: Any = _Here()
    into = BytesIO()

    def take(archive: IO[bytes], _: bool) -> None:
        into.write(archive.read())

    for copy in (
        lambda: files.pack(here, str(source), take),
        lambda: files.pack(here, str(source / "sub/file"), take),
        lambda: files.pull_tree(here, str(source), into, most=1000),
    ):
        into.truncate(0)
        if (kind, status) == ("GNU tar", 1):
            copy()
            assert into.getvalue().endswith(b"packed\n")
        else:
            with pytest.raises(files.Refused):
                copy()


def test_what_is_out_of_the_ordinary_in_a_guest(tmp_path: Path) -> None:
    """A file of the kernel has no size, holes stay holes, and other file systems are left out."""
    vmcopy.out(_VM, "/proc/version", str(tmp_path / "version"))
    assert (tmp_path / "version").read_text() == Path("/proc/version").read_text()
    (tmp_path / "top").mkdir()
    with open(tmp_path / "top/holes", "wb") as file:
        file.truncate(20 << 20)
    vmcopy.out(_VM, str(tmp_path / "top"), str(tmp_path / "copy"))
    copied = (tmp_path / "copy/holes").stat()
    assert (copied.st_size, copied.st_blocks < 1000) == (20 << 20, True)
    assert "--one-file-system" in files._PACK


@pytest.mark.parametrize("given", [b"garbage\n", b""])
def test_what_is_no_archive(given: bytes, tmp_path: Path) -> None:
    with pytest.raises(files.Refused, match="does not look like a tar archive"):
        _VM.unpack(str(tmp_path), lambda inlet: inlet.write(given))
