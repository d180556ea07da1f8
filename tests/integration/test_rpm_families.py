"""Packages for dnf 4, dnf 5, yum and zypper, installed by the real ones in stand-ins for their images (standins.py).

yum is dnf by another name in its stand-in, as it is since RHEL 8: it gets a few of the cases.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import rpmrepos
from badinput import assert_refused, assert_told
from packages import STOPPED, build
from postroj import family
from postroj import image as images
from postroj.container import Bind, Container, Options
from postroj.deadline import NEVER
from postroj.errors import HostError
from postroj.package.install import install
from postroj.package.reference import Package, open_packages
from reposerver import RepositoryServer
from rpm_images import FAILS, RpmImages, rpm_images
from standins import family_of
from support import Run

pytestmark = pytest.mark.once

FAMILIES = ("dnf", "dnf5", "yum", "zypper")
_MAIN = ("dnf", "dnf5", "zypper")
_QUICK = "--stay-active=0"
_HOST = "--network=host"
"""The repository is on loopback."""

# Of nfpm's packages each script is run by sh.
_STRANGE_INTERPRETER = """
Name: case
Version: 1.0.0
Release: 1
Summary: a package under test
License: none
BuildArch: noarch
AutoReqProv: no
Provides: /usr/bin/fish
%description
none
%post -p /usr/bin/fish
true
%files
"""


@pytest.fixture(scope="module")
def rpms(postroj: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RpmImages]:
    with rpm_images(postroj, tmp_path_factory.mktemp("packages")) as made:
        yield made


class Case(NamedTuple):
    """What a package does, and what is said of it in the first line."""

    package: dict[str, Any]
    status: int
    told: str
    words: tuple[str, ...] = ()
    families: tuple[str, ...] = _MAIN


CASES = {
    # scriptlets
    "pretrans": Case(
        {"scripts": {"pretrans": FAILS}}, 1,
        "the %pretrans scriptlet of case failed (exit status 3): no such user: x",
    ),
    "pre": Case({"scripts": {"pre": FAILS}}, 1, "the %pre scriptlet of case failed (exit status 3): no such user: x"),
    "post": Case(
        {"scripts": {"post": FAILS}}, 1, "the %post scriptlet of case failed (exit status 3): no such user: x",
        families=FAMILIES,
    ),
    "posttrans": Case(
        {"scripts": {"posttrans": FAILS}}, 1,
        "the %posttrans scriptlet of case failed (exit status 3): no such user: x",
    ),
    "preun of the version that was there": Case(
        {"name": "old-preun", "version": "2.0.0"}, 1,
        "the %preun scriptlet of old-preun failed (exit status 3): no such user: x",
    ),
    "postun of the version that was there": Case(
        {"name": "old-postun", "version": "2.0.0"}, 1,
        "the %postun scriptlet of old-postun failed (exit status 3): no such user: x",
    ),
    "prints nothing": Case(
        {"scripts": {"post": "exit 4"}}, 1, "the %post scriptlet of case failed (exit status 4) and printed nothing",
    ),
    "leaves a long line open": Case(
        {"scripts": {"post": "printf '%9000s' x; exit 3"}}, 1, "the %post scriptlet of case failed (exit status 3): x",
    ),
    "is killed": Case(
        {"scripts": {"pre": "kill -KILL $$"}}, 1, "the %pre scriptlet of case failed (signal 9) and printed nothing",
    ),
    "asks": Case(
        {"scripts": {"pre": "printf 'Accept? [y/N] '; read answer; test \"$answer\" = y"}}, 1,
        "the %pre scriptlet of case asks for input by `read answer` (Accept? [y/N]), and nobody answers",
    ),
    "does not end": Case(
        {"scripts": {"post": STOPPED}}, 3,
        "--timeout expired while case-1.0.0-1.noarch.rpm was being installed: sh (PID ", ("--timeout=60",),
        ("dnf", "dnf5"),
    ),
    "starts a unit that fails": Case(
        {"service": "echo no licence; exit 7", "unit": {"Type": "oneshot"},
         "scripts": {"post": "systemctl daemon-reload; systemctl start case"}}, 1,
        "the %post scriptlet of case failed (exit status 1): unit case.service: failed (Result: exit-code)"
        ": status 7: no licence",
    ),
    "kernel setting": Case(
        {"scripts": {"pre": "echo 262144 >/proc/sys/vm/max_map_count"}}, 3,
        "this machine cannot tell: kernel setting /proc/sys/vm/max_map_count",
    ),
    # dependencies and files
    "unmet dependency": Case(
        {"depends": ["no-such-thing >= 2"]}, 1, "case requires no-such-thing >= 2, which nothing provides", (_HOST,),
        FAMILIES,
    ),
    "dependency that lacks another": Case(
        {"depends": ["lacking"]}, 1, "lacking requires no-such-thing, which nothing provides", (_HOST,),
    ),
    "dependency whose scriptlet fails": Case(
        {"depends": ["broken"]}, 1, "the %post scriptlet of broken failed (exit status 3): no such user: x", (_HOST,),
    ),
    "conflict": Case({"conflicts": ["same"]}, 1, "case conflicts with same", (_HOST,)),
    "file of another package": Case(
        {"files": {"/usr/libexec/same": "mine"}}, 1, "/usr/libexec/same of case is also in the package same", (),
        FAMILIES,
    ),
    "init script that systemd does not read": Case(
        {"service": None, "files": {"/etc/init.d/case": "#!/bin/sh\n"}}, 1,
        "unit case.service: does not exist: there is only /etc/init.d/case, and systemd 26", (), ("dnf5",),
    ),
    # the disk, which is nobody's fault
    "download is more than the disk": Case(
        {"depends": ["big"]}, 3, "the guest's disk is full: case-", ("--disk=12M", _HOST),
    ),
    "unpacked is more than the disk": Case(
        {"files": {"/usr/share/case": "x" * 25_000_000}}, 3, "the guest's disk is full: case-", ("--disk=16M",),
    ),
    "script fills the disk": Case(
        {"scripts": {"post": "head -c 60M /dev/zero >/var/case"}}, 3, "the guest's disk is full: case-",
        ("--disk=32M",),
    ),
}  # fmt: skip


def _pairs() -> list[Any]:
    return [pytest.param(name, case, id=f"{name}: {what}") for what, case in CASES.items() for name in case.families]


def first_line(done: "subprocess.CompletedProcess[str]") -> str:
    """The line that says why; without a finding, it is the sentence on standard error."""
    told = [line for line in done.stderr.splitlines() if line.startswith("postroj: ")]
    return (done.stdout.splitlines() or told)[0]


@pytest.mark.parametrize(("name", "case"), _pairs())
def test_the_first_line_names_the_fault(postroj: Run, rpms: RpmImages, tmp_path: Path, name: str, case: Case) -> None:
    package = build(tmp_path, **{"name": "case", **case.package})
    image = f"--image={rpms.image(name)}"
    done = postroj("pkgprobe", image, f"--package={package}", _QUICK, *case.words, env=rpms.env)
    assert done.returncode == case.status, done.stdout + done.stderr
    assert case.told in first_line(done), done.stdout + done.stderr


@pytest.mark.parametrize("name", FAMILIES)
def test_a_service_is_started_though_no_policy_does(postroj: Run, rpms: RpmImages, tmp_path: Path, name: str) -> None:
    words = ["pkgprobe", f"--image={rpms.image(name)}", f"--package={build(tmp_path, 'case')}", _QUICK]
    done = postroj(*words, env=rpms.env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unit case.service: active (running); started by postroj: the package leaves it disabled" in done.stdout
    if name == "yum":
        return
    done = postroj(*words, "--start=never", "--expect-enabled", env=rpms.env)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAIL unit case.service: inactive" in done.stdout
    assert "FAIL enablement of case.service: `systemctl is-enabled` says disabled" in done.stdout


@pytest.mark.parametrize("name", _MAIN)
def test_another_architecture_is_refused(postroj: Run, rpms: RpmImages, tmp_path: Path, name: str) -> None:
    package = build(tmp_path, "case", architecture="s390x")
    done = postroj("pkgprobe", f"--image={rpms.image(name)}", f"--package={package}", env=rpms.env)
    assert_refused(done, 2, f"{package} is for s390x, and the image {name} is ")


@pytest.mark.parametrize("name", _MAIN)
def test_recommended_packages_come_along(postroj: Run, rpms: RpmImages, tmp_path: Path, name: str) -> None:
    package = build(tmp_path, "case", recommends=["library"])
    words = [f"--image={rpms.image(name)}", f"--package={package}", _QUICK, _HOST, "-v"]
    done = postroj("pkgprobe", *words, env=rpms.env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "installed besides: library" in done.stdout


NAMES = {
    "daemon": (0, "package daemon: installed"),
    "daemon=1.0.0": (0, "package daemon=1.0.0: installed"),
    "daemon=9.9": (1, "there is no package daemon"),
    "no-such-package": (1, "there is no package no-such-package in the repositories"),
}


@pytest.mark.parametrize("reference", NAMES)
@pytest.mark.parametrize("name", _MAIN)
def test_names_from_the_repositories(postroj: Run, rpms: RpmImages, name: str, reference: str) -> None:
    words = [f"--image={rpms.image(name)}", f"--package={reference}", _QUICK, _HOST]
    done = postroj("pkgprobe", *words, env=rpms.env)
    status, told = NAMES[reference]
    assert done.returncode == status, done.stdout + done.stderr
    assert told in first_line(done), done.stdout + done.stderr


DEAD: dict[str, dict[str, Any]] = {
    "gone": {"is_gone": True},
    "list that is not that of the repository": {"damaged": ("primary.xml.gz",)},
    "list that is cut off": {"cut": ("primary.xml.gz",)},
    "package that is not that of the list": {"damaged": (".rpm",)},
    "package that is cut off": {"cut": (".rpm",)},
}


@pytest.fixture
def server(rpms: RpmImages) -> Iterator[RepositoryServer]:
    before = {**vars(rpms.server)}
    yield rpms.server
    vars(rpms.server).update(before)


def _dead() -> list[tuple[str, str]]:
    """Leave out that zypper tries for two minutes to get the rest of a package."""
    pairs = [(name, how) for name in _MAIN for how in (*DEAD, "strange")]
    pairs.remove(("zypper", "package that is cut off"))
    return [*pairs, ("yum", "gone")]


@pytest.mark.parametrize(("name", "how"), _dead())
def test_a_dead_repository_is_not_the_fault_of_the_package(
    postroj: Run, rpms: RpmImages, server: RepositoryServer, tmp_path: Path, name: str, how: str
) -> None:
    """Nor is one that is not signed by the key that the guest knows."""
    server.directory = rpms.strange if how == "strange" else rpms.known
    vars(server).update(DEAD.get(how, {}))
    package = build(tmp_path, "case", depends=["library"])
    image = f"--image={rpms.image(name)}"
    done = postroj("pkgprobe", image, f"--package={package}", _QUICK, _HOST, "--no-cache", env=rpms.env)
    signed = "a package repository is signed by a key that the guest does not know"
    assert_told(done, 3, signed if how == "strange" else "the guest cannot ")
    assert "FAIL" not in done.stdout


def test_an_interpreter_that_does_not_exist(postroj: Run, rpms: RpmImages) -> None:
    package = rpmrepos.rpmbuild(rpms.root, _STRANGE_INTERPRETER)
    for name in _MAIN:
        done = postroj("pkgprobe", f"--image={rpms.image(name)}", f"--package={package}", env=rpms.env)
        assert done.returncode == 1, done.stdout + done.stderr
        told = "the %post scriptlet of case cannot be run: its interpreter /usr/bin/fish does not exist"
        if name == "dnf5":  # rpm 6 does not say what could not be executed
            told = "the %post scriptlet of case failed (exit status 127)"
        assert told in first_line(done), done.stdout + done.stderr


def test_words_of_a_good_script_are_not_believed(postroj: Run, rpms: RpmImages, tmp_path: Path) -> None:
    """Of zypper they are, as it believes them itself: it ends with status 107."""
    lies = (
        "warning: %post(case-1.0.0-1.noarch) scriptlet failed, exit status 3",
        "Error: Transaction failed",
        "  file /x from install of case-1.0.0-1.noarch conflicts with file from package other-1-1.noarch",
    )
    package = build(tmp_path, "case", scripts={"post": "".join(f"echo '{lie}'\n" for lie in lies)})
    for name in ("dnf", "dnf5"):
        done = postroj("pkgprobe", f"--image={rpms.image(name)}", f"--package={package}", _QUICK, env=rpms.env)
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def booted(rpms: RpmImages, name: str, packages: Sequence[Package]) -> Iterator[Container]:
    """A machine that has the files of packages, to install them in, and to ask afterwards."""
    binds = [Bind(package.file, package.guest_name(number)) for number, package in enumerate(packages)]
    with (
        images.open_image(rpms.image(name)) as image,
        Container(image.root, image.machine, binds=binds, options=Options(network="host"), deadline=NEVER) as machine,
    ):
        yield machine


@pytest.mark.parametrize("name", _MAIN)
def test_a_repository_that_is_gone(rpms: RpmImages, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTROJ_STATE_DIR", str(rpms.state))
    packages = open_packages([str(build(tmp_path, "case", depends=["library"]))], deadline=NEVER)
    with booted(rpms, name, packages) as machine:
        assert machine.command(["rm", "-r", "/srv/repository"], deadline=NEVER).status == 0
        with pytest.raises(HostError, match="the guest cannot reach its package repositories"):
            install(machine, family.load(family_of(name)), packages, deadline=NEVER)


_STATE = r"rpm -qa --queryformat '%{NAME} %{VERSION}\n' | sort; rpm --verify case newer same library"


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_under_test_is_what_is_installed(
    rpms: RpmImages, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As rpm has it: an older version, an equal one with other contents, and a dependency from the repository."""
    monkeypatch.setenv("POSTROJ_STATE_DIR", str(rpms.state))
    files = [
        build(tmp_path, "newer", version="1.0.0"),
        build(tmp_path, "same", config={"/etc/same.conf": "under test"}),
        build(tmp_path, "case", depends=["library"], files={"/usr/share/case": "under test"}),
    ]
    packages = open_packages([str(file) for file in files], deadline=NEVER)
    with booted(rpms, name, packages) as machine:
        before = machine.command(["sh", "-c", _STATE], deadline=NEVER).output.splitlines()
        done = install(machine, family.load(family_of(name)), packages, deadline=NEVER)
        after = machine.command(["sh", "-c", _STATE], deadline=NEVER)
        shown = machine.command(["cat", "/etc/same.conf"], deadline=NEVER).output
    assert [step.name for step in done.plan.installed if step.name not in done.asked] == ["library"]
    changed = {"case 1.0.0", "library 1.0.0", "newer 1.0.0"}
    there = {line for line in before if not line.startswith("package ")}
    assert set(after.output.splitlines()) == there - {"newer 2.0.0"} | changed
    assert (after.status, shown) == (0, "under test"), after.output
