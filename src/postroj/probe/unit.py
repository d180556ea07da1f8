"""Is a unit active, and does it stay so?"""

import re
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from postroj.deadline import Deadline
from postroj.errors import DeadlineError, UsageError
from postroj.probe import Finding, Outcome

if TYPE_CHECKING:
    from postroj.contract import Machine, UnitFacts, UnitState, UnitWatch
    from postroj.limits import Limit
    from postroj.probe.past import End

START_SECONDS = 90.0
"""How long a unit may be activating if it sets no limit of its own: systemd's own DefaultTimeoutStartSec."""
RESTARTED_STAY_SECONDS = 10.0
"""How long a unit that has been restarted must stay: systemd's own DefaultStartLimitIntervalSec."""
MAX_RESTARTS = 3
"""How often Restart= may bring a unit up before it is taken for a loop; systemd's own limit is 5 starts in 10 s."""
_SLOW_SECONDS = 10.0
"""A start that takes longer is told."""

_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")
TYPES = ("service", "socket", "target", "timer", "path", "mount", "automount", "swap", "slice", "scope", "device")
"""What the name of a unit ends with: systemd.unit(5)."""


class Stay(NamedTuple):
    """How long a unit must be active."""

    seconds: float = 0.0
    """Without a break, since it came up; with 0 only its present state counts."""
    until: float = 0.0
    """At least until this point of time.monotonic()."""
    max_restarts: int = 0
    """How often Restart= may bring it up, if it is found to have ended."""
    restarts: int | None = None
    """How often it had been restarted at an earlier look, since which it must not have ended; None: at none."""
    may_end: bool = False
    """Whether it may have ended by itself, with success: one that is started when it is used."""
    when: str = "after the checks"
    """What has happened since that look."""
    was_active: bool = False
    """Whether an earlier look has found it as it should be: it may have ended before this one."""


def is_name(name: str) -> bool:
    """Return whether it can be the full name of a unit, or of a template, that a package has."""
    stem, _, kind = name.rpartition(".")
    odd = name.startswith((".", "@")) or (name.startswith("-") and stem != "-")
    return bool(stem) and kind in TYPES and not odd and _NAME.fullmatch(name) is not None


def unit_name(given: str) -> str:
    """Return a unit's full name, with `.service` if no type is given, as systemctl has it. Raises UsageError."""
    if "/" in given:
        base = given.rstrip("/").rpartition("/")[2]
        raise UsageError(f"'{given[:200]}' is a path, not a unit's name", hint=f"name the unit: {base}" if base else "")
    stem, _, kind = given.rpartition(".")
    name = given if stem and kind in TYPES else f"{given}.service"
    if not is_name(name):
        raise UsageError(f"'{given[:200]}' cannot be a unit's name: systemd.unit(5)")
    if "@." in name:
        raise UsageError(f"{name} is a template", hint=f"name an instance: {name.replace('@.', '@NAME.')}")
    return name


def state_of(machine: "Machine", name: str) -> "UnitState":
    """Return what a unit is now."""
    with machine.watch_unit(name) as watch:
        return watch.state()


def check_unit(
    machine: "Machine", name: str, *, stay: Stay, deadline: Deadline, ports: Collection[int] = ()
) -> Finding:
    """Return whether a unit is active and stays so. `ports` are those that are to be checked.

    One that Restart= has restarted must stay for RESTARTED_STAY_SECONDS, unless only the present state counts. A start
    may take as long as the unit itself allows. Raises DeadlineError.
    """
    with machine.watch_unit(name) as watch:
        kind = _Check if machine.capabilities.systemd else _PlainCheck
        return kind(machine, name, watch, stay, deadline, ports).run()


