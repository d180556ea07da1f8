"""The verdict is about what was asked for: services that an installation leaves stopped, files of any version."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import debs
from support import Run

pytestmark = pytest.mark.once

QUIET = "true"
"""In place of the command that starts a service at installation."""


def test_service_that_the_package_leaves_disabled_is_started_and_judged(
    postroj: Run, bookworm: str, tmp_path: Path
) -> None:
    package = debs.build(tmp_path, "quiet", service=debs.SERVER, enable=False, start=QUIET)
    words = [
        f"--image={bookworm}",
        f"--package={package}",
        "--check-unit=quiet",
        "--check-network=tcp://localhost:8080",
    ]
    done = postroj("pkgprobe", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    note = "unit quiet.service: active (running); started by postroj: the package leaves it disabled"
    assert note in done.stdout


def test_service_that_the_package_enables_and_leaves_stopped(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "quiet", start=QUIET)
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}", "--check-unit=quiet")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "started by postroj: the package leaves it stopped" in done.stdout


def test_start_never_judges_what_the_installation_did(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "quiet", enable=False, start=QUIET)
    words = [f"--image={bookworm}", f"--package={package}", "--check-unit=quiet", "--start=never"]
    done = postroj("pkgprobe", *words)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAIL unit quiet.service: inactive (dead), disabled, never started" in done.stdout


def test_service_that_fails_when_it_is_started_by_postroj(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "quiet", service="echo no configuration; exit 3", enable=False, start=QUIET)
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}", "--check-unit=quiet")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAIL unit quiet.service: failed (Result: exit-code): status 3: no configuration;" in done.stdout
    assert "; started by postroj: " in done.stdout


def test_condition_that_was_not_met_is_told(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    more = {"[Unit]\nConditionPathExists": "/etc/conditional.conf"}
    package = debs.build(tmp_path, "conditional", unit=more)
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}", "--check-unit=conditional")
    assert done.returncode == 1, done.stdout + done.stderr
    told = "unit conditional.service: inactive (dead), skipped: ConditionPathExists=/etc/conditional.conf is not met"
    assert told in done.stdout


@pytest.mark.parametrize("version", ["equal", "older"])
def test_file_is_installed_whatever_version_the_image_has(
    postroj: Run, bookworm: str, tmp_path: Path, version: str
) -> None:
    there = postroj("run", bookworm, "dpkg-query", "--show", "--showformat=${Version} ${Architecture}", "mount")
    number, architecture = there.stdout.split()
    fields = {"Version": number if version == "equal" else "0.1", "Architecture": architecture}
    package = debs.build(tmp_path, "mount", service=None, postinst="echo this is the file; exit 1", fields=fields)
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "this is the file" in done.stdout


@pytest.mark.parametrize(
    ("more", "told"),
    [
        pytest.param(
            {"postinst": "echo begin; echo no such user: web >&2; exit 3"},
            "the postinst of web failed (exit status 3): no such user: web",
            id="postinst",
        ),
        pytest.param(
            {"postinst": "kill -9 $$"}, "the postinst of web failed (killed by signal Killed)", id="killed postinst"
        ),
        pytest.param(
            {"fields": {"Depends": "is-nowhere"}},
            "web depends on is-nowhere but it is not installable",
            id="dependency",
        ),
    ],
)
@pytest.mark.parametrize("name", ["debian-bullseye", "debian-bookworm", "debian-trixie"])
def test_first_line_of_a_failed_installation_is_the_reason(
    postroj: Run, image: Callable[[str], str], tmp_path: Path, name: str, more: dict[str, Any], told: str
) -> None:
    package = debs.build(tmp_path, "web", **more)
    done = postroj("pkgprobe", f"--image={image(name)}", f"--package={package}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith(f"FAILED {name}: package {package}: {told}")


def test_address_is_not_tried_after_a_unit_has_failed(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "broken", service="exit 3")
    words = [f"--package={package}", "--check-unit=broken", "--check-network=tcp://localhost:8080"]
    done = postroj("pkgprobe", f"--image={bookworm}", *words)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "skip network tcp://localhost:8080: not tried, because of unit broken.service" in done.stdout


def test_limit_that_has_no_effect_here_is_told(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "limited", unit={"MemoryMax": "64M", "CPUQuota": "50%", "DevicePolicy": "closed"})
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}")
    there = postroj("run", bookworm, "cat", "/sys/fs/cgroup/cgroup.controllers").stdout.split()
    for controller, setting in (("memory", "MemoryMax=64M"), ("cpu", "CPUQuota=50%")):
        told = f"limited.service: {setting} has no effect: the machine has no {controller} controller"
        assert (told in done.stdout) == (controller not in there), done.stdout
    assert "limited.service: DevicePolicy=closed has no effect in a container with its own users" in done.stdout


def test_address_is_waited_for_although_a_oneshot_has_ended(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    once = "[Service]\nType=oneshot\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
    slow = debs.SERVER.replace("exec perl", "sleep 3; exec perl", 1)
    files = {"/lib/systemd/system/slow-init.service": once}
    postinst = "systemctl enable slow-init; systemctl start slow-init"
    package = debs.build(tmp_path, "slow", service=slow, files=files, postinst=postinst)
    words = [f"--package={package}", "--check-network=http://localhost:8080"]
    done = postroj("pkgprobe", f"--image={bookworm}", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unit slow-init.service: inactive (dead), ended with success" in done.stdout


@pytest.mark.parametrize(
    ("kind", "parameter"),
    [
        ("Capability", "CAP_SYS_TIME"),
        ("Virtualization", "no"),
        ("PathExists", "/dev/is-nowhere"),
        ("Security", "tomoyo"),
    ],
)
def test_condition_that_a_container_cannot_meet_gives_no_verdict(
    postroj: Run, bookworm: str, tmp_path: Path, kind: str, parameter: str
) -> None:
    package = debs.build(tmp_path, "limited", unit={f"[Unit]\nCondition{kind}": parameter})
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}", "--check-unit=limited")
    assert done.returncode == 3, done.stdout + done.stderr
    told = f"unit limited.service: this machine cannot tell: Condition{kind}={parameter} is not met"
    assert done.stdout.startswith(f"NO VERDICT {bookworm}: {told}")
