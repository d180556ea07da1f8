"""Running cells: as many at once as there are slots, and more while they leave processors idle.

Waiting for an image takes no slot.
"""

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor, Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple, Protocol

from postroj.errors import PostrojError
from postroj.events import Warn, emit
from postroj.image import store
from postroj.interrupts import told_of
from postroj.matrix import pulls
from postroj.matrix.job import Done, Job, Running
from postroj.matrix.job import run as run_job
from postroj.matrix.logs import keep
from postroj.matrix.outcome import Outcome, Verdict, failure, of
from postroj.matrix.room import LOOK_SECONDS, Room
from postroj.plan.cells import Cell
from postroj.report.clean import line

INTERRUPTED = "interrupted"
FAILED_FAST = "another cell has failed, and --fail-fast is given"


class Task(NamedTuple):
    """A cell that is to be run."""

    cell: Cell
    job: Job
    allowed: str = ""
    """Why it may fail; empty if it may not."""
    artifacts: str = ""
    """The directory for its logs; empty for none."""
    is_vm: bool = False
    """Whether its machine is a virtual one."""
    needs_image: bool = True
    """Whether its image has to be here, as one of containers."""
    lacking: str = ""
    """What this host lacks to run it, and below it what else there is to say of that; empty if it lacks nothing."""

    def job_of(self, number: int) -> Job:
        """Return the job of a try, of which the first is 1; each later one has a directory for its own logs."""
        if not self.artifacts:
            return self.job
        directory = self.artifacts if number == 1 else os.path.join(self.artifacts, f"try-{number}")
        if not self.job.marker:
            return self.job._replace(command=[*self.job.command, f"--artifacts={directory}"])
        place = os.path.abspath(directory)
        words = [*self.job.command, f"--artifacts={self.job.marker}{place}"]
        return self.job._replace(command=words, artifacts=place)


class Listener(Protocol):
    """Who is told of what happens; all of it in the thread that runs the matrix."""

    def pulling(self, image: str, line: str) -> None:
        """An image is pulled; `line` is its progress."""

    def started(self, cell: Cell) -> None:
        """A cell has got its slot."""

    def doing(self, cell: Cell, line: str) -> None:
        """A cell tells what it does."""

    def ended(self, outcome: Outcome, *, again: bool) -> None:
        """A cell has ended; `again`: it is tried once more."""


class Settings(NamedTuple):
    """How cells are run."""

    slots: int
    """How many at once, whatever they do."""
    room: Room | None = None
    """What says whether there is room for more; None: there is not."""
    is_remote: bool = False
    """Whether the executor runs them on other hosts: images are pulled there."""
    retries: int = 0
    """How often a cell that has not passed is tried again, and an image that could not be pulled."""
    fail_fast: bool = False
    offline: bool = False


