"""What came of a cell, and of all of them."""

from collections.abc import Sequence
from enum import Enum
from signal import Signals
from typing import NamedTuple

import msgspec

from postroj.harness.baseline import AS_BEFORE
from postroj.matrix.job import Done
from postroj.plan.cells import Cell
from postroj.probe import Outcome as Found
from postroj.report import document
from postroj.report.json import result_of


class Verdict(Enum):
    """What is said of a cell; its value is the word for it."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """postroj or the host has failed, or a machine cannot tell."""
    NOT_RUN = "not run"


class Outcome(NamedTuple):
    """What came of a cell."""

    cell: Cell
    verdict: Verdict
    reason: str = ""
    """Why it has not passed, in one line."""
    report: document.Report | None = None
    """What `pkgprobe` has told, if it came to that."""
    seconds: float = 0.0
    """How long the last try took."""
    began: float = 0.0
    """When the last try was begun, as time.time(); 0 if it was not."""
    tries: int = 1
    errors: str = ""
    """What its process, or that which pulls its image, has printed last to standard error, if there is no report."""
    allowed: str = ""
    """Why it may fail; empty if it may not."""

    @property
    def is_flaky(self) -> bool:
        """Return whether it has passed, but not at the first try."""
        return self.verdict is Verdict.PASSED and self.tries > 1

    @property
    def as_before(self) -> int:
        """How much of what has passed is no better with the baseline."""
        return sum(one.detail.startswith(AS_BEFORE) for one in self.report.findings) if self.report else 0

    @property
    def counts(self) -> bool:
        """Return whether it makes all of them fail if it has not passed."""
        return not self.allowed

    @property
    def is_tolerated(self) -> bool:
        """Return whether it has not passed, and may."""
        return bool(self.allowed) and self.verdict is not Verdict.PASSED


class Summary(NamedTuple):
    """What came of all cells, in the order of the plan."""

    outcomes: Sequence[Outcome]
    seconds: float
    began: float
    signal: int = 0
    """The number of the signal that has ended it early; 0 if none has."""
    why: str = ""
    """Why cells were not run."""

    @property
    def status(self) -> int:
        """The exit status: 0 if all cells have passed, or may fail; 1 if one has failed, else 3."""
        if self.signal:
            return 128 + self.signal
        verdicts = {one.verdict for one in self.outcomes if one.counts}
        return 1 if Verdict.FAILED in verdicts else 3 if verdicts - {Verdict.PASSED} else 0

    @property
    def ended_by(self) -> str:
        """What has ended it early, as a clause; empty if it was not a signal."""
        return f"interrupted by {_name(self.signal)}" if self.signal else ""

    @property
    def images(self) -> list[str]:
        """The names of the images, in the order of the cells: the columns of a table."""
        return list(dict.fromkeys(one.cell.image.name for one in self.outcomes))

    @property
    def rows(self) -> list[tuple[str, list[Outcome | None]]]:
        """What came of each package, and variant, in each of `images`; None if there is no such cell."""
        found = {(one.cell.image.name, one.cell.name.partition(":")[2]): one for one in self.outcomes}
        packages, images = dict.fromkeys(package for _, package in found), self.images
        return [(package, [found.get((image, package)) for image in images]) for package in packages]

    def count(self, verdict: Verdict) -> int:
        """Return how many cells have this verdict."""
        return sum(one.verdict is verdict for one in self.outcomes)


def of(cell: Cell, done: Done, *, tries: int, allowed: str) -> Outcome:
    """Return what came of a cell whose process has ended."""
    report, reason = None, done.why
    try:
        report = msgspec.json.decode(done.output, type=document.Report)
        verdict, reason = Verdict(report.verdict.value), reason or report.reason
        if verdict is Verdict.PASSED and done.status:  # its artifacts could not be written, for example
            verdict, reason, report = Verdict.UNKNOWN, reason or _without_report(done), None
        elif changed := _changed(cell, report):
            verdict, reason, report = Verdict.UNKNOWN, changed, None
    except (msgspec.DecodeError, ValueError):
        verdict, reason = Verdict.UNKNOWN, reason or _without_report(done)
    return Outcome(
        cell, verdict, reason, report, done.seconds, done.began, tries, "" if report else done.errors, allowed
    )


def _changed(cell: Cell, report: document.Report) -> str:
    """Return which file of a cell was another package when it was read again, as a clause; empty for none."""
    told = {package.file: package for package in report.packages if package.file}
    for planned in cell.entry.packages:
        found = told.get(planned.file)
        if found and (found.name, found.version) != (planned.name, planned.version):
            return f"{planned.reference} has changed since the plan was read: it is {found.name} {found.version} now"
    return ""


def failure(outcome: Outcome) -> str:
    """Return why a cell has failed before it was told to end, in one line; empty if nothing had failed by then."""
    result = result_of(outcome.report)._replace(error=None) if outcome.report else None
    return result.reason if result and any(one.outcome is Found.FAILED for one in result.findings) else ""


def _without_report(done: Done) -> str:
    if done.status < 0:
        return f"its process was killed by {_name(-done.status)}"
    return done.error or f"its process has ended with status {done.status}, and has not said why"


def _name(signum: int) -> str:
    try:
        return Signals(signum).name
    except ValueError:
        return f"signal {signum}"
