"""When a unit passes, and when it fails, by the states that it goes through."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise

import pytest

from postroj.contract import Change, Changes, Completed, UnitFacts, UnitState
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, GuestSetupError, MachineLostError, UsageError
from postroj.probe import Finding, Outcome
from postroj.probe.reason import of_failure
from postroj.probe.unit import MAX_RESTARTS, RESTARTED_STAY_SECONDS, START_SECONDS, Stay, check_unit, unit_name

from .fakes import FakeMachine, state

RUNS = state("active", "running", 100.0)
STARTS = state("activating", "start", has_job=True)
FAILED = state("failed", "failed", result="exit-code")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("webfs", "webfs.service"), ("webfs.service", "webfs.service"), ("apt-daily.timer", "apt-daily.timer"),
        ("getty@tty1", "getty@tty1.service"), ("a.b", "a.b.service"), ("dev-sda1.device", "dev-sda1.device"),
        ("systemd-networkd.socket", "systemd-networkd.socket"), (r"a\x2db.mount", r"a\x2db.mount"),
        ("-.mount", "-.mount"),
    ],
)  # fmt: skip
def test_names(given: str, name: str) -> None:
    assert unit_name(given) == name


@pytest.mark.parametrize(
    "given",
    ["", ".service", "a b", "a/b", "../a", "a\nb", "--all", "-H", "@", "a*", "[a]", "$(id)", "é", "a" * 249, "a;b",
     "a\0"],
)  # fmt: skip
def test_no_names(given: str) -> None:
    with pytest.raises(UsageError):
        unit_name(given)


@pytest.mark.parametrize("given", ["getty@", "getty@.service", "a@.timer"])
def test_a_template_is_no_unit(given: str) -> None:
    with pytest.raises(UsageError, match="is a template") as caught:
        unit_name(given)
    assert "@NAME." in caught.value.hint


@pytest.mark.parametrize(
    ("given", "hint"),
    [("/lib/systemd/system/webfs.service", "name the unit: webfs.service"), ("./a/", "name the unit: a"), ("/", "")],
)
def test_a_path_is_no_unit(given: str, hint: str) -> None:
    with pytest.raises(UsageError, match="is a path") as caught:
        unit_name(given)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("name", "file", "outcome", "told"),
    [
        ("a.service", "/etc/systemd/system/a.service", Outcome.FAILED, "masked by `systemctl mask`, in a maintainer"),
        ("a.service", "/run/systemd/system/a.service", Outcome.FAILED, "masked by `systemctl mask --runtime`: /run/"),
        ("a.service", "/usr/lib/systemd/system/a.service", Outcome.FAILED, "masked by the package that ships it: /usr"),
        ("a.service", "/elsewhere/a.service", Outcome.FAILED, "masked"),
        ("fstrim.timer", "/etc/systemd/system/fstrim.timer", Outcome.UNKNOWN, "postroj masks it in all images"),
        ("fstrim.timer", "/usr/lib/systemd/system/fstrim.timer", Outcome.FAILED, "masked by the package"),
    ],
)
def test_who_masks_a_unit_is_told(name: str, file: str, outcome: Outcome, told: str) -> None:
    output = f"ls: cannot access '/etc/systemd/system.control/{name}': No such file or directory\n{file}\n"

    def answer(argv: Sequence[str]) -> Completed:
        return Completed(0, f"{argv[-1]}\n") if argv[0] == "readlink" else Completed(2, output)

    machine = FakeMachine(answer, [state("inactive", "dead", load="masked")])
    machine.changed = Changes({file: Change("added", "link", 0o777, 0, 0, 9, 0)})
    finding = check_unit(machine, name, stay=Stay(4.0), deadline=Deadline(10.0))
    assert finding.outcome is outcome and told in finding.detail
    if "in a maintainer" in told:  # and otherwise the image has it
        machine = FakeMachine(answer, [state("inactive", "dead", load="masked")])
        assert "systemctl mask` in the image" in check_unit(machine, name, stay=Stay(4.0), deadline=Deadline(10)).detail


def check(states: Sequence[UnitState], *, stay: float = 4.0, seconds: float = 1000.0) -> tuple[Finding, FakeMachine]:
    machine = FakeMachine(lambda argv: Completed(0, f"{argv[0]} said so\n"), states)
    return check_unit(
        machine, "webfs.service", stay=Stay(stay, max_restarts=MAX_RESTARTS if stay else 0), deadline=Deadline(seconds)
    ), machine


@pytest.mark.parametrize(
    ("stay", "states"),
    [
        pytest.param(0.0, [state("active", "running", 0.0)], id="active at once"),
        pytest.param(4.0, [RUNS], id="active for long enough"),
        pytest.param(0.0, [state("active", "exited", 0.0)], id="a oneshot that has done its work"),
        pytest.param(0.0, [STARTS, state("active", "running", 0.0)], id="activating, then active"),
        pytest.param(4.0, [STARTS, state("active", "running", 0.0), RUNS], id="activating, then active, then stays"),
        pytest.param(0.0, [state("inactive", "dead", has_job=True), STARTS, RUNS], id="in the queue"),
        pytest.param(0.0, [state("refreshing", "refresh"), RUNS], id="refreshing (systemd 257)"),
        pytest.param(0.0, [state("reloading", "reload"), RUNS], id="reloading"),
        pytest.param(0.0, [state("deactivating", "stop-sigterm", has_job=True), STARTS, RUNS], id="being restarted"),
        pytest.param(0.0, [state("active", "running", 1.0, restarts=3)], id="restarted, only the present counts"),
        pytest.param(4.0, [state("active", "running", RESTARTED_STAY_SECONDS, restarts=1)], id="restarted, and stays"),
    ],
)
def test_passes(stay: float, states: list[UnitState]) -> None:
    finding, machine = check(states, stay=stay)
    assert finding.passed
    assert finding.subject == "unit webfs.service" and finding.detail.startswith(f"active ({states[-1].sub})")
    assert ("needed" in finding.detail) == bool(states[-1].restarts)
    assert len(machine.fake_watch.waits) == len(states) - 1
    assert machine.commands == [] and machine.watched == ["webfs.service"]


@pytest.mark.parametrize(
    ("states", "detail"),
    [
        pytest.param([FAILED], "failed (Result: exit-code): journalctl said so", id="failed"),
        pytest.param([STARTS, FAILED], "failed (Result: exit-code): journalctl said so", id="fails to start"),
        pytest.param(
            [state("inactive", "dead", was_tried=True)], "inactive (dead): it was stopped", id="inactive without a job"
        ),
        pytest.param(
            [state("inactive", "dead")],
            "inactive (dead), never started",
            id="never started",
        ),
        pytest.param(
            [state("inactive", "dead", was_tried=True, condition="ConditionPathExists=/etc/x")],
            "inactive (dead), skipped: ConditionPathExists=/etc/x is not met",
            id="skipped",
        ),
        pytest.param([state("inactive", "dead", load="masked")], "masked", id="masked"),
        pytest.param([state("maintenance", "x")], "maintenance (x): journalctl said so", id="a state that is unusual"),
        pytest.param(
            [state("active", "running", 1.0), FAILED],
            "did not stay active: failed (Result: exit-code): journalctl said so",
            id="active, then failed",
        ),
        pytest.param(
            [state("active", "running", 1.0), state("inactive", "dead", was_tried=True)],
            "did not stay active: inactive (dead): it was stopped",
            id="active, then ended",
        ),
        pytest.param(
            [state("activating", "auto-restart", restarts=3, result="signal")],
            "activating (auto-restart) (Result: signal), restarted 3 times: journalctl said so",
            id="waits to be restarted",
        ),
        pytest.param(
            [state("active", "running", 1.0), state("activating", "auto-restart", restarts=3, result="exit-code")],
            "did not stay active: activating (auto-restart) (Result: exit-code), restarted 3 times: journalctl said so",
            id="active, then waits to be restarted",
        ),
        pytest.param(
            [state("active", "running", 1.0),
             state("activating", "auto-restart-queued", restarts=3, result="exit-code", has_job=True)],
            "did not stay active: activating (auto-restart-queued) (Result: exit-code), restarted 3 times"
            ": journalctl said so",
            id="the same in systemd 254 and newer",
        ),
    ],
)  # fmt: skip
def test_fails(states: list[UnitState], detail: str) -> None:
    finding, machine = check(states)
    assert not finding.passed
    assert finding.detail == detail
    assert "systemctl said so" in finding.evidence and "journalctl said so" in finding.evidence
    assert len(machine.fake_watch.waits) == len(states) - 1
    assert all("webfs.service" in " ".join(argv) or argv[-1] == "--sync" for argv in machine.commands)


def test_what_has_ended_between_two_looks_did_not_stay_active() -> None:
    """How quick the looks are makes no difference."""
    machine = FakeMachine(lambda argv: Completed(0, f"{argv[0]} said so\n"), [FAILED])
    found = check_unit(machine, "webfs.service", stay=Stay(4.0, was_active=True), deadline=Deadline(1000.0))
    assert found.detail == "did not stay active: failed (Result: exit-code): journalctl said so"


@pytest.mark.parametrize(
    ("found", "stay", "wait"),
    [
        (state("active", "running", 1.0), 4.0, 3.0),
        (state("active", "running", 4.0, restarts=1), 4.0, RESTARTED_STAY_SECONDS - 4.0),
        (state("active", "running", 1.0, restarts=1), RESTARTED_STAY_SECONDS + 5, RESTARTED_STAY_SECONDS + 4),
    ],
)
def test_the_rest_of_its_stay_is_waited_for(found: UnitState, stay: float, wait: float) -> None:
    finding, machine = check([found, RUNS], stay=stay)
    assert finding.passed and machine.fake_watch.waits == [pytest.approx(wait, abs=1)]


def test_what_was_restarted_in_between_starts_its_stay_anew() -> None:
    states = [state("active", "running", 3.9), state("active", "running", 0.1, restarts=1), RUNS]
    finding, machine = check(states)
    assert finding.passed and len(machine.fake_watch.waits) == 2


@pytest.mark.parametrize("found", [STARTS, state("inactive", "dead", has_job=True), state("deactivating", "stop")])
def test_what_is_still_coming_when_its_time_is_up_has_failed(monkeypatch: pytest.MonkeyPatch, found: UnitState) -> None:
    monkeypatch.setattr("postroj.probe.unit.START_SECONDS", 0.0)
    finding, machine = check([found])
    assert not finding.passed and finding.detail == f"still {found.active} ({found.sub}) when the time was up"
    assert machine.fake_watch.waits == []


def test_a_start_is_not_waited_for_without_end() -> None:
    _, machine = check([STARTS, RUNS], seconds=1e6)
    assert 0 < machine.fake_watch.waits[0] <= START_SECONDS


def test_the_time_for_all_of_it_ends_a_stay_as_well() -> None:
    with pytest.raises(DeadlineError):
        check([state("active", "running", 1.0)], stay=500.0, seconds=0.0)


def test_what_is_still_coming_when_the_time_for_all_of_it_is_up_has_no_verdict() -> None:
    with pytest.raises(DeadlineError):
        check([STARTS], seconds=0.0)


def test_a_failure_stands_without_its_evidence() -> None:
    machine = FakeMachine(lambda argv: GuestSetupError("no user"), [FAILED])
    finding = check_unit(machine, "webfs.service", stay=Stay(4.0), deadline=Deadline(1000))
    assert not finding.passed and "no answer from systemctl" in finding.evidence


def test_what_shows_a_failure_is_asked_for_until_the_deadline() -> None:
    machine = FakeMachine(states=[FAILED])
    machine.deadline = Deadline(5)
    check_unit(machine, "webfs.service", stay=Stay(4.0), deadline=machine.deadline)
    assert machine.seconds and all(seconds is not None and seconds <= 5 for seconds in machine.seconds)


def test_of_a_failure_nothing_is_said_if_there_was_no_time_to_ask_why() -> None:
    """The machine may lack something, and the words that tell have not come."""
    machine = FakeMachine(lambda argv: DeadlineError("too long"), [FAILED])
    machine.deadline = Deadline(0)
    with pytest.raises(DeadlineError, match="asked why a unit is not as it should be"):
        check_unit(machine, "webfs.service", stay=Stay(4.0), deadline=Deadline(1000))


def test_of_a_machine_that_is_lost_nothing_is_said() -> None:
    machine = FakeMachine(lambda argv: MachineLostError("gone"), [FAILED])
    with pytest.raises(MachineLostError):
        check_unit(machine, "webfs.service", stay=Stay(4.0), deadline=Deadline(1000))


def test_a_stay_may_be_longer_than_a_start() -> None:
    finding, machine = check([state("active", "running", 0.0), state("active", "running", 200.0)], stay=200.0)
    assert finding.passed and machine.fake_watch.waits == [pytest.approx(200.0, abs=1)]


@pytest.mark.parametrize(
    ("listed", "detail"),
    [
        ("webfsd.service enabled enabled\nssh.service enabled enabled\n", "does not exist; there is webfsd.service"),
        ("", "does not exist"),
        ("\n  \nssh.service enabled\n", "does not exist"),
    ],
)
def test_a_unit_that_does_not_exist(listed: str, detail: str) -> None:
    machine = FakeMachine(lambda argv: Completed(0, listed), [state("inactive", "dead", load="not-found")])
    finding = check_unit(machine, "webfs.service", stay=Stay(4.0), deadline=Deadline(1000))
    assert (finding.passed, finding.detail) == (False, detail)


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        ("webfs.servce", "does not exist: .servce is not a type of unit; there is webfs.service"),
        ("webfs.sokcet", "does not exist: .sokcet is not a type of unit; there is webfs.service"),
        ("webf.s", "does not exist; there is webfs.service"),
    ],
)
def test_a_type_of_unit_that_does_not_exist(given: str, detail: str) -> None:
    machine = FakeMachine(lambda argv: Completed(0, "webfs.service x\n"), [state("inactive", "dead", load="not-found")])
    assert check_unit(machine, unit_name(given), stay=Stay(), deadline=Deadline(10)).detail == detail


class _OneUnit:
    """Stays as it is; see UnitWatch."""

    def __init__(self, name: str, state: UnitState, requires: Sequence[str]) -> None:
        self.name = name
        self._state = state
        self._requires = tuple(requires)

    def state(self) -> UnitState:
        return self._state

    def facts(self) -> UnitFacts:
        return UnitFacts(requires=self._requires)

    def wait(self, seconds: float) -> None:
        raise AssertionError


class _Units(FakeMachine):
    """A machine with units that require each other."""

    def __init__(self, units: Mapping[str, tuple[UnitState, Sequence[str]]]) -> None:
        super().__init__()
        self._units = units

    @contextmanager
    def watch_unit(self, name: str) -> Iterator[_OneUnit]:  # type: ignore[override]
        self.watched.append(name)
        yield _OneUnit(name, *self._units[name])


_NOT_THERE = (state("inactive", "dead", load="not-found"), ())


@pytest.mark.parametrize(
    ("units", "detail"),
    [
        ({"a.service": _NOT_THERE}, "it requires a.service, which does not exist"),
        ({"a.service": (RUNS, ["b.service"]), "b.service": _NOT_THERE}, "it requires b.service, which does not exist"),
        (
            {"a.service": (RUNS, ["b.device"]), "b.device": (state("inactive", "dead"), ())},
            "this machine cannot tell: there is no b.device",
        ),
        (
            {"a.service": (RUNS, ["b.service", "webfs.service"]), "b.service": (RUNS, ["a.service"])},
            "inactive (dead), never started",
        ),
    ],
)
def test_each_requirement_is_looked_at_once(units: dict[str, tuple[UnitState, Sequence[str]]], detail: str) -> None:
    machine = _Units({"webfs.service": (state("inactive", "dead"), ["a.service"]), **units})
    finding = check_unit(machine, "webfs.service", stay=Stay(), deadline=Deadline(10.0))
    assert finding.detail == detail
    assert sorted(machine.watched) == sorted(["webfs.service", "webfs.service", *units])


def test_of_requirements_without_end_a_hundred_are_looked_at() -> None:
    names = [f"u{number}.service" for number in range(1000)]
    units = {name: (RUNS, [after]) for name, after in pairwise(names)}
    machine = _Units({"webfs.service": (state("inactive", "dead"), names[:1]), **units})
    finding = check_unit(machine, "webfs.service", stay=Stay(), deadline=Deadline(10.0))
    assert finding.detail == "inactive (dead), never started" and len(machine.watched) == 101


@pytest.mark.parametrize(
    ("limit", "outcome", "detail"),
    [
        ("52428800", Outcome.FAILED, "failed (Result: oom-kill): the kernel's OOM killer ended a process of it,"
         " at its MemoryMax=52428800; it last printed: 3 rows read"),
        ("infinity", Outcome.UNKNOWN, "this machine cannot tell: the kernel's OOM killer ended a process of it"),
        ("", Outcome.UNKNOWN, "this machine cannot tell: the kernel's OOM killer ended a process of it"),
    ],
)  # fmt: skip
def test_what_the_oom_killer_has_ended(limit: str, outcome: Outcome, detail: str) -> None:
    """The package's fault is only what meets a limit of the package's own."""
    shown = f"MemoryMax={limit}\n" if limit else ""
    machine = FakeMachine(
        lambda argv: Completed(0, shown if argv[1] == "show" else "3 rows read\n" if argv[0] == "journalctl" else ""),
        [state("failed", "failed", result="oom-kill")],
    )
    finding = check_unit(machine, "webfs.service", stay=Stay(), deadline=Deadline(10.0))
    assert (finding.outcome, finding.detail) == (outcome, detail)


@pytest.mark.parametrize("more", ["", "argv[]= ; " * 20_000])
def test_a_program_before_the_main_one_is_named(more: str) -> None:
    shown = [
        f"ExecStart={{ path=/bin/x ; argv[]=/bin/x {more} ; ignore_errors=no ; pid=0 ; code=(null) ; status=0/0 }}",
        "ExecStartPre={ path=/bin/true ; argv[]=/bin/true ; ignore_errors=no ; pid=7 ; code=exited ; status=0 }",
        "ExecStartPre={ path=/bin/test ; argv[]=/bin/test -d /x ; ignore_errors=no ; pid=8 ; code=exited ; status=1 }",
    ]
    machine = FakeMachine(lambda argv: Completed(0, "\n".join(shown) if argv[1] == "show" else ""))
    told = of_failure(machine, "webfs.service", FAILED, UnitFacts(), "", [])
    assert told.what == "ExecStartPre=/bin/test -d /x failed (status 1), and it printed nothing"
