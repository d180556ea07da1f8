"""Packages for dnf, yum and zypper, installed by the real ones in stand-ins for their images (standins.py).

yum is dnf by another name in its stand-in, as it is since RHEL 8: it gets a few of the cases.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from packages import build
from rpm_images import FAILS, RpmImages, rpm_images
from support import Run

pytestmark = pytest.mark.once

FAMILIES = ("dnf", "yum", "zypper")
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
    families: tuple[str, ...] = ("dnf", "zypper")


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
        {"scripts": {"post": "sleep 900"}}, 3, "--timeout expired while case-1.0.0-1.noarch.rpm was being installed: ",
        ("--timeout=20",),
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
    # the disk, which is nobody's fault
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
