"""Faults of packages as users build them: the first line of the report must name each."""

from pathlib import Path

import pytest

import debs
from support import Run
from test_services import _ON_8080, _SOCKET, Case, _unit, assert_named

pytestmark = pytest.mark.once

_FAILS_LATE = "sleep 1; echo cannot open /var/spool/case; exit 4"
_DIES_OF_A_REQUEST = debs.SERVER.replace("close $client;", 'close $client; warn "no cache\\n"; exit 4;')
_RESTARTS = {"Restart": "always", "RestartSec": "500ms"}
_OTHER = _unit(f"[Service]\nExecStart=/bin/sh -c '{_FAILS_LATE}'\nRestart=always\nRestartSec=500ms\n", name="other")
_START_OTHER = "systemctl daemon-reload; systemctl start other.service\n"

_SOCKET_8080 = _unit("[Socket]\nListenStream=8080\n[Install]\nWantedBy=sockets.target\n", "socket")
_START_SOCKET = "systemctl daemon-reload; systemctl start case.socket\n"

CASES = {
    "notification of another process": Case(
        {"service": "sh -c 'systemd-notify --ready; true'; echo all is ready; exec sleep infinity",
         "unit": {"Type": "notify", "TimeoutStartSec": "2"}},
        1, "NotifyAccess=main does not permit that: use exec if a script starts the program, or NotifyAccess=all",
    ),
    "line of sysusers.d that systemd does not know": Case(
        {"unit": {"User": "ghost"}, "files": {"/usr/lib/sysusers.d/case.conf": "u! ghost - -\n"},
         "postinst": "systemd-sysusers case.conf || true\n"},
        1, "systemd-sysusers refuses /usr/lib/sysusers.d/case.conf:1: Unknown modifier 'u!'",
    ),
    "loop while an address is tried": Case(
        {"service": _FAILS_LATE, "unit": _RESTARTS}, 1, "status 4: cannot open /var/spool/case", _ON_8080,
    ),
    "ends after the checks": Case(
        {"service": _DIES_OF_A_REQUEST, "unit": _RESTARTS},
        1, "status 4: no cache; it ended after the checks and was restarted", _ON_8080,
    ),
    "system call that is forbidden": Case(
        {"service": "echo case 1.0.0; exec chmod 600 /run/case", "postinst": "touch /run/case\n",
         "unit": {"SystemCallFilter": "~chmod fchmod fchmodat fchmodat2"}},
        1, "killed by SIGSYS: it made a system call that is forbidden by SystemCallFilter=~chmod fchmod",
    ),
    "network of its own": Case(
        {"service": debs.SERVER, "unit": {"PrivateNetwork": "yes"}}, 1,
        "Connection refused; case.service runs in a network namespace of its own (PrivateNetwork=yes)",
        (*_ON_8080, "--network-timeout=1"),
    ),
    "socket that the installation could not start": Case(
        {"service": None, "files": _SOCKET, "postinst": "systemctl daemon-reload; systemctl restart case.socket || :"},
        1, "it requires case.service, which does not exist; the installation has tried to start it, in vain",
        ("--check-unit=case.socket",),
    ),
    "timer whose time systemd cannot read": Case(
        {"files": _unit("[Timer]\nOnCalendar=*-*-* 24:00:00\n[Install]\nWantedBy=timers.target\n", "timer")}, 1,
        "Timer unit lacks value setting. Refusing.; systemd says: Failed to parse calendar specification, ignoring",
        ("--check-unit=case.timer",),
    ),
    "ordering cycle of its own units": Case(
        {"files": _unit("[Unit]\nAfter=case.service\nBefore=case.service\n[Service]\nExecStart=/bin/sleep 99\n"
                        "[Install]\nWantedBy=multi-user.target\n", name="other"),
         "postinst": "systemctl daemon-reload; systemctl enable other\n"}, 1,
        ".service: ordering cycle (After=, Before=): ",
    ),
    "ordering cycle with a target": Case(
        {"files": _unit("[Unit]\nBefore=basic.target\nAfter=network.target\n[Service]\nExecStart=/bin/sleep 99\n"
                        "[Install]\nWantedBy=multi-user.target\n")}, 1,
        "a boot does not start case.service: ordering cycle (After=, Before=): case.service after basic.target after"
        " case.service",
    ),
    "masked by its own package, and then enabled": Case(
        {"postinst": "systemctl daemon-reload; systemctl mask case; systemctl enable --now case.service\n"}, 1,
        "the postinst of case failed (exit status 1): unit case.service: masked by `systemctl mask`, in a maintainer"
        " script: /etc/systemd/system/case.service",
    ),
    "masked by its own package, and then started": Case(
        {"postinst": "systemctl daemon-reload; systemctl mask case; systemctl start case.service\n"}, 1,
        "masked by `systemctl mask`, in a maintainer script: /etc/systemd/system/case.service",
    ),
    "masked by the package that ships it": Case(
        {"postinst": "systemctl daemon-reload; systemctl enable --now masked.service\n",
         "files": {"/lib/systemd/system/masked.service": ""}}, 1,
        "unit masked.service: masked by the package that ships it: /usr/lib/systemd/system/masked.service",
    ),
    "carriage returns": Case(
        {"files": {"/usr/bin/cased": "#!/bin/sh\r\nexec sleep 9\r\n"}, "unit": {"ExecStart": "/usr/bin/cased"}}, 1,
        "cannot execute /usr/bin/cased: its first line ends with a carriage return (CRLF)",
    ),
    "script without a first line for the kernel": Case(
        {"files": {"/usr/bin/cased": "exec sleep 9\n"}, "postinst": "chmod 755 /usr/bin/cased\n",
         "unit": {"ExecStart": "/usr/bin/cased"}}, 1, "Exec format error: its first line does not begin with #!",
    ),
    "configuration that its user cannot read": Case(
        {"service": "echo fatal: no configuration; exit 3", "unit": {"DynamicUser": "yes"},
         "files": {"/etc/case.conf": "x\n"}, "postinst": "chmod 600 /etc/case.conf\n"},
        1, "status 3: fatal: no configuration; its dynamic user cannot read /etc/case.conf (mode 600, root:root)",
    ),
    "last words that are no reason": Case(
        {"service": "echo starting on port 80; exit 1"}, 1, "status 1; it last printed: starting on port 80"
    ),
    "another unit is restarted for ever": Case(
        {"files": _OTHER, "postinst": _START_OTHER}, 1,
        "unit other.service: did not stay active: activating (auto-restart) (Result: exit-code), restarted 3 times:"
        " status 4: cannot open /var/spool/case",
    ),
    "another unit is restarted for ever, and may be": Case(
        {"files": _OTHER, "postinst": _START_OTHER}, 0, "which --allow-failed=oth* allows",
        ("--check-unit=case", "--allow-failed=oth*"),
    ),
    "ends with success for ever": Case(
        {"service": "echo bye; exit 0", "unit": _RESTARTS}, 1, "its main process has ended with success (Type=simple)",
    ),
    # errors that a setting of the unit is the reason of
    "file system that is read-only": Case(
        {"service": "mkdir /var/lib/case || exit 1; exec sleep infinity", "unit": {"ProtectSystem": "strict"}}, 1,
        "Read-only file system; its unit sets ProtectSystem=strict",
    ),
    "address family that is refused": Case(
        {"service": debs.SERVER, "unit": {"RestrictAddressFamilies": "AF_UNIX"}}, 1,
        "; its unit sets RestrictAddressFamilies=AF_UNIX",
    ),
    "port that its own socket has": Case(
        {"service": debs.SERVER, "files": _SOCKET_8080, "postinst": _START_SOCKET}, 1,
        "case.socket listens for it: it must take that socket from systemd",
    ),
    "low port": Case(
        {"service": debs.SERVER.replace("' 8080", "' 80"), "unit": {"DynamicUser": "yes"}}, 1,
        "a port below 1024 needs AmbientCapabilities=CAP_NET_BIND_SERVICE",
    ),
    "longer than its life": Case(
        {"service": "echo all is well; exec sleep infinity", "unit": {"RuntimeMaxSec": "1"}}, 1,
        "it ran for longer than RuntimeMaxSec=1s; it last printed: all is well",
    ),
    "first program that does not end": Case(
        {"unit": {"ExecStartPre": "/bin/sleep 99", "TimeoutStartSec": "2"}}, 1,
        "ExecStartPre=/bin/sleep 99 did not end within 2s",
    ),
    "stopped by another unit": Case(
        {"files": _unit("[Unit]\nConflicts=case.service\n[Service]\nExecStart=/bin/sleep 99\n", name="rival"),
         "start": "true", "postinst": "systemctl daemon-reload; systemctl start case; systemctl start rival\n"},
        1, "it was stopped: rival.service is active, and they conflict (Conflicts=)",
    ),
    "hung up": Case(
        {"service": "(sleep 1; kill -HUP $$) & exec sleep infinity"}, 1, "was killed by SIGHUP, which systemd",
    ),
    "carriage returns after an option": Case(
        {"files": {"/usr/bin/cased": "#!/bin/sh -e\r\nexec sleep 9\r\n"}, "unit": {"ExecStart": "/usr/bin/cased"}}, 1,
        "/usr/bin/cased: its first line ends with a carriage return (CRLF)",
    ),
    "environment file as for a shell": Case(
        {"service": 'test "$DIR" || { echo DIR is not set; exit 1; }; exec sleep infinity',
         "files": {"/etc/default/case": "export DIR=/srv\n"}, "unit": {"EnvironmentFile": "/etc/default/case"}}, 1,
        "status 1: DIR is not set; systemd says: Ignoring invalid environment assignment 'export DIR=/srv'",
    ),
    "program that is not executable": Case(
        {"files": {"/usr/bin/cased": "exit 0\n"}, "unit": {"ExecStart": "/usr/bin/cased"}}, 1,
        "cannot execute /usr/bin/cased: Permission denied: it is not executable (mode 644)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_fault(postroj: Run, bookworm: str, tmp_path: Path, name: str) -> None:
    assert_named(CASES[name], postroj, bookworm, tmp_path)


_NOTIFIES = {"Type": "notify", "NotifyAccess": "all"}
_NO_WATCHDOG = "no WATCHDOG=1 has come in "


@pytest.mark.parametrize(
    ("limit", "stay", "told"),
    [
        ("600", "1", "in less than half of that time; systemd kills it"),
        ("60", "31", "as it should in half of that time; systemd"),
    ],
)
def test_a_watchdog_that_is_later_than_the_stay(
    postroj: Run, bookworm: str, tmp_path: Path, limit: str, stay: str, told: str
) -> None:
    service = "systemd-notify --ready; exec sleep infinity"
    package = debs.build(tmp_path, "case", service=service, unit={**_NOTIFIES, "WatchdogSec": limit})
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}", f"--stay-active={stay}")
    assert done.returncode == 0, done.stdout
    (line,) = (line for line in done.stdout.splitlines() if _NO_WATCHDOG in line)
    assert f"case.service: WatchdogSec={limit}: " in line and told in line


def test_a_watchdog_that_has_come_in_time(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    service = "systemd-notify --ready; systemd-notify WATCHDOG=1; exec sleep infinity"
    package = debs.build(tmp_path, "case", service=service, unit={**_NOTIFIES, "WatchdogSec": "60"})
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}", "--stay-active=1")
    assert done.returncode == 0 and _NO_WATCHDOG not in done.stdout, done.stdout
