"""What the phases of a probe make of what they find: whose fault it is."""

import pytest

from postroj.contract import Completed, Listener, Running, UnitFacts
from postroj.deadline import Deadline
from postroj.errors import HostError, MachineLostError
from postroj.harness import _run
from postroj.harness.job import Job, Phase
from postroj.harness.ledger import Ledger
from postroj.harness.request import Request
from postroj.harness.result import Result, Verdict
from postroj.harness.steps import check_networks, find_failed_units
from postroj.package.reference import Package
from postroj.probe import Finding, Outcome
from postroj.probe.check import name_of, read
from postroj.probe.network import parse
from postroj.probe.unit import Stay, check_unit

from .fakes import FakeMachine, state

_NOBODY_LISTENS = "tcp://127.0.0.1:1"
_FAILED = state("failed", "failed", result="exit-code")


def _job(machine: FakeMachine) -> Job:
    request = Request("fake", packages=["web"], network_timeout=0)
    return Job(
        request,
        machine,
        packages=(),
        units=["web.service"],
        addresses=[parse(_NOBODY_LISTENS)],
        checks={},
        deadline=Deadline(60),
    )


def _verdict(job: Job) -> Verdict:
    return Result("fake", job.findings, 0.0).verdict


def test_an_address_does_not_answer_because_its_unit_has_failed() -> None:
    job = _job(FakeMachine(lambda argv: Completed(0, "no licence file"), [_FAILED]))
    check_networks(job)
    assert _verdict(job) is Verdict.FAILED


def test_an_address_does_not_answer_because_of_what_the_machine_lacks() -> None:
    job = _job(FakeMachine(lambda argv: Completed(0, "open /dev/kmsg: Operation not permitted"), [_FAILED]))
    check_networks(job)
    assert _verdict(job) is Verdict.UNKNOWN


def test_a_unit_that_was_started_by_using_another_one_fails_while_an_address_is_tried() -> None:
    job = _job(FakeMachine(lambda argv: Completed(0, "open /dev/kmsg: Operation not permitted"), [_FAILED]))
    job.units, job.triggered, job.may_end = [], ["web.service"], {"web.service"}
    check_networks(job)
    assert _verdict(job) is Verdict.UNKNOWN


def test_a_port_of_a_check_names_who_holds_it() -> None:
    machine = FakeMachine(lambda argv: Completed(0, "bind: Address already in use"), [_FAILED])
    machine.sockets = [Listener("tcp", "0.0.0.0", port, port) for port in (80, 8080)]
    machine.running = [Running(port, "other", 0, "other.service", frozenset([port])) for port in (80, 8080)]
    machine.fake_watch.facts = lambda: UnitFacts(exit_status=1)  # type: ignore[method-assign]
    job = _job(machine)
    assert "is held by" not in job.check_started("web.service").detail
    check = read("http http://localhost:8080")
    job.checks = {name_of(check): check}
    assert "; 8080 is held by other of other.service" in job.check_started("web.service").detail


class _WithAFailedUnit(FakeMachine):
    def failed_units(self) -> list[str]:
        return ["web.service"]


def test_a_unit_of_an_installation_that_this_machine_broke_off_is_not_judged() -> None:
    job = _job(_WithAFailedUnit(states=[_FAILED]))
    job.packages = [Package("./web.deb", "/web.deb", "all", "web")]
    job.add_installation(
        Finding("package ./web.deb", Outcome.UNKNOWN, "this machine cannot tell: device node /dev/kmsg")
    )
    find_failed_units(job)
    assert _verdict(job) is Verdict.UNKNOWN


class _WithAnotherUnit(FakeMachine):
    def restarts(self) -> dict[str, int]:
        return {"web.service": 1, "old.service": 2, "other.service": 1}


def test_another_unit_that_was_restarted_is_judged() -> None:
    job = _job(_WithAnotherUnit(lambda argv: Completed(0, "no spool"), [_FAILED]))
    job.packages = [Package("./web.deb", "/web.deb", "all", "web")]
    job.restarts_before = {"old.service": 2}
    find_failed_units(job)
    assert [finding.subject for finding in job.findings] == ["unit other.service"]
    assert _verdict(job) is Verdict.FAILED


