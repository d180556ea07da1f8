"""The judgement of a check: it is looked at until it passes, or its time is up."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from postroj.contract import Machine
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, HostError
from postroj.probe import Finding, Outcome
from postroj.probe.values import Text, wrong

LOOK_SECONDS = 30.0
"""How long a look may take that is the only one."""
LAST_LOOK_SECONDS = 2.0
"""How long any look may take at least."""
_PAUSE, _LONGEST_PAUSE = 0.05, 0.5


class Scene(NamedTuple):
    """Where a check is judged."""

    machine: Machine
    since: float
    """When the installation began, in seconds since the epoch."""
    enablement: Mapping[str, str]
    """UnitFileState of units as the installation has left them, before postroj has enabled any."""
    family: str = ""
    """The family of the image; empty if it is not known."""


class Seen(NamedTuple):
    """What one look has shown."""

    passed: bool
    detail: str
    """One line: how it is, or what is wrong."""
    evidence: str = ""
    failed: str = ""
    """What has failed, if it is not a value that is wrong: `no answer`."""
    tells_time: bool = False
    """Whether the detail tells how long it was waited for."""
    answer: str = ""
    """The answer, if it is not the right one: `answered 503 Busy`. The detail is then what was expected, or empty."""
    about: Callable[[], tuple[str, str]] | None = None
    """Finds out, after the last look, what else there is to say, as clauses, and the evidence."""


class CannotTellError(HostError):
    """What would have to be looked at is more than is looked at."""


def wrong_in(key: str, expected: Text, text: str, *, is_cut: bool) -> str:
    """Return how a text, of which only a part may be known, differs from what is expected; see `values.wrong`.

    Raises CannotTellError if the part that is not known may be what counts.
    """
    clause = wrong(key, expected, text)
    if is_cut and expected.operator.endswith("~=") and bool(clause) != expected.is_negated:
        what = f"{key}: expected {expected.expected()}, got more than 256 KiB, of which the rest is not known"
        raise CannotTellError(what)
    return clause


def of(good: str, wrong: list[str], evidence: str = "") -> Seen:
    """Return what was seen: what is wrong, empty clauses left out, or else that it is good."""
    left = [clause for clause in wrong if clause]
    return Seen(not left, "; ".join(left) or good, evidence)


class Check(Protocol):
    """What each kind of check is: frozen values, and how they are looked at."""

    @property
    def timeout(self) -> float | None:
        """Seconds until it must pass; None for what its kind has by default."""
        ...

    def look(self, scene: Scene, until: Deadline) -> Seen:
        """Look once, until then at most. Raises PatternError, CannotTellError, DeadlineError if it took too long."""
        ...


def judge(
    check: Check,
    name: str,
    scene: Scene,
    *,
    seconds: float,
    deadline: Deadline,
    give_up: Callable[[], bool] = lambda: False,
) -> Finding:
    """Judge a check, within `seconds` if it sets no other time; 0 is one look. See `try_until`."""
    from postroj.probe.patterns import PatternError

    limit = check.timeout if check.timeout is not None else seconds
    most = limit or LOOK_SECONDS
    until = deadline.sooner(most)

    def look() -> Seen:
        # The last look may begin when hardly any time is left, and is to show what is wrong.
        left = max(until.remaining() or 0.0, min(most, LAST_LOOK_SECONDS))
        try:
            return check.look(scene, deadline.sooner(left))
        except DeadlineError as error:
            return Seen(False, error.what)

    try:
        seen, within = try_until(look, name, seconds=limit, deadline=deadline, give_up=give_up)
    except (PatternError, CannotTellError) as error:
        return Finding(name, Outcome.UNKNOWN, error.what, error.why)
    if seen.passed:
        return Finding(name, Outcome.PASSED, seen.detail, seen.evidence)
    more, evidence = seen.about() if seen.about else ("", seen.evidence)
    return Finding(name, Outcome.FAILED, f"{_told(seen, limit, within)}{more}", evidence)


def _told(seen: Seen, limit: float, within: str) -> str:
    """Return what the last look has shown, and how long it was waited for; `within` is empty if it was given up."""
    if seen.failed:
        return f"{seen.failed}{within}: {seen.detail}"
    is_late = bool(within and limit)
    if seen.answer:
        until = f" until the deadline ({limit:g} s)" if is_late else ""
        return "; ".join(filter(None, (f"{seen.answer}{until}", seen.detail)))
    return seen.detail + (f" (waited {limit:g} s)" if is_late and not seen.tells_time else "")


def try_until(
    look: Callable[[], Seen],
    subject: str,
    *,
    seconds: float,
    deadline: Deadline,
    give_up: Callable[[], bool] = lambda: False,
) -> tuple[Seen, str]:
    """Look again and again until it is as it should be; return what was seen last, and ` within 30 s` if time was up.

    `give_up` is asked after each look whether another one is of any use. This is for what nothing tells of: each pause
    is longer than the one before. Raises DeadlineError.
    """
    until = deadline.sooner(seconds)
    pause = _PAUSE
    while True:
        seen = look()
        if seen.passed:
            return seen, ""
        if until.expired():
            within = f" within {seconds:g} s"
            break
        if give_up():
            within = ""
            break
        time.sleep(min(pause, until.remaining() or 0.0))
        pause = min(pause * 2, _LONGEST_PAUSE)
    if deadline.expired():
        raise DeadlineError(f"{subject} was not tried to the end: --timeout expired", hint="see --timeout")
    return seen, within
