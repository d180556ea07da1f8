"""Who is blamed for what goes wrong while packages are installed."""

from collections.abc import Callable, Sequence
from functools import partial

import pytest

from postroj import events
from postroj.contract import Completed
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, HostError, InstallError, MachineLostError
from postroj.family import Commands
from postroj.family.apt import FAMILY
from postroj.package.install import Installed, install
from postroj.package.reference import Package

from .fakes import Answer, FakeMachine

FILE = Package("./a.deb", "/x/a.deb", "all", "web", "1.0", format="deb")
NAME = Package("web", "", "", "web")
LOCAL = Completed(0, "Inst web (1.0 local-deb [all])\nConf web (1.0 local-deb [all])\n")
REMOTE = Completed(0, f"Inst lib (2.0 Debian:12.8/stable [amd64])\n{LOCAL.output}")
OK = Completed(0, "fine\n")
THERE = Completed(0, "installed 1.0\n")


def kind(argv: Sequence[str]) -> str:
    if argv[0] == "sh":
        return "check"
    resolve: Callable[[Sequence[str]], Commands] = partial(FAMILY.resolve, lists=True)
    commands = {"resolve": resolve, "fetch": FAMILY.fetch, "install": FAMILY.install}
    if list(argv) == FAMILY.update():
        return "update"
    return next(name for name, command in commands.items() if command([argv[-1]]) == [list(argv)])


def answers(**given: Answer | list[Answer]) -> Callable[[Sequence[str]], Answer]:
    """What apt answers: a list is played one after the other; what is not given goes well, without a download."""

    def answer(argv: Sequence[str]) -> Answer:
        told = given.get(kind(argv), {"resolve": LOCAL, "check": THERE}.get(kind(argv), OK))
        return told.pop(0) if isinstance(told, list) else told

    return answer


def done(machine: FakeMachine) -> list[str]:
    return [kind(argv) for argv in machine.commands]


def put(machine: FakeMachine, package: Package = FILE, *, offline: bool = False) -> Installed:
    return install(machine, FAMILY, [package], deadline=Deadline(100), offline=offline)


def test_a_file_that_needs_nothing_does_not_touch_the_repositories() -> None:
    machine = FakeMachine(answers())
    put(machine)
    assert done(machine) == ["resolve", "install", "check"]


def test_a_file_that_needs_something_here_already() -> None:
    machine = FakeMachine(answers(resolve=Completed(0, "Reading package lists...\n")))
    put(machine)
    assert done(machine) == ["resolve", "install", "check"]


RECOMMENDS = Completed(0, f"Recommended packages:\n  lib\n{LOCAL.output}")
UNMET = Completed(
    100,
    "The following packages have unmet dependencies:\n web : Depends: lib but it is not installable\nE: Unable to"
    " correct problems, you have held broken packages.\n",
)


@pytest.mark.parametrize(
    ("first", "told"),
    [
        (REMOTE, "web.deb cannot be installed with what the image has: it takes a download of lib, and --offline"),
        (UNMET, "with what the image has: web depends on lib .*, and --offline forbids downloads"),
    ],
)
def test_offline_what_a_file_needs_is_told_and_not_downloaded(first: Completed, told: str) -> None:
    machine = FakeMachine(answers(resolve=first))
    with pytest.raises(HostError, match=told) as caught:
        put(machine, FILE._replace(file="/x/web.deb"), offline=True)
    assert caught.value.status == 3 and done(machine) == ["resolve"]


@pytest.mark.parametrize("first", [LOCAL, RECOMMENDS])
def test_offline_a_file_is_installed_without_what_it_recommends(first: Completed) -> None:
    machine, told = FakeMachine(answers(resolve=first)), list[events.Event]()
    with events.subscribed(told.append):
        put(machine, offline=True)
    assert done(machine) == ["resolve", "install", "check"]
    warned = [one.text for one in told if isinstance(one, events.Warn)]
    assert warned == (["recommended packages are left out, as --offline forbids downloads: lib"] * (first is not LOCAL))


