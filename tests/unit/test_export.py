"""A file that gets its name when it is whole; also where the file system has no unnamed files."""

import os
import threading
from pathlib import Path

import pytest

from postroj import events
from postroj.errors import HostError
from postroj.image.progress import report
from postroj.replacing import replacing


@pytest.fixture(params=["unnamed", "named"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether there is O_TMPFILE; without that flag open(2) says what it says on file systems that lack it."""
    if request.param == "named":
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)
    return str(request.param)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("before", ["", "before"])
def test_a_whole_file_gets_its_name(tmp_path: Path, kind: str, before: str) -> None:
    path = tmp_path / "x.tar"
    if before:
        path.write_text(before)
    with replacing(str(path)) as fd:
        os.write(fd, b"whole")
        assert names(tmp_path) == (["x.tar"] if before else []) + (["x.tar.part"] if kind == "named" else [])
        assert not before or path.read_text() == before
    assert (names(tmp_path), path.read_text()) == (["x.tar"], "whole")


def test_a_failure_leaves_what_was_there(tmp_path: Path, kind: str) -> None:
    (tmp_path / "x.tar").write_text("before")
    with pytest.raises(KeyboardInterrupt), replacing(str(tmp_path / "x.tar")) as fd:
        os.write(fd, b"half")
        raise KeyboardInterrupt
    assert (names(tmp_path), (tmp_path / "x.tar").read_text()) == (["x.tar"], "before")


def test_what_a_killed_export_has_left_is_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)
    (tmp_path / "x.tar.part").write_text("a longer one that was left")
    with replacing(str(tmp_path / "x.tar")) as fd:
        with pytest.raises(HostError, match="another postroj writes"), replacing(str(tmp_path / "x.tar")):
            pytest.fail("two write the same file")
        os.write(fd, b"whole")
    assert (names(tmp_path), (tmp_path / "x.tar").read_text()) == (["x.tar"], "whole")


def test_the_bytes_so_far_are_told() -> None:
    told, heard = list[int](), threading.Event()

    def hear(event: events.Event) -> None:
        if isinstance(event, events.Transfer):
            told.append(event.done)
            heard.set()

    with events.subscribed(hear), report(lambda: 42, "x"):
        assert heard.wait(30)
    assert set(told) == {42}
