"""Which process holds an installation open, and which one it leaves behind."""

from collections.abc import Sequence

import pytest

from postroj.deadline import Deadline
from postroj.errors import InstallError
from postroj.family.apt import FAMILY
from postroj.machine import Process
from postroj.package.install import install
from postroj.package.processes import held, names
from postroj.package.reference import Package

from .fakes import FakeMachine
from .test_install import FILE, answers


def process(
    pid: int, name: str, parent: int = 0, *, reads: str = "", writes: str = "", orphan: bool = False
) -> Process:
    return Process(pid, name, parent, orphan, frozenset(reads.split()), frozenset(writes.split()))


APT = process(10, "apt-get", reads="status")
DPKG = process(11, "dpkg", 10, writes="status")
FRONTEND = process(12, "frontend", 11, reads="answers", writes="questions")
DAEMON = process(20, "webd", writes="answers", orphan=True)
WAITING = [APT, DPKG, FRONTEND, DAEMON]


@pytest.mark.parametrize(
    ("processes", "expected"),
    [
        (WAITING, (DAEMON, FRONTEND)),
        ([APT, DPKG, FRONTEND, process(13, "web.postinst", 12, writes="answers"), DAEMON], None),
        ([APT, DPKG, FRONTEND, process(20, "webd", orphan=True)], None),
        ([APT, DPKG, process(13, "sleep", 11), DAEMON], None),
        ([process(10, "pacman", reads="a b", writes="b a"), process(20, "webd", writes="a b", orphan=True)], None),
        ([APT, DPKG], None),
        ([], None),
    ],
)
def test_held(processes: Sequence[Process], expected: tuple[Process, Process] | None) -> None:
    assert held(processes) == expected


def test_names() -> None:
    assert names([DAEMON]) == "webd (PID 20)"
    assert names([DAEMON, DPKG]) == "webd (PID 20) and dpkg (PID 11)"
    assert names([DAEMON] * 9) == "webd (PID 20), webd (PID 20), webd (PID 20) and 6 more"


@pytest.mark.parametrize(
    ("looks", "is_told"), [([WAITING] * 7, True), ([WAITING] * 6 + [[APT]] + [WAITING] * 6, False)]
)
def test_a_process_that_ends_by_itself_holds_nothing(looks: list[list[Process]], is_told: bool) -> None:
    machine = FakeMachine(answers())
    machine.looks = looks
    try:
        install(machine, FAMILY, [FILE], deadline=Deadline(100))
    except InstallError as error:
        assert is_told
        assert error.what.startswith("webd (PID 20), which the installation has left running, holds")
    else:
        assert not is_told


def test_what_is_left_is_told() -> None:
    machine = FakeMachine(answers())
    machine.left = [DAEMON]
    package = Package("./a.deb", "/x/a.deb", "all", "web", "1.0", format="deb")
    assert install(machine, FAMILY, [package], deadline=Deadline(9)).left == "webd (PID 20)"
