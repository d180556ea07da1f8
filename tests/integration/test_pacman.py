"""pacman, the real one, in a stand-in for Arch Linux: what it says of each fault, and whose fault that is."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import packages
from badinput import assert_refused, assert_told
from debs import GOOD
from postroj.container import Bind, Container
from postroj.container.tree import run_in_tree
from postroj.deadline import Deadline
from postroj.errors import InstallError
from postroj.family.pacman import FAMILY
from postroj.package.install import install
from postroj.package.reference import open_packages
from scratch import scratch_state
from standins import copy, standin
from support import Run

pytestmark = pytest.mark.once

_REFUSING = """[Trigger]
Operation = Install
Type = Package
Target = {target}
[Action]
Description = {told}
When = {when}
Exec = /bin/sh -c 'echo there is no licence; exit 1'
AbortOnFail
"""
_HOOKS = "/usr/share/libalpm/hooks"

# Those of the stand-in itself were installed on this day as well; newer ones would make it no snapshot of it.
_INSTALLED = """
set -e
pacman --upgrade --noconfirm /srv/there/*.zst
sed -i '/^%INSTALLDATE%/{n;s/.*/1651406400/}' /var/lib/pacman/local/there-*/desc
mkdir -p /opt/unowned
echo of nobody >/opt/unowned/file
"""


def build(directory: Path, name: str, version: str = "1.0.0", **more: Any) -> Path:
    """Build a package, with its version in a file if it has no other; the rest is as packages.build has it."""
    more = {"architecture": "amd64", "service": None, "files": {f"/usr/share/{name}/version": version}, **more}
    return packages.build(directory, name, packager="archlinux", version=version, **more)


@pytest.fixture(scope="module")
def env(postroj: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Where the image `pacman` is: it has the package `there` 2.0.0, a hook and a file that no package has."""
    there = build(tmp_path_factory.mktemp("there"), "there", "2.0.0")
    with standin("pacman") as tree, scratch_state() as state:
        root = state / "root"
        copy(tree, root)
        (root / "srv/there").mkdir()
        shutil.copy(there, root / "srv/there")
        status, output = run_in_tree(str(root), ["sh", "-c", _INSTALLED], name="test-pacman")
        assert status == 0, output
        hook = root / f"{_HOOKS[1:]}/refusing.hook"
        hook.parent.mkdir(parents=True, exist_ok=True)
        hook.write_text(_REFUSING.format(target="unlicensed", told="Asking for the licence...", when="PreTransaction"))
        env = {"POSTROJ_STATE_DIR": str(state)}
        pulled = postroj("image", "import", root, "pacman", env=env)
        assert pulled.returncode == 0, pulled.stderr
        yield env


class Case(NamedTuple):
    """A package, and what is said of it in the first line."""

    package: dict[str, Any]
    told: str
    status: int = 1
    words: tuple[str, ...] = ()


def _script(function: str, text: str) -> dict[str, Any]:
    version = "3.0.0" if function.endswith("upgrade") else "1.0.0"
    name = "there" if function.endswith("upgrade") else "case"
    return {"name": name, "version": version, "scripts": {function: text}}


_HOOK = _REFUSING.format(target="case", told="Looking for the licence...", when="PostTransaction")