class _OutOfMemory(FakeMachine):
    def out_of_memory(self) -> int:
        return 2


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (HostError("no package lists", why="received signal 9"), "OOM killer ended processes in the machine (2): no p"),
        (MachineLostError("it is gone: OOM killer"), "it is gone: OOM killer"),
    ],
)
def test_what_breaks_off_for_want_of_memory(error: HostError, told: str) -> None:
    def fail(job: Job) -> None:
        raise error

    found = _run([Phase("fail", [fail])], _job(_OutOfMemory()))
    assert found and told in found.what and found.why == error.why and found.status == 3


@pytest.mark.parametrize(
    ("own_kernel", "told"), [(False, "give it more --memory"), (True, "use a container with more")]
)
def test_what_to_do_for_want_of_memory(own_kernel: bool, told: str) -> None:
    """--memory is refused with --vm."""

    class Machine(_OutOfMemory):
        capabilities = FakeMachine.capabilities._replace(own_kernel=own_kernel)

    error = HostError("no package lists")

    def fail(job: Job) -> None:
        raise error

    found = _run([Phase("fail", [fail])], _job(Machine()))
    assert found and found.hint.startswith(told)
    machine = Machine(lambda argv: Completed(0, ""), [state("failed", "failed", result="oom-kill")])
    finding = check_unit(machine, "webfs.service", stay=Stay(), deadline=Deadline(10.0))
    assert finding.outcome is Outcome.UNKNOWN and finding.hint.startswith(told)


def test_a_check_of_a_package_does_not_take_the_place_of_its_installation() -> None:
    job = _job(FakeMachine())
    job.add_installation(Finding("package web", Outcome.UNKNOWN, "cannot tell"))
    job.add(Finding("package web", Outcome.FAILED, "not installed"), is_check=True)
    assert [(finding.subject, finding.outcome) for finding in job.findings] == [
        ("package web", Outcome.UNKNOWN),
        ("package web", Outcome.FAILED),
    ]
    assert not job.runs


class _WithALimitedUnit(FakeMachine):
    def failed_units(self) -> list[str]:
        return ["other.service"]


def test_a_unit_of_another_package_that_this_machine_cannot_tell_of_is_told() -> None:
    job = _job(_WithALimitedUnit(lambda argv: Completed(0, "open /dev/kmsg: Operation not permitted"), [_FAILED]))
    job.packages, job.units = [Package("./web.deb", "/web.deb", "all", "web")], []
    find_failed_units(job)
    (found,) = job.findings
    assert found.passed
    assert found.detail.endswith("no package under test ships it")


def test_a_check_that_has_failed_is_not_tried_again_until_the_machine_is_a_new_one() -> None:
    ledger = Ledger()
    found: list[tuple[str, Outcome]] = []
    for name, goes_on in (("check", False), ("restart", False), ("check-2", True), ("upgrade", False)):
        ledger.begin_phase(name, goes_on=goes_on)
        if name == "upgrade":
            ledger.forget_checks()
        if not ledger.skips_failed("file /x"):
            ledger.add(Finding("file /x", Outcome.FAILED, "is not there"), is_check=True)
        found = [(one.phase, one.outcome) for one in ledger.findings]
    assert found == [("check", Outcome.FAILED), ("restart", Outcome.SKIPPED), ("upgrade", Outcome.FAILED)]
    ledger.begin_phase("check-3", goes_on=True)
    assert ledger.skips_failed("file /x") and [(one.phase, one.outcome) for one in ledger.findings] == found


def test_what_is_not_tried_tells_why_if_nothing_has_failed_in_this_phase() -> None:
    ledger = Ledger()
    ledger.begin_phase("check", goes_on=False)
    ledger.add(Finding("phase restart", Outcome.SKIPPED, "not tried"))
    ledger.skip("unit a.service")
    assert ledger.findings[-1].detail == "not tried, because of phase restart"