def test_what_is_recommended_is_looked_for_in_the_repositories() -> None:
    machine = FakeMachine(answers(resolve=[Completed(0, f"Recommended packages:\n  lib\n{LOCAL.output}"), REMOTE]))
    assert "installed besides: lib 2.0" in put(machine).report()
    assert done(machine) == ["resolve", "update", "resolve", "fetch", "install", "check"]


def test_the_report_has_the_commands_and_what_came_along() -> None:
    lines = put(FakeMachine(answers(resolve=REMOTE)), NAME).report().splitlines()
    assert [line.split()[3] for line in lines if line.startswith("$ ")] == ["update", "install", "install"]
    assert lines[-1] == "installed besides: lib 2.0"


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("unknown -", "web is not installed, although apt-get ended with success: it is unknown"),
        ("unpacked 1.0", "web is not installed, although apt-get ended with success: it is unpacked"),
        ("installed 0.9", "web 1.0 was asked for, and 0.9 is installed"),
        (
            "installed 1.0 postinst md5sums",
            r"web 1.0 .* does not come from ./a.deb: its postinst and md5sums are not that of the file",
        ),
    ],
)
def test_what_was_asked_for_is_what_is_installed(state: str, told: str) -> None:
    with pytest.raises(InstallError, match=told):
        put(FakeMachine(answers(check=Completed(0, f"{state}\n"))))


@pytest.mark.parametrize("check", [Completed(127, "sh: not found\n"), Completed(0, ""), Completed(0, "a\nb\n")])
def test_a_guest_in_which_nothing_can_be_checked_any_more(check: Completed) -> None:
    with pytest.raises(InstallError, match="dpkg does not work any more"):
        put(FakeMachine(answers(check=check)))


def test_a_virtual_package_is_one_that_another_provides() -> None:
    machine = FakeMachine(
        answers(resolve=Completed(0, "Inst exim (4 Debian:12 [all])"), check=Completed(0, "unknown -\n"))
    )
    put(machine, Package("mail", "", "", "mail"))


@pytest.mark.parametrize("first", [REMOTE, Completed(100, "E: Unable to correct problems")])
def test_a_file_that_needs_more_gets_it(first: Completed) -> None:
    machine = FakeMachine(answers(resolve=[first, REMOTE]))
    put(machine)
    assert done(machine) == ["resolve", "update", "resolve", "fetch", "install", "check"]


def test_a_name_is_always_looked_up_in_fresh_lists() -> None:
    machine = FakeMachine(answers())
    put(machine, NAME)
    assert done(machine)[-5:] == ["update", "resolve", "fetch", "install", "check"]


def test_the_package_is_blamed_where_its_dependencies_cannot_be_met() -> None:
    machine = FakeMachine(answers(resolve=Completed(100, "E: Unmet dependencies: no-such")))
    with pytest.raises(InstallError, match="Unmet dependencies: no-such") as caught:
        put(machine)
    assert "no-such" in caught.value.why
    assert "install" not in done(machine)


def test_the_package_is_blamed_where_it_does_not_install() -> None:
    machine = FakeMachine(answers(install=Completed(100, "postinst failed")))
    with pytest.raises(InstallError, match="did not install \\(status 100\\)") as caught:
        put(machine)
    assert caught.value.why.endswith("postinst failed")


@pytest.mark.parametrize("step", ["update", "fetch"])
def test_the_host_is_blamed_where_the_network_fails(step: str) -> None:
    machine = FakeMachine(answers(**{step: Completed(100, "E: Could not resolve host")}))
    with pytest.raises(HostError) as caught:
        put(machine, NAME)
    assert "Could not resolve host" in caught.value.why
    assert "install" not in done(machine)


@pytest.mark.parametrize(
    "output", ["dpkg: error: No space left on device", "No space left on device\n" + "more\n" * 200]
)
def test_the_host_is_blamed_where_the_disk_is_full(output: str) -> None:
    with pytest.raises(HostError, match="disk is full"):
        put(FakeMachine(answers(install=Completed(100, output)), free=1000))


