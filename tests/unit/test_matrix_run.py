"""How cells are run, apart from what they do: signals at any moment, executors that fail, what a process sees."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from postroj.errors import HostError, MissingToolError, UsageError
from postroj.events import Warn, subscribed
from postroj.image import vmimage
from postroj.image.vmimage import VmImage
from postroj.matrix import carried, executors, job, pulls, tasks
from postroj.matrix.job import Done, Job, Running, run
from postroj.matrix.logs import Logs
from postroj.matrix.outcome import Outcome, Summary, Verdict, of
from postroj.matrix.reports import FORMATS
from postroj.matrix.room import Room
from postroj.matrix.run import FAILED_FAST, INTERRUPTED, Matrix, Settings, Task
from postroj.package.reference import Package
from postroj.plan.cells import Cell, Cells
from postroj.plan.file import read
from postroj.plan.images import Image
from postroj.plan.model import Plan
from postroj.plan.packages import Entry
from postroj.report import render
from postroj.vm import warm
from postroj.vm.box import Box

from .results import RESULTS
from .trees import pulled


def _task(name: str, image: str = "image") -> Task:
    cell = Cell(Image(image, image), Entry(name, (Package(name, "", ""),)))
    return Task(cell, Job(cell.name, ["--version"], 60))


class Signalling:
    """A listener that sends us a signal when something happens."""

    def __init__(self, moment: str) -> None:
        self._moment = moment

    def pulling(self, image: str, line: str) -> None: ...

    def started(self, cell: Cell) -> None:
        self._at("started")

    def doing(self, cell: Cell, line: str) -> None: ...

    def ended(self, outcome: Outcome, *, again: bool) -> None:
        self._at("ended")

    def _at(self, moment: str) -> None:
        if moment == self._moment:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("moment", ["started", "ended"])
def test_a_signal_in_the_middle_of_the_work_loses_no_cell(moment: str) -> None:
    with ThreadPoolExecutor(1) as executor:
        matrix = Matrix([_task("a"), _task("b"), _task("c")], executor, Settings(1, is_remote=True), Signalling(moment))
        outcomes = matrix.run()
    assert matrix.signal == signal.SIGINT
    assert [one.cell.entry.name for one in outcomes] == ["a", "b", "c"]
    assert {(one.verdict, one.reason) for one in outcomes[1:]} == {(Verdict.NOT_RUN, INTERRUPTED)}


class Asked(Room):
    """Room for some cells, whatever this host does."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.asked = 0

    def has_one(self, running: int) -> bool:
        self.asked += 1
        return running < 3