CASES = {
    "pre_install": Case(
        _script("pre", "echo no such user: x; exit 3"), "the install script of case failed: no such user: x",
    ),
    "post_install": Case(
        _script("post", "echo no such user: x; exit 3"), "the install script of case failed: no such user: x",
    ),
    "pre_upgrade": Case(
        _script("pre_upgrade", "echo no way up; exit 3"), "the install script of there failed: no way up",
    ),
    "post_upgrade": Case(
        _script("post_upgrade", "echo no way up; exit 3"), "the install script of there failed: no way up",
    ),
    "script that prints nothing": Case(
        _script("post", "false"), "the install script of case failed and printed nothing",
    ),
    "script that is killed": Case(
        _script("post", "kill -SEGV $$"), "the install script of case failed (signal 11) and printed nothing",
    ),
    "script that asks": Case(
        _script("post", "printf 'Accept the licence? [y/N] '; read answer || exit 1"),
        "the install script of case asks for input by `read answer` (Accept the licence? [y/N]), and nobody answers",
    ),
    "script that hangs": Case(
        _script("post", packages.STOPPED),
        "--timeout expired while case-1.0.0-1-x86_64.pkg.tar.zst was being installed: sh (PID ", 3,
        ("--timeout=60",),
    ),
    "script that needs what a container lacks": Case(
        _script("post", "mknod /dev/case b 7 0"), "this machine cannot tell: device node /dev/case", 3,
    ),
    "hook of its own": Case(
        {"files": {f"{_HOOKS}/case.hook": _HOOK}},
        'the hook "Looking for the licence..." failed: there is no licence',
    ),
    "hook that was there": Case(
        {"name": "unlicensed"}, 'the hook "Asking for the licence..." failed: there is no licence',
    ),
    "unmet dependency": Case(
        {"depends": ["no-such-thing>=2"]}, "case requires no-such-thing>=2, which nothing provides",
    ),
    "file of another package": Case(
        {"files": {"/usr/share/there/version": "1"}},
        "/usr/share/there/version of case is also in the package there",
    ),
    "file of nobody": Case(
        {"files": {"/opt/unowned/file": "1"}}, "/opt/unowned/file of case is there already, and no package has it",
    ),
    "conflict": Case({"conflicts": ["there"]}, "case conflicts with there"),
    "wrong architecture": Case({"architecture": "arm64"}, "is for aarch64, and the image pacman is x86_64", 2),
    "word of another distribution for the architecture": Case(
        {"fields": {"archlinux": {"arch": "amd64"}}}, "is for amd64, which Arch Linux calls x86_64",
    ),
    "daemon that holds the installation open": Case(
        _script("post", "sleep 900 &"),
        ", which the install script of case has left running, holds the installation open: pacman (PID ",
    ),
    "unpacked is more than the disk": Case(
        {"files": {"/usr/share/case/big": "x" * 25_000_000}}, "the guest's disk is full: case-", 3, ("--disk=16M",),
    ),
    "script fills the disk": Case(
        _script("post", "head -c 60M /dev/zero >/var/case"), "the guest's disk is full: case-", 3,
        ("--disk=32M",),
    ),
    "starts a unit that fails": Case(
        {"files": {"/usr/lib/case/run": "#!/bin/sh\necho no database; exit 4\n",
                   "/usr/lib/systemd/system/case.service": "[Service]\nType=oneshot\nExecStart=/usr/lib/case/run\n"},
         "scripts": {"post": "systemctl daemon-reload; systemctl start case"}},
        "the install script of case failed: unit case.service: failed (Result: exit-code): status 4: no database",
    ),
    "service that fails": Case({"service": "echo no database; exit 4"}, "unit case.service: failed"),
    "service that is left stopped": Case(
        {"service": GOOD}, "unit case.service: inactive (dead)", 1, ("--start=never",),
    ),
}  # fmt: skip


def first_line(done: Any) -> str:
    lines = done.stdout.splitlines() or [line for line in done.stderr.splitlines() if line.startswith("postroj: ")]
    return str(lines[0])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_first_line_names_the_fault(postroj: Run, env: dict[str, str], tmp_path: Path, case: Case) -> None:
    package = build(tmp_path, **{"name": "case", **case.package})
    done = postroj("pkgprobe", "--image=pacman", f"--package={package}", *case.words, env=env)
    assert done.returncode == case.status, done.stdout + done.stderr
    assert case.told in first_line(done), done.stdout + done.stderr


