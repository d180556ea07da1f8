"""Which process holds an installation open, and which one it leaves behind."""

from collections.abc import Sequence

import pytest

from postroj.contract import Process
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, InstallError, PostrojError
from postroj.family.apt import FAMILY
from postroj.package.install import install
from postroj.package.processes import ForegroundError, InstallWatcher, held, in_foreground, names
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


APT_WAITS, DPKG_WAITS = (one._replace(is_sleeping=True) for one in (APT, DPKG))
SCRIPT = process(12, "case.postinst", 11)._replace(is_sleeping=True)
SLEEP = process(13, "sleep", 12)._replace(is_sleeping=True)
STUCK = [APT_WAITS, DPKG_WAITS, SCRIPT, SLEEP]
BEGUN = "Setting up case (1.0) ...\n"


def _overdue(looks: list[list[Process]], output: str = BEGUN) -> PostrojError:
    """Return the error of an installation whose time is up after these looks at its processes."""
    late = DeadlineError("too long", why=output)
    machine = FakeMachine(answers(install=late))
    machine.looks = looks
    with pytest.raises(PostrojError) as caught:
        install(machine, FAMILY, [FILE], deadline=Deadline(100))
    return caught.value


@pytest.mark.parametrize(
    "looks",
    [
        pytest.param([STUCK] * 7, id="one process"),
        pytest.param([[*STUCK[:3], SLEEP._replace(pid=pid)] for pid in range(20, 40)], id="one after the other"),
        pytest.param([[*STUCK[:3], SLEEP._replace(has_socket=True)]] + [STUCK] * 7, id="after a connection"),
        pytest.param([STUCK] * 5 + [[*STUCK[:3], SLEEP._replace(is_sleeping=False)], STUCK], id="works for a moment"),
        pytest.param([[*STUCK, DAEMON._replace(has_socket=True)]] * 7, id="beside a daemon"),
    ],
)
def test_a_script_that_hangs_is_the_packages_fault(looks: list[list[Process]]) -> None:
    error = _overdue(looks)
    assert isinstance(error, InstallError)
    assert error.what.startswith("the postinst of case hangs: sleep (PID ")


@pytest.mark.parametrize(
    ("looks", "output", "told"),
    [
        pytest.param([STUCK] * 5, BEGUN, "sleep (PID 13) still running in the postinst of case", id="not for long"),
        pytest.param(
            [[*STUCK[:3], SLEEP._replace(name="curl", has_socket=True)]] * 9, BEGUN,
            "curl (PID 13) still running in the postinst of case", id="downloads",
        ),
        pytest.param(
            [STUCK] * 9 + [[*STUCK[:3], SLEEP._replace(name="curl", has_socket=True)]], BEGUN,
            "curl (PID 13) still running in the postinst of case", id="downloads in the end",
        ),
        pytest.param(
            [STUCK, STUCK, [*STUCK[:3], SLEEP._replace(name="cc1", is_sleeping=False)]] * 9 + [STUCK], BEGUN,
            "still running in the postinst of case", id="works",
        ),
        pytest.param([STUCK[:2]] * 9, BEGUN, "dpkg (PID 11) still running", id="dpkg itself"),
        pytest.param([STUCK] * 9, "Unpacking case (1.0) ...\n", "sleep (PID 13) still running", id="no script"),
        pytest.param([[]] * 9, BEGUN, "--timeout expired while a.deb was being installed", id="nothing seen"),
    ],
)  # fmt: skip
def test_what_may_be_slow_only_is_nobodys_fault(looks: list[list[Process]], output: str, told: str) -> None:
    error = _overdue(looks, output)
    assert isinstance(error, DeadlineError)
    assert error.what.startswith("--timeout expired while a.deb was being installed") and told in error.what


WEBD = process(13, "webd", 12)._replace(is_sleeping=True, listens=("0.0.0.0:80",))
LISTENING = [*STUCK[:3], WEBD]
ANSWERING = [*STUCK[:3], WEBD._replace(has_socket=True)]


@pytest.mark.parametrize(
    ("looks", "is_told"),
    [
        ([LISTENING] * 13, True),
        ([LISTENING] * 12, False),
        ([*[LISTENING] * 12, ANSWERING, *[LISTENING] * 12], False),
        ([[*STUCK[:3], WEBD._replace(pid=pid)] for pid in range(20, 60)], False),
        ([[*LISTENING, process(14, "cc1", 12)]] * 20, False),
        ([STUCK] * 20, False),
    ],
)
def test_a_daemon_in_the_foreground_is_not_waited_for(looks: list[list[Process]], is_told: bool) -> None:
    watcher = InstallWatcher(("apt-get", "dpkg"), (told := list[str]()).append)
    try:
        for look in looks:
            watcher.running(look)
    except ForegroundError as error:
        assert is_told and error.process == WEBD
        assert in_foreground(WEBD, "the postinst of web") == (
            "the postinst of web runs webd (PID 13) in the foreground, which listens on 0.0.0.0:80,"
            " and waits for its end"
        )
    else:
        assert not is_told
    assert bool(told) is (looks[0] == LISTENING)


def test_a_daemon_in_the_foreground_is_told_when_the_time_is_up() -> None:
    error = _overdue([LISTENING] * 7)
    assert isinstance(error, InstallError)
    assert error.what.startswith("the postinst of case runs webd (PID 13) in the foreground")


def test_what_is_left_is_told() -> None:
    machine = FakeMachine(answers())
    machine.left = [DAEMON]
    package = Package("./a.deb", "/x/a.deb", "all", "web", "1.0", format="deb")
    assert install(machine, FAMILY, [package], deadline=Deadline(9)).left == "webd (PID 20)"