def test_cells_that_wait_take_no_slot() -> None:
    """Three of four run at the same time, though there is one slot; and no fourth."""
    together = threading.Barrier(3)
    most: list[int] = []

    def wait() -> Done:
        together.wait(60)
        return Done("cell", 0, b"", "", 0, 0)

    class Waiting(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
            return super().submit(wait)

    room, names = Asked(3), ["a", "b", "c", "d", "e", "f"]

    class Counting(Signalling):
        def started(self, cell: Cell) -> None:
            most.append(1)

        def ended(self, outcome: Outcome, *, again: bool) -> None:
            assert sum(most) <= 3, "more run than there is room for"
            most.append(-1)

    with Waiting(6) as executor:
        outcomes = Matrix(
            [_task(name) for name in names], executor, Settings(1, room, is_remote=True), Counting("")
        ).run()
    assert len(outcomes) == 6 and not together.broken and room.asked


@pytest.mark.parametrize(
    ("idle", "free", "running", "has"),
    [(100, 600, 4, True), (100, 600, 5, False), (100, 500, 4, False), (5, 600, 4, False)],
)
def test_room_for_one_more(
    idle: int, free: int, running: int, has: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five are the most; processors have to be idle, and memory has to be free."""
    clock = iter([0.0, 0.1, 1.0, 1.0, 1.0])
    monkeypatch.setattr("postroj.matrix.room.time.monotonic", lambda: next(clock))
    (tmp_path / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable: {free << 10} kB\n")
    (tmp_path / "stat").write_text("cpu  10 0 10 100 5 0 0 0 0 0\ncpu0 1\n")
    room = Room(5, proc=str(tmp_path))
    assert not room.has_one(min(running, 4)), "it looks for too short a time"
    (tmp_path / "stat").write_text(f"cpu  {110 - idle} 0 10 {100 + idle} 5 0 0 0 0 0\ncpu0 1\n")
    assert room.has_one(running) is has


class Failing(Executor):
    """An executor of which no cell comes back."""

    def __init__(self, fail: Callable[[Future[Any]], object]) -> None:
        self._fail = fail

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._fail(future)
        return future


@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        (lambda future: future.cancel(), "its executor has cancelled it: "),
        (lambda future: future.set_exception(RuntimeError("two\nlines")), "its worker failed: RuntimeError: two lines"),
        (lambda future: future.set_exception(MissingToolError("setpriv is missing")), "setpriv is missing"),
        (lambda future: future.set_result("nonsense"), "its worker failed: AttributeError: "),
        (lambda future: 1 / 0, "its worker failed: ZeroDivisionError: "),  # it takes no more cells
    ],
)
def test_what_an_executor_fails_at_is_the_error_of_a_cell(fail: Callable[[Future[Any]], object], reason: str) -> None:
    (outcome,) = Matrix([_task("a")], Failing(fail), Settings(1, is_remote=True), Signalling("")).run()
    assert outcome.verdict is Verdict.UNKNOWN
    assert outcome.reason.startswith(reason) and "\n" not in outcome.reason


def test_an_image_that_cannot_be_pulled_is_a_failure_that_ends_it() -> None:
    tasks = [_task("a", "no-such-image"), _task("b", "nor-this-one")]
    with ThreadPoolExecutor(1) as executor:
        first, second = Matrix(tasks, executor, Settings(1, fail_fast=True), Signalling("")).run()
    assert first.verdict is Verdict.UNKNOWN and "no-such-image" in first.reason
    assert (second.verdict, second.reason) == (Verdict.NOT_RUN, FAILED_FAST)


def test_a_cell_that_had_failed_before_it_was_told_to_end_has_failed() -> None:
    told = HostError("interrupted")
    results = [RESULTS["failed"], RESULTS["failed"]._replace(error=told), RESULTS["passed"]._replace(error=told)]
    reports = iter([render(result, "json").encode() for result in results])

    def end(future: Future[Any]) -> None:
        future.set_result(Done("cell", 1, next(reports), "", 0.0, 0.0))

    tasks = [_task(name) for name in ("a", "b", "c")]
    outcomes = Matrix(tasks, Failing(end), Settings(3, is_remote=True, fail_fast=True), Signalling("")).run()
    reason = RESULTS["failed"].reason
    assert [(one.verdict, one.reason) for one in outcomes] == [
        (Verdict.FAILED, reason), (Verdict.FAILED, reason), (Verdict.NOT_RUN, FAILED_FAST),
    ]  # fmt: skip


def test_a_cell_that_has_passed_and_could_not_write_its_artifacts_has_no_verdict() -> None:
    report = render(RESULTS["passed"], "json").encode()
    done = Done("cell", 3, report, "postroj: the report x cannot be written: No space left on device", 0.0, 0.0)
    found = of(_task("a").cell, done, tries=1, allowed="")
    assert (found.verdict, found.reason) == (Verdict.UNKNOWN, "the report x cannot be written: No space left on device")
    assert of(_task("a").cell, done._replace(status=0), tries=1, allowed="").verdict is Verdict.PASSED


def test_each_try_has_logs_of_its_own() -> None:
    jobs: list[Job] = []

    class Killed(Executor):
        def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
            jobs.append(args[1])
            future: Future[Any] = Future()
            future.set_result(Done("a", -9, b"", "", 0.0, 0.0))
            return future

    task = _task("a")._replace(artifacts="logs/image/a")
    (outcome,) = Matrix([task], Killed(), Settings(1, is_remote=True, retries=2), Signalling("")).run()
    assert outcome.tries == 3
    assert [job.command[-1] for job in jobs] == [f"--artifacts=logs/image/a{part}" for part in ("", "/try-2", "/try-3")]


def test_what_a_host_says_of_logs_is_bounded() -> None:
    told: list[str] = []
    done = Done("a", -9, b"", "", 0.0, 0.0, logs=Logs(lacking="\x1b\n" * 10**6))
    executor = Failing(lambda future: future.set_result(done))
    with subscribed(lambda event: told.append(event.text) if isinstance(event, Warn) else None):
        Matrix([_task("a")], executor, Settings(1, is_remote=True), Signalling("")).run()
    assert len(told) == 1 and len(told[0]) < 2000 and told[0].isprintable()


class Stubborn:
    """A process that does not end by SIGTERM."""

    def __init__(self) -> None:
        self.told: SimpleQueue[int] = SimpleQueue()

    def send_signal(self, signum: int) -> None:
        self.told.put(signum)


def test_a_second_signal_kills_a_pull_that_is_all_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt: list[Callable[[int], None]] = []

    def told_of(handler: Callable[[int], None]) -> AbstractContextManager[None]:
        interrupt.append(handler)
        return nullcontext()

    def pull(reference: str, tell: object, running: Running, *, offline: bool) -> str:
        running.add(process := Stubborn())  # type: ignore[arg-type]
        for expected in (signal.SIGTERM, signal.SIGKILL):
            interrupt[0](signal.SIGINT)
            assert process.told.get() == expected
        return "killed"

    monkeypatch.setattr("postroj.matrix.run.told_of", told_of)
    monkeypatch.setattr(pulls, "_pull", pull)
    matrix = Matrix([_task("a")], Failing(print), Settings(1), Signalling(""))
    (outcome,) = matrix.run()
    assert (matrix.signal, outcome.verdict) == (signal.SIGINT, Verdict.NOT_RUN)


def test_why_an_image_cannot_be_pulled_is_in_the_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    said = (
        "forky: bootstrapping\npostroj: forky cannot be pulled: no way\n  | Err:1 forky\n  |   refused\n  see its log"
    )
    monkeypatch.setattr(pulls, "run", lambda job, *_: Done(job.cell, 3, b"", said, 0.0, 0.0))
    (outcome,) = Matrix([_task("a", "forky")], Failing(print), Settings(1), Signalling("")).run()
    assert (outcome.verdict, outcome.reason) == (Verdict.UNKNOWN, "forky cannot be pulled: no way")
    assert outcome.errors == "Err:1 forky\n  refused\nsee its log"
    reports = {name: FORMATS[name](Summary([outcome], 1.0, 0.0)) for name in FORMATS}
    assert {name for name, text in reports.items() if "Err:1 forky" in text} == {*FORMATS}


@pytest.mark.parametrize(("fails", "pulls_made", "is_there"), [(0, 1, True), (2, 3, True), (9, 3, False)])
def test_a_pull_that_fails_is_tried_again(
    fails: int, pulls_made: int, is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses: list[int] = []

    def pull(job: Job, *_: object) -> Done:
        statuses.append(1 if len(statuses) < fails else 0)
        return Done(job.cell, statuses[-1], b"", "postroj: not now", 0.0, 0.0)

    monkeypatch.setattr(pulls, "run", pull)
    settings = Settings(1, retries=2)
    (outcome,) = Matrix([_task("a", "forky")], Failing(Future.cancel), settings, Signalling("")).run()
    assert len(statuses) == pulls_made
    assert (outcome.tries > 0) is is_there


def test_images_that_are_here_wait_for_none_that_is_pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state/images").mkdir(parents=True)
    (tmp_path / "state/images/here").symlink_to("tree")
    asked: list[str] = []

    def pull(reference: str, *args: object, **more: object) -> str:
        asked.append(reference)
        return "not now"

    monkeypatch.setattr(pulls, "_pull", pull)
    tasks = [_task(f"a{number}", image) for number, image in enumerate(("far", "here", "farther", "here"))]
    Matrix(tasks, Failing(print), Settings(1), Signalling("")).run()
    assert asked == ["here", "far", "farther"]


def test_an_image_that_is_here_is_not_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the directory that it was made from is gone."""
    pulled("mine", reference="/no/such/directory", stamp="as it was")
    monkeypatch.setattr(pulls, "_pull", lambda *args, **more: pytest.fail("it is pulled"))
    outcomes = Matrix([_task("a", "mine")], Failing(Future.cancel), Settings(1), Signalling("")).run()
    assert [one.tries for one in outcomes] == [1]


def test_a_cell_imports_nothing_from_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "postroj.py").write_text("print('taken from here')")
    monkeypatch.chdir(tmp_path)
    done = run(Job("cell", ["--version"], 60))
    assert (done.status, done.output[:8]) == (0, b"postroj ")


def test_files_are_where_the_job_comes_from(tmp_path: Path) -> None:
    """What is told of them has the paths that they have there; relative ones are found as well."""
    place = tmp_path / "not-here"
    files = {f"{place}/one.toml": b"nonsense = 1", f"{place}/two.toml": b"nonsense = 2"}
    for word in (f"marker{place}/one.toml", "./two.toml"):
        done = run(Job("cell", ["test", f"--plan={word}", "--list"], 60, files, str(place), "marker"))
        assert done.status == 2 and "nonsense" in done.errors, done
        assert word.removeprefix("marker") in done.errors and "/jobs/" not in done.errors, done
    assert not place.exists() and not list((tmp_path / "state/jobs").iterdir())


def test_what_a_killed_worker_has_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """What a living process has is locked."""
    (left := tmp_path / "state/jobs/left/etc").mkdir(parents=True)
    with carried.placed({"/etc/one": b"1"}) as one, carried.placed({"/etc/two": b"2"}) as two:
        assert not left.exists()
        assert Path(one, "etc/one").read_bytes() + Path(two, "etc/two").read_bytes() == b"12"
    assert not list((tmp_path / "state/jobs").iterdir())


def test_a_process_that_begins_too_late_is_told_to_end_as_well() -> None:
    running = Running()
    running.end()
    assert run(Job("cell", ["completion", "bash"], 60), None, running).status != 0


def test_a_process_that_it_has_left_does_not_keep_a_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the cell's standard error open, and does not end."""
    (program := tmp_path / "python").write_text("#!/bin/sh\nsleep 61616 &\necho $! >left\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(job, "_REST_SECONDS", 0.1)
    try:
        done = run(Job("cell", ["--version"], 60))
    finally:
        os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)
    assert done.status == 3


def test_dask_is_imported_only_if_it_is_asked_for() -> None:
    script = "import postroj.cli.test, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"distributed", "dask", "postroj.matrix.cluster"} & set(json.loads(done.stdout))


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "postroj.matrix.cluster", raising=False)
    with pytest.raises(MissingToolError, match="Dask is not installed") as caught, executors.opened("dask://h:1", 1):
        pass
    assert caught.value.hint == "pip install 'postroj[dask]'"


