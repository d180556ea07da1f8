"""On a host that runs systemd: machines end with the service that starts them, and systemd is content."""

import os
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from moments import running, until
from support import POSTROJ, Run

pytestmark = pytest.mark.skipif(not Path("/run/systemd/system").exists(), reason="this host does not run systemd")

_PASSED = ("PATH", "POSTROJ_STATE_DIR")

_SEEN = """
systemctl is-system-running
systemctl list-units --failed --plain --no-legend
systemctl list-units --all --plain --no-legend 'machine-*'
machinectl list
machinectl list-images
"""


def seen(script: str = _SEEN) -> str:
    """What commands print; their statuses do not matter."""
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False).stdout


@pytest.fixture(autouse=True)
def nothing_to_complain_of() -> Iterator[None]:
    """What systemd and machined tell of this host is the same afterwards."""
    before = seen()
    yield
    assert seen() == before


@pytest.fixture
def service(environment: dict[str, str], bookworm: str) -> Iterator[str]:
    """The name of a service that runs postroj, which runs `sleep 31418` in a machine."""
    name = f"postroj-test-{os.getpid()}"
    options = ["--quiet", "--collect", f"--unit={name}", *(f"--setenv={key}={environment[key]}" for key in _PASSED)]
    command = ["systemd-run", *options, POSTROJ, "run", bookworm, "sleep", "31418"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    try:
        until(lambda: running("sleep", "31418"), "the command runs")
        yield name
    finally:
        subprocess.run(["systemctl", "stop", name], capture_output=True, check=False)


def test_machine_is_known_to_machined(service: str) -> None:
    """In a scope of its own."""
    until(lambda: "postroj-debian-bookworm" in seen("machinectl list"), "machined knows it")
    listed = seen("machinectl list --no-legend")
    assert listed.split()[:3] == ["postroj-debian-bookworm", "container", "postroj"]
    scope = seen("machinectl show --property=Unit --value postroj-debian-bookworm").strip()
    assert fnmatch(scope, "machine-postroj-debian-bookworm-*.scope")
    assert f"/machine.slice/{scope}/" in Path(f"/proc/{running('sleep', '31418')}/cgroup").read_text()
    assert "debian" not in seen("machinectl list-images")


def test_scope_has_the_limits(bookworm: str, environment: dict[str, str]) -> None:
    """Whether this host can enforce them or not."""
    wanted = {
        "Slice": "machine.slice",
        "CollectMode": "inactive-or-failed",
        "Delegate": "yes",
        "KillSignal": "9",
        "TasksMax": "500",
        "MemoryMax": str(512 << 20),
        "MemorySwapMax": "0",
        "CPUQuotaPerSecUSec": "500ms",
    }
    command = [POSTROJ, "run", "--memory=512M", "--cpus=0.5", "--tasks=500", bookworm, "sleep", "31417"]
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: running("sleep", "31417"), "the command runs")
            cgroup = Path(f"/proc/{running('sleep', '31417')}/cgroup").read_text()
            scope = next(part for part in cgroup.split("/") if part.endswith(".scope") and part.startswith("machine-"))
            shown = seen(f"systemctl show {scope} {' '.join(f'--property={name}' for name in wanted)}")
        finally:
            process.terminate()
    assert dict(line.split("=", 1) for line in shown.splitlines()) == wanted


def test_administrators_tools_work_on_a_machine(service: str) -> None:
    for command, said in (
        ("machinectl status --no-pager", "Unit: machine-postroj-debian-bookworm-"),
        ("machinectl shell --quiet root@", "uid=0(root)"),
        ("systemctl is-system-running --machine=", "running"),
        ("journalctl --no-pager --lines=1 --machine=", "systemd"),
        ("systemd-run --quiet --wait --pipe --machine=", "uid=0(root)"),
        ("systemd-run --quiet --wait --pty --machine=", "uid=0(root)"),
    ):
        joined = command if command.endswith(("=", "@")) else f"{command} "
        argument = " /usr/bin/id" if said.startswith("uid") else ""
        # At a terminal, as administrators are, whose input stays open.
        terminal = [sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])"]
        words = [*terminal, *f"{joined}postroj-debian-bookworm{argument}".split()]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert said in process.stdout.read(), command


def test_terminated_machine_is_said_to_have_been(environment: dict[str, str], bookworm: str) -> None:
    command = [POSTROJ, "run", bookworm, "sleep", "31420"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        until(lambda: running("sleep", "31420"), "the command runs")
        assert subprocess.run(["machinectl", "terminate", "postroj-debian-bookworm"], check=False).returncode == 0
        _, error = process.communicate(timeout=60)
    assert process.returncode == 125
    assert "postroj-debian-bookworm is lost: its unit was stopped, as `machinectl terminate`" in error
    assert "Traceback" not in error


def test_machine_ends_with_the_service(service: str) -> None:
    done = subprocess.run(["systemctl", "stop", service], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert not running("sleep", "31418")


def test_machine_ends_with_a_service_that_is_killed(service: str, bookworm: str, postroj: Run) -> None:
    """By the kernel; the next command sweeps up."""
    done = subprocess.run(["systemctl", "kill", "--signal=KILL", service], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    until(lambda: not running("sleep", "31418"), "the command is dead", 10)
    until(lambda: seen(f"systemctl is-active {service}") != "active\n", "the service has ended", 10)
    assert postroj("run", bookworm, "true").returncode == 0
