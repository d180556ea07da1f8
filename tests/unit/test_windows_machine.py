"""A Windows guest above the contract: from a command line or a package to a verdict, against an endpoint on loopback.

No Windows was at hand: winguest.py answers as the documentation has it.
"""

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest

from postroj import Request, Result, Verdict
from postroj.cli import run as run_command
from postroj.deadline import Deadline
from postroj.errors import HostError, UsageError
from postroj.harness import pkgprobe
from postroj.image import vmimage
from postroj.probe import Outcome
from postroj.streams import Streams
from postroj.vm import providers, warm
from postroj.vm.box import Box
from postroj.vm.windows.machine import WindowsMachine
from postroj.vm.windows.winrm import Session, WinrmShell

from .winguest import WindowsGuest
from .wsman import PASSWORD, USER, Endpoint, serving

CASE = Path(__file__).parent / "data" / "case.msi"
ANY = Deadline(600)
_PLACE = "C:\\Windows\\Temp\\postroj\\0\\case.msi"


class _Power:
    """Snapshots of a guest that has none."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def ended(self) -> str:
        return ""

    def save(self, number: int, *, deadline: Deadline) -> None:
        self.done.append(f"save {number}")

    def restore(self, number: int, *, deadline: Deadline) -> None:
        self.done.append(f"restore {number}")


@pytest.fixture
def guest() -> WindowsGuest:
    return WindowsGuest(name="Case Sérvice", service="CaseService")


@pytest.fixture
def endpoint(guest: WindowsGuest) -> Iterator[Endpoint]:
    with serving({}) as endpoint:
        endpoint.on_command = guest.answer
        yield endpoint
        assert (endpoint.open_shells, endpoint.open_commands) == (0, 0)


Opener = Callable[..., WindowsMachine]


@pytest.fixture
def machine(endpoint: Endpoint) -> Opener:
    """Return what makes a machine."""

    def connect(deadline: Deadline) -> WinrmShell:
        session = Session(endpoint.url, USER, PASSWORD, transport="basic", deadline=deadline)
        return WinrmShell(session.__enter__())

    def make(files: Sequence[tuple[str, str]] = ()) -> WindowsMachine:
        return WindowsMachine("windows-2022-1", connect, _Power(), brought=files, deadline=ANY)

    return make


@pytest.fixture
def vm(machine: Opener, monkeypatch: pytest.MonkeyPatch) -> list[Box]:
    """Have `windows-2022` be the guest; returns the boxes that VMs were taken of."""
    boxes: list[Box] = []

    @contextmanager
    def taken(
        box: Box,
        *,
        files: Sequence[tuple[str, str]] = (),
        wait: bool = False,
        offline: bool = False,
        deadline: Deadline,
    ) -> Iterator[WindowsMachine]:
        boxes.append(box)
        with machine(files) as one:
            yield one

    monkeypatch.setattr(warm, "taken", taken)
    monkeypatch.setattr(warm, "check_host", lambda provider: None)
    monkeypatch.setattr(vmimage, "host_architecture", lambda: "amd64")
    monkeypatch.setattr(providers, "available", lambda: [providers.PROVIDERS[1]])
    monkeypatch.setattr("postroj.harness.require_fit_process", lambda: None)
    monkeypatch.setattr("postroj.cli.vm_options.require_root", lambda args: None)
    return boxes


def _run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    run_command.configure(parser)
    args = parser.parse_args(["windows-2022", *words])
    args.verbose = 0
    return run_command.handle(args)


def test_a_command_of_the_users(vm: list[Box], capfd: pytest.CaptureFixture[str]) -> None:
    assert _run("--", "cmd", "/C", "ver") == 0
    assert capfd.readouterr().out == "\r\nMicrosoft Windows [Version 10.0.20348.587]\r\n"
    (box,) = vm
    assert (box.name, box.provider) == ("gusztavvargadr/windows-server-2022-standard", "virtualbox")
    assert _run("--", "nothing") == 9009 & 255
    assert "is not recognized" in capfd.readouterr().err


def _probe(*, package: Path = CASE, **more: object) -> Result:
    request = Request(image="windows-2022", packages=[str(package)], stay=0.0, network_timeout=5.0)
    return pkgprobe(request._replace(**more))  # type: ignore[arg-type]


def _told(result: Result) -> list[str]:
    return [f"{one.subject}: {one.outcome.value}: {one.detail}" for one in result.findings]


def test_a_package_its_service_and_its_port(vm: list[Box], guest: WindowsGuest) -> None:
    result = _probe(
        units=["CaseService"],
        networks=["http://localhost:3000"],
        checks=[
            "tcp localhost:3000", "listen 3000", "command 'cmd /C ver' output~=10.0.20348", "process case",
            f"file '{_PLACE}' type=file owner=Administrators",
        ],
    )  # fmt: skip
    assert (result.verdict, result.error) == (Verdict.PASSED, None), _told(result)
    assert f"unit CaseService.service: {Outcome.PASSED.value}: active (running)" in _told(result)
    assert guest.files[_PLACE] == CASE.read_bytes()
    assert guest.installed == "1.2.3"


def test_the_units_are_those_that_the_package_installs(vm: list[Box], guest: WindowsGuest) -> None:
    result = _probe()
    assert result.verdict is Verdict.PASSED, _told(result)
    assert [one.subject for one in result.findings if one.subject.startswith("unit")] == ["unit CaseService.service"]


def test_a_reboot_that_the_installation_asks_for_is_noted(vm: list[Box], guest: WindowsGuest) -> None:
    guest.msiexec = [3010]
    result = _probe()
    assert result.verdict is Verdict.PASSED, _told(result)
    (installed, *_) = result.findings
    assert installed.notes == ("msiexec: it is done after a reboot (3010, ERROR_SUCCESS_REBOOT_REQUIRED)",)


def test_a_package_that_does_not_install(vm: list[Box], guest: WindowsGuest) -> None:
    guest.msiexec = [1603]
    result = _probe()
    assert result.verdict is Verdict.FAILED
    (finding,) = [one for one in result.findings if one.subject.startswith("package")]
    assert finding.detail.startswith(
        "msiexec ended: a fatal error during the installation (1603, ERROR_INSTALL_FAILURE): Error 1920. Service 'Case'"
    )


def test_another_installation_is_the_machines_fault(vm: list[Box], guest: WindowsGuest) -> None:
    guest.msiexec = [1618]
    result = _probe()
    assert result.verdict is Verdict.UNKNOWN and result.error
    assert "another installation is in progress (1618, ERROR_INSTALL_ALREADY_RUNNING)" in result.error.what


def test_a_service_that_fails(vm: list[Box], guest: WindowsGuest) -> None:
    guest.state, guest.code = "Stopped", 1067
    result = _probe(units=["CaseService"])
    assert result.verdict is Verdict.FAILED
    (finding,) = [one for one in result.findings if one.subject == "unit CaseService.service"]
    assert finding.detail == "failed: its process ended unexpectedly (error 1067)"
    assert "The CaseService service terminated unexpectedly." in finding.evidence


def test_a_service_that_is_not_there(vm: list[Box]) -> None:
    result = _probe(units=["Other"])
    assert "unit Other.service: failed: not found: Windows has no service Other" in _told(result)


def test_a_service_that_is_left_stopped_is_started(vm: list[Box], guest: WindowsGuest) -> None:
    guest.mode = "Manual"
    stopped = guest._msiexec

    def install(script: str, stdin: bytes) -> tuple[str, int]:
        done = stopped(script, stdin)
        guest.is_started = False
        return done

    guest._msiexec = install  # type: ignore[method-assign]
    result = _probe(units=["CaseService"])
    assert result.verdict is Verdict.PASSED, _told(result)
    assert (guest.is_started, guest.mode) == (True, "Auto")


def test_an_address_that_does_not_answer(vm: list[Box]) -> None:
    result = _probe(networks=["http://localhost:3001"], network_timeout=1.0)
    (finding,) = [one for one in result.findings if one.subject.startswith("network")]
    assert finding.outcome is Outcome.FAILED
    assert "Connection refused" in finding.detail and "0.0.0.0:3000" in finding.detail


@pytest.mark.parametrize(
    ("check", "needs"),
    [
        ("journal CaseService message~=panic", "systemd"),
        ("user case", "Linux"),
        ("sysctl kernel.pid_max value=1", "Linux"),
    ],
)
def test_what_cannot_be_told_is_said(check: str, needs: str, vm: list[Box]) -> None:
    result = _probe(checks=[check])
    assert result.verdict is Verdict.UNKNOWN
    assert any(f"cannot be told here: it needs {needs}, and the machine has Windows" in one for one in _told(result))


def test_the_life_of_a_package(vm: list[Box], guest: WindowsGuest, tmp_path: Path) -> None:
    result = _probe(
        units=["CaseService"],
        phases=["install", "check", "restart", "reboot", "reinstall", "remove", "install-again"],
        artifacts=str(tmp_path / "artifacts"),
    )
    assert (result.verdict, result.error) == (Verdict.PASSED, None), [
        one for one in _told(result) if "passed" not in one
    ]
    assert guest.boots == 2 and guest.installed
    shown = [one for one in guest.scripts if "ProcessStartInfo" in one]
    assert "/famus" not in shown[0] and '"/x ' not in shown[0]
    assert any("/famus" in one for one in shown), "a package that is there is repaired"
    assert (
        (tmp_path / "artifacts/units/CaseService.service.status.txt")
        .read_text()
        .startswith("CaseService (CaseService): Running")
    )


def test_a_package_for_something_else(vm: list[Box], tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"case\.msi is a package of Windows Installer: .* and the image debian-bookworm"
    ):
        _probe(image="debian-bookworm")
    with pytest.raises(UsageError, match=r"\.msi packages are installed in virtual machines only") as caught:
        _probe(image=None)
    assert "windows-2022, windows-2025" in caught.value.hint


def test_files(machine: Opener, guest: WindowsGuest) -> None:
    data = os.urandom(200_000)
    with machine() as one:
        one.push("C:\\x\\y.bin", data)
        assert guest.files["C:\\x\\y.bin"] == data
        into = BytesIO()
        assert one.pull("C:\\x\\y.bin", into) and into.getvalue() == data
        into = BytesIO()
        assert not one.pull("C:\\x\\y.bin", into, most=1000) and into.getvalue() == data[:1000]


def test_what_a_windows_guest_cannot_do_is_one_sentence(machine: Opener) -> None:
    with machine() as one:
        for do, what in (
            (lambda: one.connect("localhost", 53, 1.0, udp=True), "cannot send to an address of UDP"),
            (lambda: one.connect_path("/x", 1.0), "has no Unix sockets"),
            (one.changes, "does not tell what has changed"),
            (lambda: one.run(["x"], Streams(terminal="ssh")), "WinRM, which has no terminals"),
        ):
            with pytest.raises(HostError, match=what):
                do()
        with pytest.raises(UsageError, match="--user cannot change it"):
            one.run(["x"], Streams(), user="grafana")


def test_snapshots(machine: Opener) -> None:
    with machine() as one:
        assert one.snapshot(deadline=ANY) == 1
        one.restore(0, deadline=ANY)
        assert one._power.done == ["save 1", "restore 0"]  # type: ignore[attr-defined]
        assert [process.name for process in one.processes()] == ["System"]
