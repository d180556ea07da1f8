"""Packages of which the verdict was wrong as .deb files: as .rpm and for Arch Linux, by the real dnf 4 and pacman."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from debs import SERVER
from packages import build
from scratch import scratch_state
from standins import standin
from support import Run

pytestmark = pytest.mark.once

PACKAGERS = {"dnf": "rpm", "pacman": "archlinux"}
_UNITS = "/usr/lib/systemd/system"
_INSTALL = "[Install]\nWantedBy=multi-user.target\n"
_ONCE = ("--check-unit=case",)
_HTTP = ("--check-network=http://localhost:8080", "--network-timeout=20")
# It is called sleep when the script ends.
_DAEMON = (
    "setsid sleep infinity </dev/null >/dev/null 2>&1 &\nuntil grep -qx sleep /proc/$!/comm; do test -d /proc/$!; done"
)
_NOT_FOUND = SERVER.replace("200 OK", "404 Not Found")
_LARGE_TMP = """
size=$(df --output=size /tmp | tail -n 1)
memory=$(sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo)
test "$size" -gt $((memory * 12 / 100)) || { echo "/tmp has $size KiB"; exit 1; }
"""


def _unit(text: str, name: str = "case") -> dict[str, str]:
    return {f"{_UNITS}/{name}.service": text}


def _condition(line: str) -> dict[str, Any]:
    return {"files": _unit(f"[Unit]\n{line}\n[Service]\nExecStart=/usr/libexec/case\n{_INSTALL}")}


def _init_script(start: str) -> dict[str, Any]:
    return {"service": None, "files": {"/etc/init.d/case": f'#!/bin/sh\n[ "$1" != start ] || {{ {start}\n}}\n'}}


def _post(script: str) -> dict[str, Any]:
    return {"scripts": {"post": script}}


class Case(NamedTuple):
    """A package, and what is said of it: in the first line, if it has not passed."""

    package: dict[str, Any]
    status: int
    told: str
    words: tuple[str, ...] = ()
    besides: str = ""
    """What is said at another place."""
    names: tuple[str, ...] = tuple(PACKAGERS)
    """The families; one is enough for what is of systemd and comes after the installation."""


_ONE = ("pacman",)  # whose machines need least time


CASES = {
    # works on a real machine
    "neither enabled nor started": Case(
        {"service": SERVER}, 0, "active (running); started by postroj: the package leaves it disabled", _HTTP,
    ),
    "condition on the machine": Case(
        _condition("ConditionCapability=CAP_SYS_TIME"), 3, "ConditionCapability=CAP_SYS_TIME is not met", (),
        "--capability=CAP_SYS_TIME",
    ),
    "condition on the package": Case(
        _condition("ConditionPathExists=/etc/case.conf"), 1, "skipped: ConditionPathExists=/etc/case.conf is not met",
    ),
    "uses an eighth of the memory in /tmp": Case(_post(_LARGE_TMP), 0, "installed"),
    "owner of a directory service": Case(_post("chown 200000 /usr/libexec/case || exit 1"), 0, "active (running)"),
    "owner beyond the range": Case(
        _post("chown 2000000 /usr/libexec/case || exit 1"), 3,
        "owner beyond the machine's range of IDs /usr/libexec/case",
    ),
    "kernel setting": Case(
        _post("echo 262144 >/proc/sys/vm/max_map_count || exit 1"), 3, "kernel setting /proc/sys/vm/max_map_count",
    ),
    "slow start": Case(
        {"service": "sleep 2; systemd-notify --ready; exec sleep infinity",
         "unit": {"Type": "notify", "NotifyAccess": "all", "TimeoutStartSec": "300"},
         **_post("systemctl daemon-reload; systemctl start --no-block case")},
        0, "unit case.service: active (running)\n", _ONCE, names=_ONE,
    ),
    "second start works": Case(
        {"service": "test -e /run/tried && exec sleep infinity; touch /run/tried; exit 1",
         "unit": {"Restart": "on-failure", "RestartSec": "1"}}, 0, "active (running), needed 2 starts",
        names=_ONE,
    ),
    "loop": Case(
        {"service": "echo bad luck; exit 1", "unit": {"Restart": "always", "RestartSec": "100ms"}}, 1,
        " times: status 1: bad luck", names=_ONE,
    ),
    "realtime": Case({"unit": {"CPUSchedulingPolicy": "rr"}}, 3, "this machine cannot tell: CPUSchedulingPolicy="),
    "devices that each machine has": Case(
        {"service": "exec 3<>/dev/fuse 4<>/dev/net/tun 5>/dev/kmsg; exec sleep infinity"}, 0, "active (running)",
    ),
    "device": Case({"service": "exec 3</dev/loop0; exec sleep 9"}, 3, "cannot tell: device node /dev/loop0"),
    "credential": Case({"unit": {"LoadCredential": "a:/etc/hostname"}}, 0, "active (running)"),
    # broken
    "init script that starts nothing": Case(
        _init_script("true"), 1, "no process of it is left, /etc/init.d/case has started nothing that stays",
    ),
    "init script that starts a daemon": Case(_init_script(_DAEMON), 0, "active (running); started by postroj", _ONCE),
    "oneshot": Case({"service": "true", "unit": {"Type": "oneshot", "RemainAfterExit": "yes"}}, 0, "active (exited)"),
    "another unit fails": Case(
        {"files": {
            **_unit("[Unit]\nWants=real.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
                    f"ExecStart=/bin/true\n{_INSTALL}"),
            **_unit("[Service]\nExecStart=/bin/false\n", "real")}},
        1, "unit real.service: failed (Result: exit-code): status 1", _ONCE,
    ),
    "dies of a request": Case(
        {"service": SERVER.replace("close $client;", 'close $client; sleep 1; die "served";')},
        1, "did not stay active: failed (Result: ", _HTTP, names=_ONE,
    ),
    "status of HTTP, which is told": Case(
        {"service": _NOT_FOUND}, 0, "http://localhost:8080: answers 404 Not Found", _HTTP, names=_ONE,
    ),
    "status of HTTP, which is wrong": Case(
        {"service": _NOT_FOUND}, 1, "status: expected 200, got 404 Not Found",
        ("--check=http http://localhost:8080 status=200", "--network-timeout=20"), names=_ONE,
    ),
    # not understood
    "daemon outside any unit": Case(
        {"service": None, **_post(_DAEMON)}, 1, "the package left a process outside any unit: sleep (PID ", _HTTP,
    ),
    "user that sysusers.d would make": Case(
        {"unit": {"User": "ghost"}, "files": {"/usr/lib/sysusers.d/case.conf": "u ghost -\n"}},
        1, "the user ghost does not exist (217/USER); /usr/lib/sysusers.d/case.conf was never applied",
    ),
    "address after a unit that failed": Case(
        {"service": "echo no licence; exit 4", "unit": {"Type": "oneshot"}},  # which is not active for a moment
        1, "failed (Result: exit-code): status 4: no licence", _HTTP,
        "skip network http://localhost:8080: not tried, because of unit case.service", _ONE,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def env(postroj: Run) -> Iterator[dict[str, str]]:
    """Where the images are, by the names of their families."""
    with scratch_state() as state:
        env = {"POSTROJ_STATE_DIR": str(state)}
        for name in PACKAGERS:
            with standin(name) as tree:
                pulled = postroj("image", "import", tree, name, env=env)
            assert pulled.returncode == 0, pulled.stderr
        yield env


def _pairs() -> list[Any]:
    return [pytest.param(name, case, id=f"{name}: {what}") for what, case in CASES.items() for name in case.names]


@pytest.mark.parametrize(("name", "case"), _pairs())
def test_case(postroj: Run, env: dict[str, str], tmp_path: Path, name: str, case: Case) -> None:
    package = build(tmp_path, "case", packager=PACKAGERS[name], **case.package)
    done = postroj("pkgprobe", f"--image={name}", f"--package={package}", "--stay-active=1", *case.words, env=env)
    shown = done.stdout + done.stderr
    assert done.returncode == case.status, shown
    assert case.told in (done.stdout if case.status == 0 else done.stdout.splitlines()[0]), shown
    assert case.besides in shown


@pytest.mark.parametrize(("kind", "calls"), [("rpm", "RPM"), ("archlinux", "Arch Linux")])
def test_word_of_another_family_for_the_architecture(
    postroj: Run, env: dict[str, str], tmp_path: Path, kind: str, calls: str
) -> None:
    package = build(tmp_path, "case", packager=kind, service=None, fields={kind: {"arch": "amd64"}})
    image = next(name for name, packager in PACKAGERS.items() if packager == kind)
    done = postroj("pkgprobe", f"--image={image}", f"--package={package}", env=env)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"is for amd64, which {calls} calls x86_64" in done.stdout.splitlines()[0]