class _Check:
    """One look at one unit."""

    def __init__(
        self,
        machine: "Machine",
        name: str,
        watch: "UnitWatch",
        stay: Stay,
        deadline: Deadline,
        ports: Collection[int],
    ) -> None:
        self._machine = machine
        self._name = name
        self._subject = f"unit {name}"
        self._watch = watch
        self._stay = stay
        self._deadline = deadline
        self._ports = ports
        self._own_kernel = machine.capabilities.own_kernel
        self._start: Deadline | None = None
        self._was_active = stay.was_active

    def run(self) -> Finding:
        while True:
            state = self._watch.state()
            if state.load == "not-found":
                return self._not_found()
            if self._stay.restarts is not None and state.restarts > self._stay.restarts:
                return self._restarted(state)
            if state.active == "active":
                self._was_active = True
                wait = self._still_to_stay(state)
                if wait <= 0:
                    return self._active(state)
            elif "auto-restart" in state.sub and self._may_restart(state):
                wait = self._start_remaining()
            elif "auto-restart" in state.sub or state.active == "failed" or not _is_coming(state):
                return self._ended(state)
            else:
                wait = self._start_remaining()
                if wait <= 0 and not self._deadline.expired():
                    return self._failed(state, "still", then="when the time was up")
            if self._deadline.expired():
                what = f"--timeout expired while {self._subject} was being watched"
                raise DeadlineError(what, hint="see --timeout and --stay-active")
            self._watch.wait(self._deadline.sooner(wait).remaining() or 0.0)

    def _not_found(self) -> Finding:
        from postroj.probe import absent

        return Finding(self._subject, Outcome.FAILED, absent.not_found(self._machine, self._name, TYPES))

    def _still_to_stay(self, state: "UnitState") -> float:
        seconds = self._stay.seconds
        if seconds and state.restarts:
            seconds = max(seconds, RESTARTED_STAY_SECONDS)
        return max(seconds - state.active_seconds, self._stay.until - time.monotonic())

    def _may_restart(self, state: "UnitState") -> bool:
        return state.restarts < self._stay.max_restarts and self._start_remaining() > 0

    def _start_remaining(self) -> float:
        """Return the seconds left for its start."""
        if self._start is None:
            limit = self._watch.facts().start_timeout
            self._start = self._deadline if limit is None else self._deadline.sooner(max(limit, START_SECONDS))
        remaining = self._start.remaining()
        return 3600.0 if remaining is None else remaining

    def _active(self, state: "UnitState") -> Finding:
        detail = f"active ({state.sub})"
        if state.sub == "exited":
            from postroj.package.shipped import INIT_SCRIPTS

            if (source := self._watch.facts().source).startswith(f"{INIT_SCRIPTS}/"):
                return self._started_nothing(state, source)
        if state.restarts:
            detail += f", needed {state.restarts + 1} starts"
        if state.start_seconds >= _SLOW_SECONDS:
            detail += f", took {state.start_seconds:.0f} s to start"
        return Finding(self._subject, Outcome.PASSED, detail)

    def _ended(self, state: "UnitState") -> Finding:
        from postroj import limits  # on use: a unit that is as it should be does not need it

        if state.load == "masked":
            return self._masked()
        if state.condition.startswith("ConditionFirstBoot="):  # an installed machine has had it as well
            told = f"{state.active} ({state.sub}), skipped: {state.condition} is for the first boot of a machine"
            return Finding(self._subject, Outcome.PASSED, told)
        if state.condition:
            if limit := limits.of_condition(state.condition, own_kernel=self._own_kernel):
                return self._cannot_tell(limit)
            return self._failed(state)
        if state.active == "inactive" and state.result in ("", "success") and state.was_tried and self._may_end():
            return Finding(self._subject, Outcome.PASSED, f"{state.active} ({state.sub}), ended with success")
        if state.result == "exec-condition":
            from postroj.probe import unitfile

            asked = unitfile.read(self._machine, self._name).settings.get("ExecCondition", ("",))
            told = f"{described(state)}, skipped: ExecCondition={' or '.join(asked)} is not met"
            return self._finding(Outcome.FAILED, told, active=state.active)
        if state.active == "inactive":
            return self._dependency() or self._failed(state)
        return self._ended_badly(state, self._watch.facts())

    def _started_nothing(self, state: "UnitState", script: str) -> Finding:
        """Return the finding of a service from an init script that is content and has left no process."""
        from postroj import limits
        from postroj.probe import evidence, reason

        words = evidence.last_words(self._machine, self._name)
        if limit := limits.of_output(words, own_kernel=self._own_kernel):
            return self._cannot_tell(limit)
        from postroj.package import commands

        def ask(argv: Sequence[str]) -> str:
            return evidence.ask(self._machine, argv)

        text = ask(["head", "--bytes=65536", "--", script])
        if commands.leaves_no_process(text):
            told = f"{described(state)}; {script} sets something, and leaves no process by design"
            return Finding(self._subject, Outcome.PASSED, told)
        why = f"no process of it is left, {script} has started nothing that stays:"
        absent = commands.untested(ask, text)
        last = reason.last(self._machine, self._name, words)
        clause = f"it tests for {absent}, which does not exist" if absent else ""
        return self._failed(state, why, told="; ".join(filter(None, (last, clause))))

    def _restarted(self, state: "UnitState") -> Finding:
        """Return the finding of a service that has ended, and was restarted meanwhile, or is about to be."""
        from postroj.probe import past

        end = past.last_end(self._machine, self._name)
        after = f"it ended {self._stay.when} and was restarted"
        if state.restarts > 1:
            after += f", {state.restarts} times in all"
        if not end:
            return self._failed(state, f"{after}:")
        facts = self._watch.facts()._replace(exit_status=end.status)
        return self._ended_badly(state, facts, after, end)

    def _ended_badly(
        self, state: "UnitState", facts: "UnitFacts", after: str = "", end: "End | None" = None
    ) -> Finding:
        """Return the finding of a service that has failed; `end` is how, and `after` what came after it, if it runs."""
        from postroj import limits
        from postroj.probe import evidence, past, reason, told, unitfile

        if "auto-restart" in state.sub and not end:  # it may be started again while it is asked for
            end = past.last_end(self._machine, self._name)
            facts = facts._replace(exit_status=end.status) if end else facts
        ended = state._replace(result=end.result, sub="auto-restart") if end else state
        if ended.result == "oom-kill" and not reason.memory_limit(self._machine, self._name):
            return self._cannot_tell(limits.of_memory(own_kernel=self._own_kernel))
        words = end.words if end else evidence.last_words(self._machine, self._name)
        # The journal does not always know the unit of a process that ends at once, but systemd's own words name it.
        complaints = reason.complaints(self._machine, self._name)
        said = "\n".join([*complaints, words])
        limit = limits.of_exit_status(facts.exit_status, said, own_kernel=self._own_kernel)
        limit = limit or limits.of_output(said, own_kernel=self._own_kernel)
        limit = limit or self._of_open_files(said)
        own = told.hidden(limit.what, unitfile.read(self._machine, self._name)) if limit else ""
        if limit and not own:
            return self._cannot_tell(limit)
        found = reason.of_failure(self._machine, self._name, ended, facts, words, complaints, self._ports)
        if own:
            everything = f"{found.what}; {own}" if own not in found.what else found.what
            return self._failed(state, told=everything, after=after)
        if limit := limits.of_output(found.setting, own_kernel=self._own_kernel):
            return self._cannot_tell(limit)
        return self._failed(state, told=found.what, after=after)

    def _of_open_files(self, said: str) -> "Limit | None":
        """Return the limit if there can be fewer open files here than on a full machine, and that is what it says."""
        from postroj import limits
        from postroj.probe import evidence, unitfile

        if self._own_kernel or not (line := limits.about_open_files(said)):
            return None
        hard = evidence.ask(self._machine, ["sh", "-c", "ulimit -H -n"])
        asked = unitfile.read(self._machine, self._name).last("LimitNOFILE").rpartition(":")[2]
        counts = (int(text) if text.isdecimal() else 0 for text in (hard, asked))
        return limits.of_open_files(line, *counts)

    def _dependency(self) -> Finding | None:
        """Return a finding if it was not started, or was stopped, because a unit that it requires has failed."""
        from postroj.probe.requirements import lacking_requirement

        lacking = lacking_requirement(self._machine, self._name)
        if not lacking:
            return None
        if lacking.name.endswith(".device"):
            from postroj import limits

            return self._cannot_tell(limits.of_device(lacking.name, own_kernel=self._own_kernel))
        if not lacking.exists:
            return self._finding(Outcome.FAILED, f"it requires {lacking.name}, which does not exist")
        found = check_unit(self._machine, lacking.name, stay=Stay(), deadline=self._deadline)
        if found.passed:  # it is there by now
            return None
        return found._replace(subject=self._subject, detail=f"it requires {lacking.name}: {found.detail}")

    def _may_end(self) -> bool:
        return self._stay.may_end or self._watch.facts().kind == "oneshot"

    def _cannot_tell(self, limit: "Limit") -> Finding:
        return self._finding(Outcome.UNKNOWN, f"this machine cannot tell: {limit.what}", limit.hint)

    def _finding(self, outcome: Outcome, detail: str, hint: str = "", active: str = "") -> Finding:
        """Return a finding with its evidence; `active` is the ActiveState by which it was judged."""
        from postroj.probe import evidence

        shown = evidence.of_unit(self._machine, self._name, active)
        return Finding(self._subject, outcome, detail, shown, hint, evidence.chosen(shown))

    def _failed(self, state: "UnitState", why: str = "", *, told: str = "", after: str = "", then: str = "") -> Finding:
        """Return the finding of a unit that is not as it should be.

        Without `why`, which comes before its state, it is told that it did not stay active, if it was; `told` is the
        reason, `after` what came after its end, and `then` follows its state.
        """
        from postroj.probe import evidence, reason

        if told and after:
            return self._finding(Outcome.FAILED, f"{told}; {after}", active=state.active)
        before = why or (f"{after}:" if after else "") or ("did not stay active:" if self._was_active else "")
        detail = " ".join(filter(None, (before, _why(state), then)))
        if not then and state.active == "inactive" and state.load == "loaded" and not state.was_tried:
            detail += ", ".join(["", *filter(None, [self._watch.facts().enablement]), "never started"])
        if state.load in ("bad-setting", "error"):
            detail += f": {reason.of_load(self._machine, self._name)}"
        elif state.active == "inactive" and state.was_tried and not state.condition:
            line = reason.last(self._machine, self._name, evidence.last_words(self._machine, self._name))
            detail += f": {reason.of_end(self._machine, self._name, self._watch.facts(), line)}"
        elif told:
            detail += f": {told}"
        return self._finding(Outcome.FAILED, detail, active=state.active)

    def _masked(self) -> Finding:
        from postroj.probe import absent

        outcome, detail = absent.masked(self._machine, self._name)
        if outcome is Outcome.UNKNOWN:
            return Finding(self._subject, outcome, detail)
        return self._finding(outcome, detail)


