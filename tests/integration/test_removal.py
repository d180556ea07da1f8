"""Packages that are removed and purged by the real package managers, and those whose removal fails."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import debs
import rpmrepos
from debs import GOOD
from family_guests import FAMILIES, FamilyGuests, Guest, build
from postroj.deadline import NEVER, Deadline
from postroj.errors import LimitError, NotInstalledError, RemoveError
from postroj.package.remove import Removed, remove
from rpm_images import FAILS, rpm_images
from support import Run

pytestmark = pytest.mark.once

_CONFIG = {"/etc/case.conf": "as shipped\n", "/etc/case dir/a b": "as shipped\n"}
_CHANGED = "echo changed >/etc/case.conf"
_SHOW = "ls -d /etc/case.conf* 2>/dev/null; systemctl is-active case"


@pytest.fixture(scope="module")
def guests(postroj: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FamilyGuests]:
    with rpm_images(postroj, tmp_path_factory.mktemp("packages")) as rpms:
        yield FamilyGuests(postroj, rpms)


@pytest.mark.parametrize("name", FAMILIES)
def test_removed_and_purged(guests: FamilyGuests, tmp_path: Path, name: str) -> None:
    """With what needs it; configuration that was changed is kept by a removal, and what is gone can be asked for."""
    files = [
        build(tmp_path, name, service=GOOD, config=_CONFIG, scripts={"preun": "systemctl stop case"}),
        build(tmp_path, name, "needy", depends=["case"]),
    ]
    with guests.booted(name, files) as guest:
        case, _ = guest.packages

        def removed(*, purge: bool) -> Removed:
            return remove(guest.machine, guest.family, [case], purge=purge, deadline=NEVER)

        guest.install(0, 1)
        assert guest.read_config("case") == sorted(_CONFIG)
        assert guest.read_config("needy") == []
        guest.run(f"{_CHANGED}; systemctl start case")
        done = removed(purge=False)
        assert (len(done.commands), list(done.besides), done.absent, done.left) == (1, ["needy"], [], "")
        kept = "/etc/case.conf" + {"apt": "", "pacman": ".pacsave"}.get(name, ".rpmsave")
        assert guest.run(_SHOW) == f"{kept}\ninactive\n"
        assert kept.removeprefix("/etc/case.conf") in (*guest.family.saved_config, "")

        again = removed(purge=False)
        assert (again.commands, again.removed, len(again.absent)) == ((), (), 1)
        # Only apt knows still what it has left.
        assert len(removed(purge=True).commands) == (1 if name == "apt" else 0)
        assert (kept in guest.run(_SHOW)) == (name != "apt")
        assert removed(purge=True).commands == ()

        guest.run(f"rm -f {kept}")
        guest.install(0)
        guest.run(_CHANGED)
        done = removed(purge=True)
        assert (len(done.commands), list(done.besides)) == (1, [])
        assert (kept in guest.run(_SHOW)) == (not guest.family.purges)


@pytest.mark.parametrize("name", FAMILIES)
def test_upgraded_and_downgraded(guests: FamilyGuests, tmp_path: Path, name: str) -> None:
    """By `install`, to the version of a file; the configuration that the user has changed stays beside the new one."""
    versions = ("1.0.0", "2.0.0", "1.5.0")
    files = [build(tmp_path, name, version=one, config={"/etc/case.conf": f"of {one}\n"}) for one in versions]
    with guests.booted(name, files) as guest:
        assert guest.family.downgrades
        for number, _ in enumerate(versions):
            guest.install(number)  # it checks the version
            guest.run(_CHANGED)
        assert guest.run("cat /etc/case.conf") == "changed\n"
        beside = set(guest.run("ls -d /etc/case.conf?*").split())
        assert beside
        assert beside <= {f"/etc/case.conf{suffix}" for suffix in guest.family.new_config}


@pytest.mark.parametrize("name", ["dnf", "yum", "zypper"])
def test_names_upgraded_and_downgraded(guests: FamilyGuests, name: str) -> None:
    with guests.booted(name, ["daemon=1.0.0", "daemon", "daemon=1.0.0"]) as guest:
        found = []
        for number, _ in enumerate(guest.packages):
            guest.install(number)
            found.append(guest.run("rpm -q --queryformat '%{VERSION}' daemon"))
        assert found == ["1.0.0", "1.1.0", "1.0.0"]


class Case(NamedTuple):
    """What a package's scripts do, and what is said of its removal."""

    scripts: dict[str, str]
    told: str
    families: tuple[str, ...]
    purge: bool = False
    kind: type[NotInstalledError] = RemoveError
    seconds: float = 200