def test_service_is_started_by_postroj(postroj: Run, env: dict[str, str], tmp_path: Path) -> None:
    package = build(tmp_path, "case", service=GOOD)
    done = postroj("pkgprobe", "--image=pacman", f"--package={package}", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unit case.service: active (running); started by postroj: the package leaves it disabled" in done.stdout


def test_name_from_the_repository(postroj: Run, env: dict[str, str]) -> None:
    done = postroj("pkgprobe", "--image=pacman", "--package=filesystem", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok   package filesystem: installed" in done.stdout


@pytest.mark.parametrize("name", ["no-such-package", "NoSuchPackage"])
def test_name_that_no_repository_knows(postroj: Run, env: dict[str, str], name: str) -> None:
    done = postroj("pkgprobe", "--image=pacman", f"--package={name}", env=env)
    assert done.returncode == 1, done.stdout + done.stderr
    assert first_line(done) == f"FAILED pacman: package {name}: there is no package {name} in the repositories"


def test_what_is_installed_first_is_not_under_test(postroj: Run, env: dict[str, str], tmp_path: Path) -> None:
    package = build(tmp_path, "case", service=GOOD, depends=["base>=1"])
    base = build(tmp_path, "base", service="exit 4")
    done = postroj("pkgprobe", "--image=pacman", f"--with={base}", f"--package={package}", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "base" not in done.stdout
    bad = build(tmp_path, "base", "2.0.0", scripts={"post": "echo no base today; exit 1"})
    done = postroj("pkgprobe", "--image=pacman", f"--with={bad}", f"--package={package}", env=env)
    assert_told(done, 3, f"postroj: --with={bad} did not install: the install script of base failed: no base today")
    foreign = build(tmp_path, "foreign", architecture="arm64")
    done = postroj("pkgprobe", "--image=pacman", f"--with={foreign}", f"--package={package}", env=env)
    assert_refused(done, 2, f"{foreign} is for aarch64")


def test_pacman_agrees(env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each of several installations in one machine its database and the files are as they should be."""
    built = {
        "older": build(tmp_path / "older", "there", "1.0.0"),
        "equal": build(tmp_path / "equal", "there", "1.0.0", files={"/usr/share/there/version": "another 1.0.0"}),
        "newer": build(tmp_path / "newer", "there", "2.0.0", fields={"epoch": "1"}),
        "failing": build(tmp_path / "bad", "bad", scripts={"post": "exit 3"}),
        "unmet": build(tmp_path / "unmet", "unmet", depends=["no-such-thing"]),
    }
    monkeypatch.setenv("POSTROJ_STATE_DIR", env["POSTROJ_STATE_DIR"])
    deadline = Deadline(300)
    known = open_packages([str(path) for path in built.values()], deadline=deadline)
    binds = [Bind(package.file, package.guest_name(number)) for number, package in enumerate(known)]
    root = Path(env["POSTROJ_STATE_DIR"], "images/pacman").resolve()
    with Container(str(root), "pacman-agrees", binds=binds, deadline=deadline) as machine:

        def agrees(name: str) -> str:
            checked = machine.command(["pacman", "-Qkk", name], deadline=deadline)
            assert checked.status == 0, checked.output
            assert "0 altered files" in checked.output
            content = machine.command(["sh", "-c", f"cat /usr/share/{name}/version"], deadline=deadline).output
            return machine.command(["pacman", "-Q", name], deadline=deadline).output + content

        told = []
        for number, (kind, package) in enumerate(zip(built, known, strict=True)):
            try:
                install(machine, FAMILY, [package], deadline=deadline, first=number)
            except InstallError as error:
                told.append(f"{kind}: {error.what}")
            else:
                told.append(f"{kind}: {agrees(package.name)}")
        assert told == [
            "older: there 1.0.0-1\n1.0.0",
            "equal: there 1.0.0-1\nanother 1.0.0",
            "newer: there 1:2.0.0-1\n2.0.0",
            "failing: the install script of bad failed and printed nothing",
            "unmet: unmet requires no-such-thing, which nothing provides",
        ]
        # pacman has installed it all the same, and knows nothing of the other one.
        assert agrees("bad") == "bad 1.0.0-1\n1.0.0"
        assert machine.command(["pacman", "-Q", "unmet"], deadline=deadline).status == 1
        assert machine.command(["pacman", "-Dk"], deadline=deadline).status == 0