def test_an_executor_that_is_not_known() -> None:
    for address in ("ssh://x", "dask://"):
        with pytest.raises(UsageError, match=f"'{address}' is not an executor"):
            executors.check(address)


def test_the_memory_of_cells() -> None:
    """A VM takes more than a container, and the largest of them counts."""
    container = _task("a", "debian-bookworm")
    vm, windows = container._replace(is_vm=True), _task("c", "windows-2022")._replace(is_vm=True)
    found = [tasks.memory(some) >> 20 for some in ([], [container], [container, vm], [vm, windows, container])]
    assert found == [512, 512, 1024, 4096]


def test_a_vm_of_a_box_needs_no_image_of_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulls, "_pull", lambda *args, **more: pytest.fail("it is pulled"))
    outcomes = Matrix(
        [_task("a")._replace(needs_image=False)], Failing(Future.cancel), Settings(1), Signalling("")
    ).run()
    assert [one.tries for one in outcomes] == [1]


def test_what_this_host_cannot_run_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is asked once for each image, and cells in containers are not asked for."""
    asked = []

    def check_host(provider: str) -> None:
        asked.append(provider)
        raise HostError("there is no libvirt", hint="start it")

    monkeypatch.setattr(warm, "check_host", check_host)
    monkeypatch.setattr(vmimage, "find", lambda *args, **more: VmImage("image", Box("image", "a/b", "libvirt")))
    (tmp_path / "postroj.toml").write_text("vm = true\n")
    plan = Cells(read(str(tmp_path / "postroj.toml")), Plan())
    vm = _task("a")._replace(is_vm=True)
    todo = tasks.on_this_host([vm, vm._replace(allowed="known"), _task("b")._replace(is_vm=False)], plan)
    assert asked == ["libvirt"] and [one.needs_image for one in todo] == [False, False, True]
    assert [one.lacking for one in todo] == ["there is no libvirt\nstart it"] * 2 + [""]
    monkeypatch.setattr(pulls, "_pull", lambda *args, **more: "there is no image")
    first, _, last = Matrix(
        [todo[0], todo[1]._replace(cell=_task("c").cell), todo[2]], Failing(print), Settings(1), Signalling("")
    ).run()
    assert (first.verdict, first.reason, first.errors, first.tries) == (
        Verdict.UNKNOWN,
        "there is no libvirt",
        "start it",
        0,
    )
    assert last.reason == "there is no image"