_RPM = ("dnf", "yum", "zypper")
_USER_IS_GONE = '[ "$1" != purge ] || userdel case'
_HANGS = 90
"""Seconds: a script must sleep for half a minute before it is said to hang."""
_LIMIT = "mknod /dev/case b 7 0"

CASES = {
    "prerm": Case({"preun": FAILS}, "the prerm of case failed (exit status 3): no such user: x", ("apt",)),
    "postrm": Case({"postun": FAILS}, "the postrm of case failed (exit status 3): no such user: x", ("apt",)),
    "postrm of a purge whose user is gone": Case(
        {"postun": _USER_IS_GONE}, "the postrm of case failed (exit status 6): userdel: user 'case' does not exist",
        ("apt",), purge=True,
    ),
    "prerm after lines like dpkg's": Case(
        {"preun": "echo Removing user case ...; false"}, "the prerm of case failed (exit status 1): Removing user case",
        ("apt",),
    ),
    "prerm that prints nothing": Case(
        {"preun": "exit 4"}, "the prerm of case failed (exit status 4) and printed nothing", ("apt",),
    ),
    "postrm that asks": Case(
        {"postun": "printf 'Delete all? [y/N] '; read answer; test \"$answer\" = y"},
        "the postrm of case asks for input by `read answer` (Delete all? [y/N]), and nobody answers", ("apt",),
    ),
    "postrm that calls dpkg": Case(
        {"postun": "apt-get -y remove apt-utils"}, "it calls apt-get or dpkg, which wait for the", ("apt",), purge=True,
    ),
    "prerm that hangs": Case(
        {"preun": "sleep infinity"}, "the prerm of case hangs: sleep (PID ", ("apt",), seconds=_HANGS,
    ),
    "limit": Case(
        {"preun": _LIMIT}, "this machine cannot tell: device node /dev/case", ("apt", *_RPM), kind=LimitError,
    ),
    "%preun": Case(
        {"preun": FAILS}, "the %preun scriptlet of case failed (exit status 3): no such user: x", _RPM,
    ),
    "%postun": Case(
        {"postun": FAILS}, "the %postun scriptlet of case failed (exit status 3): no such user: x", _RPM,
    ),
    "%postun that prints nothing": Case(
        {"postun": "exit 4"}, "the %postun scriptlet of case failed (exit status 4) and printed nothing", _RPM,
    ),
    "%preun that asks": Case(
        {"preun": "printf 'Sure? [y/N] '; read answer; test \"$answer\" = y"},
        "the %preun scriptlet of case asks for input by `read answer` (Sure? [y/N]), and nobody answers", _RPM,
    ),
    "%preun that is killed": Case(
        {"preun": "kill -KILL $$"}, "the %preun scriptlet of case failed (signal 9) and printed nothing", _RPM,
    ),
    "pre_remove": Case({"preun": FAILS}, "the install script of case failed: no such user: x", ("pacman",)),
    "post_remove": Case({"postun": FAILS}, "the install script of case failed: no such user: x", ("pacman",)),
    "post_remove that is killed": Case(
        {"postun": "kill -KILL $$"}, "the install script of case failed (signal 9) and printed nothing", ("pacman",),
        purge=True,
    ),
}  # fmt: skip


def _pairs() -> list[Any]:
    return [pytest.param(name, case, id=f"{name}: {what}") for what, case in CASES.items() for name in case.families]


@pytest.mark.parametrize(("name", "case"), _pairs())
def test_a_failed_removal_is_explained(guests: FamilyGuests, tmp_path: Path, name: str, case: Case) -> None:
    with guests.booted(name, [build(tmp_path, name, scripts=case.scripts)]) as guest:
        guest.install(0)
        with pytest.raises(case.kind) as caught:
            remove(guest.machine, guest.family, guest.packages, purge=case.purge, deadline=Deadline(case.seconds))
    assert caught.value.what.startswith(case.told) or case.told in caught.value.what, caught.value.why
    assert caught.value.status == (3 if case.kind is LimitError else 1)
    assert caught.value.why.startswith("$ ")