class _PlainCheck(_Check):
    """One look at one unit of a system that is not systemd, and tells itself why a service is not as it should be."""

    def _not_found(self) -> Finding:
        told = f"not found: {self._machine.system.name} has no service {self._name.removesuffix('.service')}"
        return Finding(self._subject, Outcome.FAILED, told)

    def _ended(self, state: "UnitState") -> Finding:
        if state.active == "inactive" and state.result in ("", "success") and state.was_tried and self._may_end():
            return Finding(self._subject, Outcome.PASSED, f"{described(state)}, ended with success")
        return self._failed(state)

    def _restarted(self, state: "UnitState") -> Finding:
        return self._failed(state, f"it ended {self._stay.when} and was restarted:")

    def _failed(self, state: "UnitState", why: str = "", *, told: str = "", after: str = "", then: str = "") -> Finding:
        before = why or ("did not stay active:" if self._was_active else "")
        detail = " ".join(filter(None, (before, described(state), then)))
        if state.load == "masked":
            detail += ", masked: nothing may start it"
        elif state.active == "inactive" and not state.was_tried:
            detail += ", ".join(["", *filter(None, [self._watch.facts().enablement]), "never started"])
        reason = self._machine.system.why(self._name)
        return self._finding(Outcome.FAILED, f"{detail}: {reason}" if reason else detail, active=state.active)


def _is_coming(state: "UnitState") -> bool:
    return state.has_job or state.active in ("activating", "reloading", "refreshing", "deactivating")


def described(state: "UnitState") -> str:
    """Return what a unit is in the words of systemctl: `active (running)`."""
    return state.active if state.sub == state.active else f"{state.active} ({state.sub})"


def _why(state: "UnitState") -> str:
    """Return it with all that says why."""
    what = described(state)
    if state.result not in ("", "success"):
        what += f" (Result: {state.result})"  # in the words of systemctl status
    if state.load != "loaded":
        what += f", {state.load}"
    if state.condition:
        what += (
            f", {'not started' if state.condition.startswith('Assert') else 'skipped'}: {state.condition} is not met"
        )
    if state.restarts:
        what += ", restarted once" if state.restarts == 1 else f", restarted {state.restarts} times"
    return what