def test_a_package_that_only_says_that_the_disk_is_full_is_blamed() -> None:
    with pytest.raises(InstallError):
        put(FakeMachine(answers(install=Completed(100, "No space left on device")), free=10**9))


def test_a_word_of_a_full_disk_in_an_installation_that_went_well_is_nothing() -> None:
    put(FakeMachine(answers(install=Completed(0, "No space left on device"))))


def test_nobody_is_blamed_where_the_time_for_all_of_it_is_up() -> None:
    with pytest.raises(DeadlineError, match=r"--timeout expired while a\.deb was being installed"):
        put(FakeMachine(answers(install=DeadlineError("too long"))))


def test_the_host_is_blamed_where_an_old_apt_goes_on_without_a_list() -> None:
    output = "W: Some index files failed to download. They have been ignored, or old ones used instead.\n"
    machine = FakeMachine(answers(update=Completed(0, output)))
    with pytest.raises(HostError, match="cannot reach its package repositories"):
        put(machine, NAME)
    assert "install" not in done(machine)


@pytest.mark.parametrize("step", ["resolve", "update", "fetch"])
def test_what_takes_too_long_before_is_not_the_packages_fault(step: str) -> None:
    with pytest.raises(DeadlineError):
        put(FakeMachine(answers(**{step: DeadlineError("too long")})), NAME)


@pytest.mark.parametrize("step", ["resolve", "update", "fetch", "install", "check"])
def test_a_guest_that_goes_away_is_not_the_packages_fault(step: str) -> None:
    with pytest.raises(MachineLostError):
        put(FakeMachine(answers(**{step: MachineLostError("gone")})), NAME)


def test_the_error_has_everything_and_an_excerpt() -> None:
    output = "".join(f"line {number}\n" for number in range(1000))
    with pytest.raises(InstallError) as caught:
        put(FakeMachine(answers(install=Completed(1, output))))
    lines = caught.value.why.splitlines()
    assert lines[0].startswith("$ DEBIAN_FRONTEND=noninteractive apt-get install ")
    assert lines[1:] == output.splitlines()
    assert caught.value.excerpt.splitlines() == lines[-10:]


def test_steps_are_told() -> None:
    told: list[str] = []

    def listen(event: events.Event) -> None:
        if isinstance(event, events.Step):
            told.append(event.text)

    with events.subscribed(listen):
        put(FakeMachine(answers()))
    assert told == ["installing a.deb"]


_NEEDS = {"web": "web-common (= 1.0)", "web-common": "web-core (= 1:1.0), libc6 (= 2.36)"}
_ALL = (
    "Inst libc6 [2.36] (2.36 D [a])\nInst web-core (1:1.0 D [a])\nInst web-common (1.0 D [a])\nInst web (1.0 D [a])\n"
)


def test_an_older_version_is_asked_for_with_what_it_needs_in_that_version() -> None:
    """What is there in this version is not: apt-get would install it again."""

    def answer(argv: Sequence[str]) -> Completed:
        if argv[0] == "apt-cache":
            names = [word.partition("=")[0] for word in argv]
            return Completed(0, "".join(f"Depends: {_NEEDS[name]}\n" for name in names if name in _NEEDS))
        if argv[0] == "sh":
            return THERE
        if "--simulate" not in argv:
            return OK
        return Completed(0, _ALL) if {"web-common=1.0", "web-core=1:1.0"} <= set(argv) else UNMET

    machine = FakeMachine(answer)
    put(machine, Package("web=1.0", "", "", "web", "1.0"))
    words = [argv[argv.index("--") + 1 :] for argv in machine.commands if argv[0] == "apt-get" and "--" in argv]
    assert words[-3:] == [["web=1.0", "web-common=1.0", "web-core=1:1.0"]] * 3  # resolved, fetched, installed
    assert not any(argv[0] == "apt-cache" and "web" in argv for argv in machine.commands)