def test_what_cannot_be_removed(guests: FamilyGuests) -> None:
    """A package that the system cannot do without is refused before anything is changed."""
    with guests.booted("apt", ["bash"]) as guest:
        with pytest.raises(RemoveError, match="Essential packages were removed"):
            remove(guest.machine, guest.family, guest.packages, purge=True, deadline=NEVER)
        assert guest.run("bash -c 'echo there'") == "there\n"


_TRIGGERED = 'if [ "$1" = triggered ]; then echo no trigger today; exit 5; fi'
_WATCHED = {"/usr/share/watched/case": "1"}
_FILE_TRIGGER = """
Name: watcher
Version: 1.0.0
Release: 1
Summary: a package under test
License: none
BuildArch: noarch
AutoReqProv: no
%description
none
{trigger} -- {what}
echo no trigger today >&2
exit 5
%files
"""
TRIGGERS = {
    "%triggerin": "case",
    "%triggerun": "case",
    "%triggerpostun": "case",
    "%filetriggerin": "/usr/share/watched",
    "%filetriggerun": "/usr/share/watched",
    "%filetriggerpostun": "/usr/share/watched",
    "%transfiletriggerin": "/usr/share/watched",
    "%transfiletriggerun": "/usr/share/watched",
    "%transfiletriggerpostun": "/usr/share/watched",
}


def _told(guest: Guest, mend: str = "true") -> list[str]:
    """Return what is said of the installation of case, of its upgrade and its removal; empty for success.

    `mend` is run after each.
    """
    told = []

    def attempt(what: Callable[[], object]) -> None:
        try:
            what()
        except NotInstalledError as error:
            told.append(error.what)
        else:
            told.append("")
        guest.run(mend)

    attempt(lambda: guest.install(1))
    attempt(lambda: guest.install(2))
    attempt(lambda: remove(guest.machine, guest.family, [guest.packages[1]], purge=False, deadline=NEVER))
    return told


_KINDS_OF_TRIGGERS = ("%triggerin", "%triggerun", "%filetriggerin", "%transfiletriggerun")
"""Of dnf, which has one word for all of them, and takes its time."""


@pytest.mark.parametrize(("name", "triggers"), [("dnf", _KINDS_OF_TRIGGERS), ("zypper", tuple(TRIGGERS))])
def test_triggers_of_rpm(guests: FamilyGuests, tmp_path: Path, name: str, triggers: tuple[str, ...]) -> None:
    """At an installation, an upgrade and a removal."""
    versions = [build(tmp_path, name, files={**_WATCHED}, version=one) for one in ("1.0.0", "2.0.0")]
    seen: dict[str, list[bool]] = {}
    for trigger in triggers:
        spec = _FILE_TRIGGER.format(trigger=trigger, what=TRIGGERS[trigger])
        watcher = rpmrepos.rpmbuild(guests.rpms.root, spec)
        with guests.booted(name, [watcher, *versions]) as guest:
            guest.install(0)
            told = _told(guest)
        expected = f"the {trigger} scriptlet of watcher failed (exit status 5): no trigger today"
        assert set(told) <= {expected, ""}, told
        seen[trigger] = [bool(one) for one in told]
    assert all(any(found) for found in seen.values()), seen
    assert [seen["%triggerin"], seen["%triggerun"]] == [[True, True, False], [False, True, True]]


def test_trigger_of_dpkg(guests: FamilyGuests, tmp_path: Path) -> None:
    interest = {"triggers": "interest-noawait /usr/share/watched\n"}
    watcher = debs.build(tmp_path, "watcher", service=None, postinst=_TRIGGERED, control=interest)
    versions = [build(tmp_path, "apt", files={**_WATCHED}, version=one) for one in ("1.0.0", "2.0.0")]
    expected = "the postinst of watcher failed (exit status 5) when it was run for a trigger: no trigger today"
    with guests.booted("apt", [watcher, *versions]) as guest:
        guest.install(0)
        told = _told(guest, "dpkg --configure --pending")
    assert told == [expected] * 3
