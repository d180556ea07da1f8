"""Files copied between a VM and the host: the guest's scripts, run on this host."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from postroj.cli import vmcopy
from postroj.errors import HostError, PostrojError
from postroj.vm import files


class _Here:
    """A connection to this host."""

    def argv(self, words: Sequence[str]) -> list[str]:
        return list(words)


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
