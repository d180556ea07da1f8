"""What is kept of a machine: what cannot be written, or is too long, is told, and breaks nothing off."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import Signals
from typing import IO

import pytest

from postroj.contract import Changes
from postroj.deadline import Deadline
from postroj.errors import HostError, MachineLostError, UsageError
from postroj.events import Event, Warn, subscribed
from postroj.harness import artifacts
from postroj.harness.artifacts import Artifacts
from postroj.harness.job import Job
from postroj.harness.request import Request

from .fakes import FakeMachine

OWN = ["report.txt", "report.json", "journal.txt", "units.txt", "journal/01-install.txt", "journal/03-check-2.txt",
       "units/a.service.txt", "units/a.service.status.txt", "units/a_b.socket.properties.txt", "changes.txt",
       "package-manager/dnf5.log", "package-manager/history", "coredumps/core.sh.0.1.2.lz4",
       "try-2/journal/01-install.txt"]  # fmt: skip
OTHERS = ["mine.txt", "journal/mine", "units/readme.txt", "debian-12/journal.txt", "try-x/journal.txt", "report.xml"]


def test_what_an_earlier_run_has_kept_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/01-install.txt").touch()
    place = tmp_path / "place"
    for name in (*OWN, *OTHERS, "coredumps/mine/core.x"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).touch()
    (place / "try-3").symlink_to(tmp_path / "outside")
    artifacts.clear(str(place))
    left = {str(path.relative_to(place)) for path in place.rglob("*") if not path.is_dir()}
    assert left == {*OTHERS, "coredumps/mine/core.x"}
    assert not (place / "package-manager").exists() and not (place / "try-2").exists()
    assert (tmp_path / "outside/01-install.txt").exists()
    artifacts.clear(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("name", ["file", "file/below/it", "broken", "fifo"])
def test_what_can_be_no_directory(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "broken").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match=f"names no directory: {tmp_path}/{name.split('/')[0]} is none"):
        artifacts.prepare(str(tmp_path / name))
    artifacts.check(str(tmp_path / "new/below/it"))
    assert not (tmp_path / "new").exists()


class _Ended:
    def wait(self, deadline: Deadline) -> int:
        return 0

    def send_signal(self, signum: Signals | int) -> None:
        pass


class _Printing(FakeMachine):
    """A machine each of whose commands prints the same."""

    def __init__(self, printed: bytes | Exception) -> None:
        super().__init__()
        self._printed = printed

    @contextmanager
    def popen(
        self,
        argv: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        deadline: Deadline,
        env: Mapping[str, str] | None = None,
    ) -> Iterator[_Ended]:
        assert stdout is not None
        if isinstance(self._printed, Exception):
            raise self._printed
        with open(stdout, "wb", closefd=False, buffering=0) as stream:
            _write(stream, self._printed)
        yield _Ended()


def _write(stream: IO[bytes], data: bytes) -> None:
    try:
        while data:
            data = data[stream.write(data) :]
    except BrokenPipeError:  # no more is wanted
        pass


def collected(directory: Path, machine: FakeMachine) -> list[str]:
    """Collect the artifacts of a phase, and return the warnings."""
    job = Job(
        Request("fake"), machine, packages=(), units=["web.service"], addresses=[], checks={}, deadline=Deadline(60)
    )
    job.begin_phase("check", goes_on=False)
    heard: list[Event] = []
    with subscribed(heard.append):
        kept = Artifacts(artifacts.prepare(str(directory)))
        kept.end_phase(job)
        kept.collect(job)
    return [event.text for event in heard if isinstance(event, Warn)]


def test_each_has_what_was_printed(tmp_path: Path) -> None:
    assert collected(tmp_path, _Printing(b"a line\n")) == []
    for name in ("journal.txt", "journal/01-check.txt", "units.txt", "units/web.service.status.txt"):
        assert (tmp_path / name).read_text() == "a line\n"
    assert (tmp_path / "changes.txt").read_text() == ""


@pytest.mark.parametrize("printed", [b"a line\n", b"x" * 1_000_000])
def test_where_the_disk_is_full_no_empty_file_is_left(tmp_path: Path, printed: bytes) -> None:
    (tmp_path / "journal").mkdir()
    for name in ("journal/01-check.txt", "units.txt", "processes.txt"):
        os.symlink("/dev/full", tmp_path / name)
    (told,) = collected(tmp_path, _Printing(printed))
    assert told == "the artifacts lack " + "; ".join(
        f"{name}: No space left on device" for name in ("journal/01-check.txt", "units.txt", "processes.txt")
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["changes.txt", "journal", "sockets.txt", "units"]


def test_what_is_too_long_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "_MOST", 1 << 20)
    (told,) = collected(tmp_path, _Printing(b"x" * (3 << 20)))
    assert told.startswith("the artifacts lack the end of journal/01-check.txt, which has more than 1 MiB; the end of ")
    assert told.count("the end of") == 5 and " more" not in told.replace("more than", "")
    assert (tmp_path / "units.txt").stat().st_size == 1 << 20


def test_all_of_them_together_have_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "_MOST_OF_ALL", 3 << 20)
    monkeypatch.setattr(artifacts, "_UNITS", 0)
    (told,) = collected(tmp_path, _Printing(b"x" * (1 << 20) + b"\n"))
    assert told.startswith(
        "the artifacts lack 1 more units; the end of units.txt, as all of them have more than 3 MiB; "
    )
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) == 3 << 20


def test_of_a_machine_that_is_gone_nothing_is_left(tmp_path: Path) -> None:
    (told,) = collected(tmp_path, _Printing(MachineLostError("gone")))
    assert told == "the artifacts lack all else, as the machine is gone"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_cannot_be_asked_for_breaks_nothing_off(tmp_path: Path) -> None:
    class Unchanged(_Printing):
        def changes(self) -> Changes:
            raise HostError("it does not tell")

    assert collected(tmp_path, Unchanged(b"x")) == ["the artifacts lack all else: it does not tell"]
    assert (tmp_path / "units.txt").exists()
