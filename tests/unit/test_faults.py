"""Why a unit has failed, as far as words of systemd, of the journal and of its files tell."""

import json
from collections.abc import Sequence

import pytest

from postroj.contract import Completed, UnitFacts, UnitState
from postroj.deadline import Deadline
from postroj.probe import told
from postroj.probe.steps import reason
from postroj.probe.unit import Stay, check_unit
from postroj.probe.unitfile import parse

from .fakes import FakeMachine, state


def _exit(run: str, status: int, whose: str) -> str:
    message = f"web.service: {whose} process exited, code=exited, status={status}/n/a"
    entry = {"MESSAGE_ID": "98e322203f7a4ed290d09fe03c09fe15", "INVOCATION_ID": run, "MESSAGE": message}
    return json.dumps({**entry, "EXIT_STATUS": str(status)})


_FAILED = '{"MESSAGE_ID":"d9b373ed55a64feb8242e02dbe79a49c","INVOCATION_ID":"2","UNIT_RESULT":"exit-code"}'
_ODD = ("no JSON", "[]", "{}")
_JOURNAL = "\n".join(
    [_exit("1", 9, "Main"), _exit("2", 1, "Control"), _exit("2", 70, "Main"), _FAILED, *_ODD, _exit("3", 4, "Main")]
)


_PRINTED = "\n".join(
    json.dumps({"_SYSTEMD_INVOCATION_ID": run, "MESSAGE": message} if run else {"MESSAGE": message})
    for run, message in (
        ("1", "no licence"), ("2", list(b"\x1b[31mcannot open\x1b[0m /var/cache/web")), ("", "bye"), ("2", None),
        ("3", "listening on 80"),
    )
)  # fmt: skip


def _of_a_loop(argv: Sequence[str]) -> Completed:
    if "--output=json" in argv:
        return Completed(0, _JOURNAL if "UNIT=web.service" in argv else _PRINTED)
    if argv[:2] == ["systemctl", "status"]:
        return Completed(0, "web\n   Active: active (running) since now\n")
    return Completed(0, "listening on 80\n" if argv[0] == "journalctl" else "")


@pytest.mark.parametrize(
    ("seen", "stay", "detail", "active"),
    [
        (
            state("active", "running", 0.1, restarts=1), Stay(4.0, restarts=0),
            "status 70: cannot open /var/cache/web; it ended after the checks and was restarted",
            "Active: active (running) since now\n",
        ),
        (
            state("activating", "auto-restart", restarts=3, result="exit-code"), Stay(4.0),
            "activating (auto-restart) (Result: exit-code), restarted 3 times: status 70: cannot open /var/cache/web",
            "Active: active (running) since now; it was activating when it was judged",
        ),
    ],
)  # fmt: skip
def test_why_a_unit_has_ended_that_runs_again(seen: UnitState, stay: Stay, detail: str, active: str) -> None:
    """What systemd has forgotten is in the journal, whose last lines are of the next start."""
    finding = check_unit(FakeMachine(_of_a_loop, [seen]), "web.service", stay=stay, deadline=Deadline(10))
    assert (finding.detail, finding.passed) == (detail, False)
    assert active in finding.evidence


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("web.service: Got notification message from PID 7, but reception only permitted for main PID 6",
         "came from PID 7, not from the main process (PID 6), and NotifyAccess=main does not permit that"),
        ("web.service: Got notification message from PID 7, but reception only permitted for main PID which is"
         " currently not known", "came from PID 7, not from the main process, and NotifyAccess=main"),
        ("web.service: Got notification message from PID 7, but reception is disabled.",
         "systemd takes no notification from it (NotifyAccess=main): use"),
        ("web.service: start operation timed out. Terminating.", "no READY=1 came within 2s (Type=notify)"),
    ],
)  # fmt: skip
def test_notifications_that_systemd_refuses(line: str, told: str) -> None:
    shown = {"journalctl": f"{line}\nready\n", "systemctl": "Type=notify\nNotifyAccess=main\nTimeoutStartUSec=2s\n"}
    seen = state("failed", "failed", result="timeout")
    machine = FakeMachine(lambda argv: Completed(0, shown.get(argv[0], "")), [seen])
    assert told in check_unit(machine, "web.service", stay=Stay(), deadline=Deadline(10)).detail


@pytest.mark.parametrize(
    ("error", "begin", "told"),
    [
        (
            "No such file or directory",
            "\x7fELF\x02\x01..\n..\0/lib/ld-musl-x86_64.so.1\0",
            "its ELF interpreter /lib/ld-musl-x86_64.so.1 does not exist",
        ),
        ("No such file or directory", "#!/bin/sh\r\nexit\n", "its first line ends with a carriage return"),
        ("No such file or directory", "#! /bin/fish -x\n", "its interpreter /bin/fish does not exist"),
        ("No such file or directory", "", "No such file or directory"),
        ("Exec format error", "\ufeff#!/bin/sh\n", "it begins with a byte order mark"),
        ("Exec format error", "\x7fELF\x02", "it is built for another architecture"),
        ("Exec format error", "exit 0\n", "its first line does not begin with #!"),
        ("Exec format error", "\x00\x01", "Exec format error"),
        ("Permission denied", "#!/bin/sh\n", "Permission denied"),
    ],
)
def test_why_a_program_cannot_be_executed(error: str, begin: str, told: str) -> None:
    found = reason(
        FakeMachine(lambda argv: Completed(0, begin)), "EXEC", [f"Failed at step EXEC spawning /a: {error}"], parse("")
    )
    assert found.startswith("cannot execute /a: ") and told in found


_SOCKET = UnitFacts(triggered_by=("web.timer", "web.socket"))
_USER = UnitFacts(user="web")


@pytest.mark.parametrize(
    ("line", "facts", "file", "clause"),
    [
        ("mkdir: /srv/x: Read-only file system", _USER, "ProtectSystem=strict", "its unit sets ProtectSystem=strict"),
        ("mkdir: /srv/x: Read-only file system", _USER, "ProtectSystem=no", ""),
        ("mkdir: /srv/x: Read-only file system", _USER, "PrivateTmp=yes", ""),
        ("open /home/web/x: permission denied", _USER, "ProtectHome=tmpfs", "its unit sets ProtectHome=tmpfs"),
        ("open /srv/x: permission denied", _USER, "ProtectHome=tmpfs", ""),
        ("Operation not permitted", _USER, "SystemCallFilter=a\nSystemCallFilter=~b\nNoNewPrivileges=yes",
         "its unit sets SystemCallFilter=a ~b and NoNewPrivileges=yes"),
        ("bind 80: Address already in use", _SOCKET, "", "web.socket listens for it: it must take that socket from"),
        ("bind 80: Address already in use", _USER, "", ""),
        ("listen tcp :80: bind: permission denied", _USER, "", "a port below 1024 needs AmbientCapabilities=CAP_NET_B"),
        ("listen tcp :80: bind: permission denied", UnitFacts(), "DynamicUser=true", "a port below 1024 needs Ambient"),
        ("listen tcp :80: bind: permission denied", UnitFacts(), "", ""),
        ("listen tcp :80: bind: permission denied", _USER, "AmbientCapabilities=CAP_NET_BIND_SERVICE", ""),
        ("no licence", _USER, "ProtectSystem=strict", ""),
    ],
)  # fmt: skip
def test_which_setting_an_error_is_about(line: str, facts: UnitFacts, file: str, clause: str) -> None:
    found = told.about(line, facts, parse(f"[Service]\n{file}\n"))
    assert found.startswith(clause) and bool(found) is bool(clause)