class Matrix:
    """Cells on their way to their outcomes. `executor` is any of concurrent.futures."""

    def __init__(self, tasks: Sequence[Task], executor: Executor, settings: Settings, listener: Listener) -> None:
        self._tasks = {task.cell.name: task for task in tasks}
        self._executor = executor
        self._settings = settings
        self._listener = listener
        self._pending = list(tasks)
        self._ready: set[str] = set()
        """The images that are there, by their references."""
        self._tries: dict[str, int] = {}
        self._running: dict[str, Future[Done]] = {}
        self._is_pulling = False
        self._outcomes: dict[str, Outcome] = {}
        self._processes = Running()
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._why = ""
        """Why no more cells are started; empty while they are."""
        self._signal = 0

    def run(self) -> list[Outcome]:
        """Run all, and return their outcomes in the order of the tasks."""
        pulling = None
        with told_of(lambda signum: self._queue.put(lambda: self._interrupted(signum))):
            try:
                self._leave_out()
                pulling = self._pull()
                self._work()
            except BaseException:
                self._processes.end()
                raise
            finally:
                if pulling:
                    pulling.join()
        return [self._outcomes.get(name) or self._not_run(task) for name, task in self._tasks.items()]

    def _leave_out(self) -> None:
        """Tell of the cells that this host cannot run: each would find that out anew."""
        for task in [one for one in self._pending if one.lacking and not self._why]:
            self._cannot_run(task, task.lacking)

    def _pull(self) -> Thread | None:
        """Begin to pull images, unless that is done where the cells run.

        One that is here by its name is ready, as it is for `pkgprobe`, whatever became of the file it was made from.
        """
        here = set(store.list_names())
        # What is here first: it is damaged, or its directory or file is looked at, which is quick.
        wanted = (task.cell.image for task in self._pending if task.needs_image)
        images = sorted(wanted, key=lambda image: image.name not in here)
        references = list(dict.fromkeys(image.reference for image in images))
        self._ready = {one for one in references if self._settings.is_remote or store.is_sound(one)}
        missing = [one for one in references if one not in self._ready]
        if not missing:
            return None
        self._is_pulling = True
        return pulls.ahead(
            missing, self._told_of_pull, self._pulled, self._pulls_are_over, self._processes,
            retries=self._settings.retries, offline=self._settings.offline,
        )  # fmt: skip

    @property
    def signal(self) -> int:
        """The number of the signal that has ended it early; 0 if none has."""
        return self._signal

    @property
    def why(self) -> str:
        """Why cells were not run; empty if all were."""
        return self._why

    def _work(self) -> None:
        """Start cells, and take what they and pulls tell, until all have ended: signals are told in the same way."""
        self._start()
        while self._running or self._is_pulling or (self._pending and not self._why):
            # Processors that become idle tell nobody.
            looks = self._settings.room and not self._why and any(map(self._is_ready, self._pending))
            with suppress(Empty):
                self._queue.get(timeout=LOOK_SECONDS if looks else None)()
            self._start()

    def _start(self) -> None:
        """Start the next cells whose images are there, if there is room."""
        for task in [one for one in self._pending if self._is_ready(one)]:
            if self._why or not self._has_room():
                return
            self._pending.remove(task)
            self._submit(task)

    def _is_ready(self, task: Task) -> bool:
        return not task.needs_image or task.cell.image.reference in self._ready

    def _has_room(self) -> bool:
        running, room = len(self._running), self._settings.room
        return running < self._settings.slots or bool(room and room.has_one(running))

    def _submit(self, task: Task) -> None:
        name = task.cell.name
        self._tries[name] = self._tries.get(name, 0) + 1
        future = self._running[name] = self._submitted(task)
        self._listener.started(task.cell)
        future.add_done_callback(lambda done: self._queue.put(lambda: self._ended(task, done)))

    def _submitted(self, task: Task) -> "Future[Done]":
        def tell(line: str) -> None:
            self._queue.put(lambda: self._listener.doing(task.cell, line))

        job = task.job_of(self._tries[task.cell.name])
        try:
            if self._settings.is_remote:
                return self._executor.submit(run_job, job)
            return self._executor.submit(run_job, job, tell, self._processes)
        except Exception as error:  # a pool that is broken, a scheduler that is gone
            failed: Future[Done] = Future()
            failed.set_exception(error)
            return failed

    def _ended(self, task: Task, future: "Future[Done]") -> None:
        name = task.cell.name
        del self._running[name]
        outcome = self._outcome(task, future)
        if self._is_to_be_tried_again(outcome):
            self._pending.insert(0, task)
            self._listener.ended(outcome, again=True)
        else:
            self._keep(outcome)

    def _keep(self, outcome: Outcome) -> None:
        """Keep what has come of a cell; with fail_fast it may be the end of all."""
        self._outcomes[outcome.cell.name] = outcome
        self._listener.ended(outcome, again=False)
        if self._settings.fail_fast and outcome.counts and outcome.verdict is not Verdict.PASSED:
            self._end(FAILED_FAST)

    def _outcome(self, task: Task, future: "Future[Done]") -> Outcome:
        tries = self._tries[task.cell.name]
        try:
            return self._judged(task, future.result(), tries)
        except CancelledError:
            if self._why:
                return self._not_run(task)
            what = "its executor has cancelled it: the connection to it is lost, or others have ended it"
        except PostrojError as error:
            what = error.what
        except Exception as error:  # a worker that died too often, for example, or its answer is not one of ours
            what = " ".join(f"its worker failed: {type(error).__name__}: {error}".split())
        return Outcome(task.cell, Verdict.UNKNOWN, what, tries=tries, allowed=task.allowed)

    def _judged(self, task: Task, done: Done, tries: int) -> Outcome:
        _keep_logs(task, done, task.job_of(tries).artifacts)
        outcome = of(task.cell, done, tries=tries, allowed=task.allowed)
        if self._why and outcome.verdict is Verdict.UNKNOWN:  # it was told to end
            failed = failure(outcome)
            return outcome._replace(verdict=Verdict.FAILED if failed else Verdict.NOT_RUN, reason=failed or self._why)
        return outcome

    def _is_to_be_tried_again(self, outcome: Outcome) -> bool:
        has_tries = outcome.tries <= self._settings.retries and not self._why
        return has_tries and outcome.verdict in (Verdict.FAILED, Verdict.UNKNOWN)

    def _not_run(self, task: Task) -> Outcome:
        return Outcome(task.cell, Verdict.NOT_RUN, self._why, tries=0, allowed=task.allowed)

    def _end(self, why: str) -> None:
        """Start no more cells, and tell those that run to end."""
        if self._why:
            return
        self._why = why
        self._processes.end()
        for future in self._running.values():
            future.cancel()

    def _interrupted(self, signum: int) -> None:
        """End in good order at the first signal; at the second kill all cells: their machines die with them."""
        if self._signal:
            self._processes.end(signal.SIGKILL)
            return
        self._signal = signum
        self._end(INTERRUPTED)

    def _told_of_pull(self, reference: str, line: str) -> None:
        self._queue.put(lambda: self._listener.pulling(reference, line))

    def _pulled(self, reference: str, why: str) -> None:
        self._queue.put(lambda: self._is_pulled(reference, why))

    def _pulls_are_over(self) -> None:
        self._queue.put(self._stop_waiting_for_pulls)

    def _stop_waiting_for_pulls(self) -> None:
        self._is_pulling = False

    def _is_pulled(self, reference: str, why: str) -> None:
        if not why:
            self._ready.add(reference)
        if not why or self._why:
            return
        for task in [one for one in self._pending if one.cell.image.reference == reference and one.needs_image]:
            self._cannot_run(task, why)

    def _cannot_run(self, task: Task, why: str) -> None:
        reason, _, errors = why.partition("\n")
        self._pending.remove(task)
        self._keep(Outcome(task.cell, Verdict.UNKNOWN, reason, tries=0, errors=errors, allowed=task.allowed))


def _keep_logs(task: Task, done: Done, directory: str) -> None:
    """Write the logs that were carried back to a directory; what is lacking is told, and changes no verdict."""
    lacking = done.logs.lacking
    try:
        keep(done.logs, directory)
    except PostrojError as error:
        lacking = error.what
    if lacking:
        emit(Warn(f"{task.cell.name}: the artifacts lack some files: {line(lacking)}"))
