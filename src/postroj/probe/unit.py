"""Is a unit active, and does it stay so?"""

import re

from postroj.deadline import Deadline
from postroj.errors import DeadlineError, PostrojError, UsageError
from postroj.machine import Machine, UnitState
from postroj.probe import Finding, Outcome
from postroj.probe.limits import unmet_by_machine

START_SECONDS = 90.0
"""How long a unit may be activating: systemd's own DefaultTimeoutStartSec."""
RESTARTED_STAY_SECONDS = 10.0
"""How long a unit that has been restarted must stay: systemd's own DefaultStartLimitIntervalSec."""

_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")
_TYPES = ("service", "socket", "target", "timer", "path", "mount", "automount", "swap", "slice", "scope", "device")


def unit_name(given: str) -> str:
    """A unit's full name: `.service` where no type is given, as systemctl has it. Raises UsageError."""
    name = given if given.rpartition(".")[2] in _TYPES else f"{given}.service"
    if not _NAME.fullmatch(name) or name.startswith((".", "@")) or (name[0] == "-" and name[1] != "."):
        raise UsageError(f"'{given[:200]}' cannot be a unit's name: systemd.unit(5)")
    if "@." in name:
        raise UsageError(f"{name} is a template", hint=f"name an instance: {name.replace('@.', '@NAME.')}")
    return name


def check_unit(machine: Machine, name: str, *, stay: float, deadline: Deadline) -> Finding:
    """Whether a unit is active and has been so for `stay` seconds without a break.

    One that Restart= has restarted must stay for RESTARTED_STAY_SECONDS, unless `stay` is 0: then only the present
    state counts. The outcome is unknown if the machine, and not the package, keeps the unit from starting.
    """
    subject = f"unit {name}"
    start = deadline.sooner(START_SECONDS)
    was_active = False
    with machine.watch_unit(name) as watch:
        while True:
            state = watch.state()
            if state.load == "not-found":
                return _not_found(machine, subject, name)
            if state.active == "active":
                was_active = True
                needed = max(stay, RESTARTED_STAY_SECONDS) if stay and state.restarts else stay
                if state.active_seconds >= needed:
                    return Finding(subject, Outcome.PASSED, f"active ({state.sub})")
                wait = needed - state.active_seconds
            elif "auto-restart" in state.sub or state.active == "failed" or not _is_coming(state):
                unmet = unmet_by_machine(subject, state.condition)
                return unmet or _failed(machine, subject, name, _why(state, was_active))
            elif start.expired() and not deadline.expired():
                return _failed(machine, subject, name, f"still {state.active} ({state.sub}) when the time was up")
            else:
                wait = start.remaining() or 0.0
            if deadline.expired():
                raise DeadlineError(
                    f"{subject} could not be watched to the end", hint="see --timeout and --stay-active"
                )
            watch.wait(deadline.sooner(wait).remaining() or 0.0)


def _is_coming(state: UnitState) -> bool:
    return state.has_job or state.active in ("activating", "reloading", "refreshing", "deactivating")


def _why(state: UnitState, was_active: bool) -> str:
    what = f"{state.active} ({state.sub})"
    if state.load != "loaded":
        what += f", {state.load}"
    if state.result not in ("", "success"):
        what += f", result {state.result}"
    if state.active == "inactive" and state.load == "loaded" and not state.was_tried:
        what += ", ".join(["", *([state.enablement] if state.enablement else []), "never started"])
    if state.condition:
        what += f", skipped: {state.condition} is not met"
    if state.restarts:
        what += f", restarted {state.restarts} times"
    return f"did not stay active: {what}" if was_active else what


def _failed(machine: Machine, subject: str, name: str, detail: str) -> Finding:
    status = _ask(machine, ["systemctl", "status", "--no-pager", "--full", "--lines=0", "--", name])
    journal = _ask(machine, ["journalctl", "--no-pager", "--lines=50", "--output=short", f"--unit={name}"])
    return Finding(subject, Outcome.FAILED, detail, f"{status}\n\n{journal}")


def _not_found(machine: Machine, subject: str, name: str) -> Finding:
    import difflib

    listed = _ask(machine, ["systemctl", "list-unit-files", "--no-pager", "--no-legend", "--plain"])
    there = {
        unit.rpartition(".")[0]: unit for unit in (line.split()[0] for line in listed.splitlines() if line.split())
    }
    near = [there[stem] for stem in difflib.get_close_matches(name.rpartition(".")[0], there, n=3)]
    return Finding(subject, Outcome.FAILED, "does not exist" + (f"; there is {', '.join(near)}" if near else ""))


def _ask(machine: Machine, argv: list[str]) -> str:
    try:
        return machine.command(argv, deadline=Deadline(20)).output.strip()
    except PostrojError as error:  # only evidence: the verdict stands without it
        return f"(`{argv[0]}` did not tell: {error})"
