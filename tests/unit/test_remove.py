"""Who is blamed for what goes wrong while packages are removed."""

from collections.abc import Callable, Sequence

import pytest

from postroj import events
from postroj.contract import Completed
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, HostError, LimitError, MachineLostError, RemoveError
from postroj.family import Family, apt, dnf, pacman
from postroj.package.reference import Package
from postroj.package.remove import Removed, remove

from .fakes import Answer, FakeMachine

FILE = Package("./a.deb", "/x/a.deb", "all", "web", "1.0", format="deb")
NAME = Package("lib=1.0", "", "", "lib", "1.0")
LIST = "The following packages will be REMOVED:\n  dep lib web\n"
GOOD = Completed(0, LIST)
FAILED = (
    "Removing web (1.0) ...\n{words}dpkg: error processing package web (--remove):\n"
    " installed web package pre-removal script subprocess returned error exit status 3\n"
)


class Database:
    """What apt and dpkg answer; the status of each package is that of the list, one after the other."""

    def __init__(self, removal: Answer = GOOD, **states: list[str]) -> None:
        self.removal = removal
        self.states = {"web": ["installed 1.0", ""], "lib": ["installed 1.0", ""], **states}

    def __call__(self, argv: Sequence[str]) -> Answer:
        if argv[0] == "apt-get":
            return self.removal
        if "--control-show" in argv:
            return Completed(1, "")
        states = self.states[argv[-1].partition(":")[0]]
        state = states.pop(0) if len(states) > 1 else states[0]
        return Completed(0, f"{state}\n") if state else Completed(1, "dpkg-query: no packages found")


def take(
    answer: Callable[[Sequence[str]], Answer], *packages: Package, purge: bool = False, of: Family = apt.FAMILY
) -> Removed:
    machine = FakeMachine(answer)
    return remove(machine, of, packages or (FILE,), purge=purge, deadline=Deadline(100))


def test_what_had_to_go_as_well_is_told() -> None:
    done = take(Database(), FILE, NAME)
    assert (done.removed, done.absent, done.besides) == (["web:all", "lib"], [], ["dep"])
    (command,) = done.commands
    assert command.startswith("DEBIAN_FRONTEND=noninteractive apt-get remove ")
    assert command.endswith(" -- web:all lib")
    assert done.report().splitlines() == [f"$ {command}", "removed besides: dep"]


def test_what_is_gone_is_left_out() -> None:
    done = take(Database(web=[""]), FILE, NAME)
    assert (done.removed, done.absent) == (["lib"], ["web:all"])
    assert done.commands[0].endswith(" -- lib")
    assert done.report().splitlines()[-1] == "not installed: web:all"
    assert take(Database(web=[""])) == Removed(absent=["web:all"])


@pytest.mark.parametrize("state", ["config-files 1.0", "not-installed", "not-installed "])
def test_configuration_that_is_left_is_no_fault_of_a_removal(state: str) -> None:
    assert take(Database(web=["installed 1.0", state])).removed == ["web:all"]
    assert take(Database(web=[state])).commands == ()


def test_configuration_that_is_left_can_be_purged() -> None:
    assert " purge " in take(Database(web=["config-files 1.0", ""]), purge=True).commands[0]
    assert take(Database(web=["not-installed"]), purge=True).commands == ()
    with pytest.raises(RemoveError, match=r"web is still there, although apt-get .*: it is config-files"):
        take(Database(web=["config-files 1.0"]), purge=True)


def test_a_family_that_cannot_purge_removes() -> None:
    states = ["installed 1.0", ""]

    def answer(argv: Sequence[str]) -> Answer:
        return Completed(0, states.pop(0)) if argv[0] == "rpm" else Completed(0, "")

    rpm = FILE._replace(architecture="noarch", format="rpm")
    (command,) = take(answer, rpm, purge=True, of=dnf.FAMILY).commands
    assert command.startswith("dnf remove ") and command.endswith(" web.noarch")
    assert pacman.FAMILY.purge(["web"]) != pacman.FAMILY.remove(["web"])


@pytest.mark.parametrize("state", ["installed 1.0", "half-installed 1.0", "half-configured 1.0"])
def test_the_package_is_blamed_if_it_is_still_there(state: str) -> None:
    with pytest.raises(RemoveError, match=f"still there, although apt-get ended with success: it is {state[:-4]}"):
        take(Database(web=["installed 1.0", state]))


def test_the_package_is_blamed_if_its_script_fails() -> None:
    with pytest.raises(RemoveError, match=r"the prerm of web failed \(exit status 3\): no such user") as caught:
        take(Database(Completed(100, FAILED.format(words="no such user\n"))))
    assert caught.value.status == 1
    assert caught.value.why.startswith("$ DEBIAN_FRONTEND=noninteractive apt-get remove ")
    with pytest.raises(RemoveError, match=r"web could not be removed \(status 100\)"):
        take(Database(Completed(100, "")))


def test_the_package_is_blamed_if_it_takes_the_database_along() -> None:
    answers = iter([Completed(0, "installed 1.0"), Completed(0, LIST), Completed(127, "")])
    with pytest.raises(RemoveError, match="there is no dpkg any more"):
        take(lambda argv: next(answers))


def test_nobody_is_blamed_for_what_the_machine_lacks() -> None:
    words = "mknod: /dev/x: Operation not permitted\n"
    with pytest.raises(LimitError, match="this machine cannot tell: device node /dev/x"):
        take(Database(Completed(100, FAILED.format(words=words))))


def test_nobody_is_blamed_if_the_time_is_up() -> None:
    late = DeadlineError("too long", why="Removing web (1.0) ...\n")
    with pytest.raises(DeadlineError, match="--timeout expired while web was being purged"):
        take(Database(late), purge=True)


def test_the_host_is_blamed_for_a_full_disk_and_a_lost_guest() -> None:
    machine = FakeMachine(Database(Completed(100, "dpkg: error: No space left on device")), free=1000)
    with pytest.raises(HostError, match="disk is full: web could not be removed"):
        remove(machine, apt.FAMILY, [FILE], purge=False, deadline=Deadline(100))
    with pytest.raises(MachineLostError):
        take(Database(MachineLostError("gone")))


@pytest.mark.parametrize(("purge", "told"), [(False, "removing web"), (True, "purging web")])
def test_steps_are_told(purge: bool, told: str) -> None:
    seen = list[events.Event]()
    with events.subscribed(seen.append):
        take(Database(), purge=purge)
    assert [one.text for one in seen if isinstance(one, events.Step)] == [told]
