"""Errors of packages that do not name what they are about: the first line of the report must."""

from pathlib import Path

import pytest

import debs
from support import Run
from test_services import _ON_8080, _SOCKET, Case, _unit, assert_named

pytestmark = pytest.mark.once

_UNTIL_NO_ONE_WAITS = "exec perl -MIO::Socket::INET -e 'IO::Socket::INET->new(LocalPort => 81, Listen => 1)->accept'"
_SILENT_BIND = debs.SERVER.replace('die "no port: $!"', 'die "bind failed: $!\\n"')
_FAILS = debs.SERVER.replace("200 OK", "500 Internal Server Error").replace(
    "print $client", 'print STDERR "error: no /usr/share/case/index\\n"; print $client', 1
)
_RIVAL = _unit("[Service]\nExecStart=/usr/libexec/rivald\n", name="rival") | {
    "/usr/libexec/rivald": f"#!/bin/sh\n{debs.SERVER}"
}
_CONNECTS = "perl -MIO::Socket::INET -e 'exit !IO::Socket::INET->new(q(localhost:8080))'"
_START_RIVAL = f"systemctl daemon-reload; systemctl start rival.service; until {_CONNECTS}; do sleep 0.1; done\n"
_USAGE = "echo cased: unrecognized option --listen; echo 'Usage: cased [OPTION]'; seq -f '  --opt-%g' 60; exit 2"
_START_SOCKET = "systemctl daemon-reload; systemctl enable --now case.socket\n"

CASES = {
    "supplementary group": Case(
        {"unit": {"DynamicUser": "yes", "SupplementaryGroups": "disk ghosts"}}, 1,
        "the group ghosts (SupplementaryGroups=) does not exist (216/GROUP)",
    ),
    "command that a silent script calls": Case(
        {"postinst": "[ -e /etc/case.pem ] || certgen --new 2>/dev/null\n"}, 1,
        "the postinst of case failed (exit status 127): certgen is not there; its package may be missing",
    ),
    "command that a silent script cannot execute": Case(
        {"postinst": "/usr/share/case/payload 2>/dev/null\n"}, 1,
        "the postinst of case failed (exit status 126): /usr/share/case/payload is not executable",
    ),
    "port that another unit holds": Case(
        {"service": _SILENT_BIND, "files": _RIVAL, "postinst": _START_RIVAL}, 1,
        "bind failed: Address already in use; 8080 is held by perl of rival.service",
    ),
    "address that another unit answers at": Case(
        {"files": _RIVAL, "postinst": _START_RIVAL}, 0, "answers 200 OK; answered by perl of rival.service", _ON_8080
    ),
    "directory that nobody made": Case(
        {"service": "touch /run/case/pid 2>/dev/null || { echo no pid file: No such file or directory; exit 1; }",
         "files": {"/usr/lib/tmpfiles.d/case.conf": "f^ /etc/case - - - - no.such\nd /run/case 0755 root root -\n"}},
        1, "/run/case does not exist: /usr/lib/tmpfiles.d/case.conf was never applied",
    ),
    "directory that its user cannot write to": Case(
        {"service": "echo cannot open log: Permission denied; exit 1", "unit": {"User": "nobody"},
         "files": {"/var/log/case/.keep": ""}},
        1, "nobody cannot write to /var/log/case (mode 755, root:root)",
    ),
    "database that its user cannot write to": Case(
        {"service": "echo 'sqlite3.OperationalError: attempt to write a readonly database'; exit 1",
         "unit": {"User": "nobody"},
         "postinst": "mkdir -p /var/lib/case; touch /var/lib/case/main.db\n"
         "chown nobody /var/lib/case; systemctl daemon-reload\n"},
        1, "readonly database; nobody cannot write to /var/lib/case/main.db (mode 644, root:root)",
    ),
    "ends with success and says why": Case(
        {"service": "echo disabled in /etc/case.conf, nothing to do"}, 1,
        "its main process has ended with success (Type=simple); it last printed: disabled in /etc/case.conf",
    ),
    "error before a text on the usage": Case(
        {"service": _USAGE}, 1, "status 2: cased: unrecognized option --listen",
    ),
    "answer of 500": Case(
        {"service": _FAILS}, 1, "case.service printed: error: no /usr/share/case/index",
        (*_ON_8080, "--network-timeout=20"),
    ),
    "daemon in the foreground": Case(
        {"postinst": _UNTIL_NO_ONE_WAITS}, 1,
        "in the foreground, which listens on 0.0.0.0:81, and waits for its end", ("--timeout=180",),
    ),
    "job that names no unit": Case(
        {"service": None, "files": _SOCKET, "postinst": _START_SOCKET}, 1,
        "unit case.socket: it requires case.service, which does not exist", ("--check-unit=case.socket",),
    ),
    "directory that its user cannot enter": Case(
        {"files": {"/opt/case/bin/cased": "#!/bin/sh\nexec sleep 9\n"}, "postinst": "chmod 700 /opt/case\n",
         "unit": {"ExecStart": "/opt/case/bin/cased", "User": "nobody"}},
        1, "Permission denied: nobody cannot enter /opt/case (mode 700, root:root)",
    ),
    "symbolic link to nothing": Case(
        {"unit": {"ExecStart": "/usr/bin/cased"}, "postinst": "ln -s /opt/case/current /usr/bin/cased\n"},
        1, "it is a symbolic link to /opt/case/current, which does not exist",
    ),
    "unit where systemd does not look": Case(
        {"service": None, "files": {"/usr/lib/systemd/case.service": "[Service]\nExecStart=/bin/true\n"}}, 1,
        "/usr/lib/systemd/case.service is not where systemd looks for units", ("--check-unit=case",),
    ),
    "setting that systemd ignores": Case(
        {"service": 'test "$PORT" || { echo no port; exit 3; }', "unit": {"Enviroment": "PORT=80"}}, 1,
        "status 3: no port; systemd says: Unknown key",
    ),
    "syntax of a shell": Case(
        {"unit": {"ExecStart": "/usr/bin/test ${PORT:-80} = 80"}}, 1,
        "ExecStart= has ${PORT:-80}, which is syntax of a shell",
    ),
    "user that comes late": Case(
        {"unit": {"User": "late"}, "start": "true",
         "postinst": "systemctl daemon-reload; systemctl start case || true; useradd --system late\n"},
        1, "the user late did not exist when the unit was started (217/USER)",
    ),
    "user that a script has not made": Case(
        {"unit": {"User": "late"}, "postinst": "if [[ 1 ]]; then useradd --system late; fi\n"}, 1,
        "the user late does not exist (217/USER); a maintainer script printed: /var/lib/dpkg/info/case.postinst: ",
    ),
    "first program without its command": Case(
        {"unit": {"ExecStartPre": "/usr/libexec/wait", "TimeoutStartSec": "2"},
         "files": {"/usr/libexec/wait": "#!/bin/sh\nuntil portcheck 2>/dev/null; do sleep 1; done\n"}},
        1, "ExecStartPre=/usr/libexec/wait did not end within 2s: portcheck is not there",
    ),
    "requirement that is not there": Case(
        {"files": _unit("[Unit]\nRequires=ghost.service\n[Service]\nExecStart=/bin/sleep 9\n", name="case"),
         "start": "systemctl start"},
        1, "it requires ghost.service, which does not exist; the installation has tried to start it, in vain",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_an_error_is_about(postroj: Run, bookworm: str, tmp_path: Path, name: str) -> None:
    assert_named(CASES[name], postroj, bookworm, tmp_path)
