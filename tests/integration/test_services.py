"""Services as real packages ship them: who starts what, what comes up late, what dies, what a machine cannot tell."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

import debs
from support import Run

pytestmark = pytest.mark.once

OFF: dict[str, Any] = {"enable": False, "start": "true"}
"""A package that neither enables nor starts its service."""
_UNITS = "/lib/systemd/system"


class Case(NamedTuple):
    """A package, and what is to be said of it."""

    package: dict[str, Any]
    status: int
    told: str
    words: tuple[str, ...] = ("--check-unit=case",)


def assert_named(case: Case, postroj: Run, bookworm: str, directory: Path) -> None:
    """Probe the package of a case: the first line of a report that is not passed names the fault."""
    package = debs.build(directory, "case", **case.package)
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}", *case.words)
    assert done.returncode == case.status, done.stdout + done.stderr
    where = done.stdout.splitlines()[0] if case.status else done.stdout
    assert case.told in where, done.stdout


def _unit(text: str, kind: str = "service", name: str = "case") -> dict[str, str]:
    return {f"{_UNITS}/{name}.{kind}": text}


_DIES_OF_A_REQUEST = debs.SERVER.replace("close $client;", 'close $client; sleep 1; die "served";')
_ON_8080 = ("--check-unit=case", "--check-network=http://localhost:8080")
_INSTALL = "[Install]\nWantedBy=multi-user.target\n"
_NEEDS = "[Unit]\nRequires={0}\nAfter={0}\n[Service]\nExecStart=/bin/true\n"
_STATIC = _unit("[Service]\nExecStart=/usr/libexec/case\n")
_ONESHOT = _unit("[Service]\nType=oneshot\nExecStart=/usr/libexec/case\n")
_WANTED_BY_NOTHING = _unit("[Service]\nExecStart=/usr/libexec/case\n[Install]\nWantedBy=multiuser.target\n")
_SOCKET = _unit(
    "[Socket]\nListenStream=/run/case.sock\nListenStream=9999\n[Install]\nWantedBy=sockets.target\n", "socket"
)
_TIMER = _unit("[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n", "timer")
_PATH = _unit("[Path]\nPathExists=/run/never\n[Install]\nWantedBy=paths.target\n", "path")
_BUS = {
    **_unit("[Service]\nType=dbus\nBusName=org.example.Case\nExecStart=/usr/libexec/case\n"),
    "/usr/share/dbus-1/system.d/org.example.Case.conf": (
        '<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"'
        ' "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">'
        '<busconfig><policy user="root"><allow own="org.example.Case"/></policy></busconfig>'
    ),
}
_DIES_SOON = f"[Service]\nExecStart=/bin/sh -c 'sleep 1; exit 3'\n{_INSTALL}"
_EXCLUDES = f"[Unit]\nConflicts={{}}.service\n[Service]\nExecStart=/bin/sleep infinity\n{_INSTALL}"
_OWNS_A_NAME = "exec busctl monitor --system org.example.Case"
_INIT_SCRIPT = """#!/bin/sh
### BEGIN INIT INFO
# Provides: case
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop:
### END INIT INFO
case "$1" in start) {start} ;; esac
"""
# As kmod's, which the image does not have
_MODPROBE = {"files": {"/usr/sbin/modprobe": '#!/bin/sh\necho "modprobe: FATAL: Module $1 not found" >&2; exit 1\n'}}
# It is called sleep when the script ends.
_DAEMON = (
    "setsid sleep infinity </dev/null >/dev/null 2>&1 &\nuntil grep -qx sleep /proc/$!/comm; do test -d /proc/$!; done"
)
_INIT_START = "systemctl daemon-reload; systemctl start case"

_UMBRELLA = {
    **_unit(
        "[Unit]\nWants=case-real.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        f"ExecStart=/bin/true\n{_INSTALL}"
    ),
    **_unit("[Service]\nExecStart=/bin/false\n", name="case-real"),
}
# As packages built with nfpm often have it
_STRICT: dict[str, Any] = {
    "enable": False, "start": "true", "postinst": "systemctl daemon-reload; systemctl enable --now case.service\n"
}  # fmt: skip

CASES = {
    # who starts it
    "shipped unit that nobody names": Case({"service": debs.SERVER, **OFF}, 0, "unit case.service: active", ()),
    "two units, one of them disabled by the package": Case(
        {"files": _unit(f"[Service]\nExecStart=/bin/false\n{_INSTALL}", name="other")},
        0, "unit case.service: active (running)\nPASSED", (),
    ),
    "one that nothing starts": Case(
        {"files": _unit("[Service]\nExecStart=/bin/false\n", name="other")},
        0, "note: other.service is not judged: a boot does not start it; name it by --check-unit", (),
    ),
    "one that is disabled, beside one that is enabled": Case(
        {"files": _unit(f"[Service]\nExecStart=/bin/false\n{_INSTALL}", name="other")},
        1, "enablement of other.service: `systemctl is-enabled` says disabled", ("--expect-enabled",),
    ),
    "one that a link in the package starts": Case(
        {"service": None, "files": _unit("[Service]\nExecStart=/bin/false\n"),
         "links": {"/lib/systemd/system/multi-user.target.wants/case.service": "../case.service"}},
        1, "unit case.service: failed (Result: exit-code): status 1", (),
    ),
    "one without a file": Case(
        {"service": None, "links": {"/lib/systemd/system/case.service": "nowhere.service"}},
        0, "note: case.service is not judged: its file is not there, or is a link to one that is not", (),
    ),
    "wanted by what cannot be a unit": Case(
        {**OFF, "files": _unit(
            "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.traget\n")},
        0, "note: case.service: WantedBy=multi-user.traget does not exist: a boot does not start it", (),
    ),
    "mount that is wrong": Case(
        {"service": None, "files": {"/lib/systemd/system/srv-case.mount":
            f"[Mount]\nWhat=tmpfs\nWhere=/srv/other\nType=tmpfs\n{_INSTALL}"}},
        1, "unit srv-case.mount: inactive (dead), bad-setting", (),
    ),
    "fails, which is allowed": Case(
        {"service": "echo no licence; exit 3"},
        0, "status 3: no licence, which --allow-failed=case.service allows", ("--allow-failed=case.service",),
    ),
    "ends with what it takes for success": Case(
        {"service": "echo no licence >&2; exit 3", "unit": {"SuccessExitStatus": "3"}},
        1, "its main process has ended with status 3, which its unit takes for success (SuccessExitStatus=",
    ),
    "program after its start fails": Case(
        {"unit": {"ExecStartPost": "/bin/sh -c 'echo smoke test failed; exit 4'"}, "start": "systemctl start"},
        1, "failed (status 4): smoke test failed",
    ),
    "PID file with another number": Case(
        {"service": "sleep 600 & echo 999999 >/run/case.pid",
         "unit": {"Type": "forking", "PIDFile": "/run/case.pid", "TimeoutStartSec": "5"},
         "start": "systemctl start --no-block"},
        1, "PIDFile=/run/case.pid names PID 999999, which does not exist",
    ),
    "limit that it sets itself": Case(
        {"service": "exec chrt --rr 1 sleep infinity", "unit": {"RestrictRealtime": "yes"}},
        1, "Operation not permitted; its unit sets RestrictRealtime=yes",
    ),
    "error before what it says last": Case(
        {"service": "echo 'ERROR cannot bind to port 53'; echo 'WARN connection refused by metrics'; exit 1"},
        1, "status 1: ERROR cannot bind to port 53",
    ),
    "not enabled": Case(
        {"enable": False, "start": "systemctl start"}, 0,
        "unit case.service: active (running); not enabled: a boot does not start it",
    ),
    "expected to be enabled": Case(
        {**OFF}, 1, "enablement of case.service: `systemctl is-enabled` says disabled",
        ("--check-unit=case", "--expect-enabled"),
    ),
    "expected to be enabled, without [Install]": Case(
        {**OFF, "files": _STATIC}, 1, "enablement of case.service: it has no [Install] section, and no other unit",
        ("--check-unit=case", "--expect-enabled"),
    ),
    "expected to be enabled, started by its socket": Case(
        {**OFF, "postinst": "systemctl enable case.socket", "files": {**_STATIC, **_SOCKET}}, 0,
        "unit case.service: active (running)", ("--check-unit=case", "--check-unit=case.socket", "--expect-enabled"),
    ),
    "expected to be enabled, and wanted by what does not exist": Case(
        {"files": _WANTED_BY_NOTHING}, 1, "enablement of case.service: WantedBy=multiuser.target does not exist",
        ("--check-unit=case", "--expect-enabled"),
    ),
    "wanted by what does not exist": Case(
        {"files": _WANTED_BY_NOTHING}, 0,
        "     note: case.service: WantedBy=multiuser.target does not exist: a boot does not start it",
    ),
    "settings that systemd ignores": Case(
        {"unit": {"Usr": "nobody"}}, 0, "case.service:6: Unknown key 'Usr' in section [Service], ignoring.", ()
    ),
    "values that systemd ignores, of a unit that is not judged": Case(
        {"files": _unit("[Service]\nExecStart=/bin/true\nTimeoutStopSec=ten\n", name="other")}, 0,
        "other.service:3: Failed to parse time value, ignoring: ten",
    ),
    "unit that its script copies": Case(
        {"service": None, "files": {"/usr/share/case/case.service": _DIES_SOON},
         "postinst": "cp /usr/share/case/case.service /etc/systemd/system/; systemctl enable --now case.service"},
        1, "unit case.service: did not stay active: failed (Result: exit-code): status 3", (),
    ),
    "instance that its script starts": Case(
        {"service": None, "files": _unit(_DIES_SOON, name="case@"), "postinst": "systemctl enable --now case@one"},
        1, "unit case@one.service: did not stay active: failed (Result: exit-code): status 3", (),
    ),
    "units that exclude each other": Case(
        {"service": None,
         "files": {**_unit(_EXCLUDES.format("b"), name="a"), **_unit(_EXCLUDES.format("a"), name="b")}},
        0, "     note: b.service is not judged: it conflicts with a.service; name it by --check-unit", (),
    ),
    "unit for a shutdown": Case(
        {"service": None, "files": _unit("[Service]\nExecStart=/bin/false\n[Install]\nWantedBy=halt.target\n"),
         "postinst": "systemctl enable case.service"},
        0, "     note: case.service is not judged: only another unit, a shutdown or a suspension starts it\nPASSED", (),
    ),
    "instance of a template": Case(
        {"service": 'test "$1" = one && exec sleep infinity', **OFF,
         "files": _unit(f"[Service]\nExecStart=/usr/libexec/case %i\n{_INSTALL}", name="case@")},
        0, "unit case@one.service: active (running); started by postroj", ("--check-unit=case@one",),
    ),
    # triggers
    "socket by its service": Case({**OFF, "files": {**_STATIC, **_SOCKET}}, 0, "unit case.service: active (running)"),
    "socket that nobody names": Case(
        {**OFF, "files": {**_STATIC, **_SOCKET}}, 0, "ok   unit case.service: active (running)", ()
    ),
    "service that dies after the connect, the socket named": Case(
        {**OFF, "service": "echo oh no; exit 4", "files": {**_STATIC, **_SOCKET}}, 1,
        "unit case.service: failed (Result: exit-code): status 4: oh no", ("--check-unit=case.socket",),
    ),
    "service that dies after the connect, the service named": Case(
        {**OFF, "service": "echo oh no; exit 4", "files": {**_STATIC, **_SOCKET}}, 1,
        "unit case.service: failed (Result: exit-code): status 4: oh no",
    ),
    "timer": Case(
        {**OFF, "service": "echo done", "files": {**_ONESHOT, **_TIMER}}, 0,
        "unit case.service: inactive (dead), ended with success", ("--check-unit=case.timer",),
    ),
    "timer whose service fails": Case(
        {**OFF, "service": "echo no luck; exit 3", "files": {**_ONESHOT, **_TIMER}}, 1,
        "unit case.service: failed (Result: exit-code): status 3: no luck", ("--check-unit=case.timer",),
    ),
    "path that waits": Case(
        {**OFF, "service": "exit 3", "files": {**_ONESHOT, **_PATH}, "postinst": "systemctl enable --now case.path"},
        0, "unit case.path: active (waiting)\nPASSED", (),
    ),
    "path": Case(
        {**OFF, "service": "exit 3", "files": {**_ONESHOT, **_PATH}}, 1,
        "unit case.service: failed (Result: exit-code): status 3", ("--check-unit=case.path",),
    ),
    "service that is static": Case({**OFF, "files": _STATIC}, 0, "unit case.service: active (running); started by"),
    "oneshot that has done its work": Case(
        {"service": "echo done", "unit": {"Type": "oneshot"}}, 0, "inactive (dead), ended with success"
    ),
    # starts
    "second start works": Case(
        {"service": "test -e /run/tried || { touch /run/tried; exit 1; }; exec sleep infinity",
         "unit": {"Restart": "on-failure", "RestartSec": "1"}},
        0, "active (running), needed 2 starts",
    ),
    "loop": Case(
        {"service": "echo bad luck; exit 1", "unit": {"Restart": "always", "RestartSec": "1"}},
        1, " times: status 1: bad luck",
    ),
    "slow start within its own limit": Case(
        {"service": "sleep 11; systemd-notify --ready; exec sleep infinity",
         "unit": {"Type": "notify", "NotifyAccess": "all", "TimeoutStartSec": "300"},
         "start": "systemctl start --no-block"},
        0, "s to start",
    ),
    # ends
    "dies of a request": Case({"service": _DIES_OF_A_REQUEST}, 1, "did not stay active: failed (Result: ", _ON_8080),
    "dies of a request and is restarted": Case(
        {"service": _DIES_OF_A_REQUEST, "unit": {"Restart": "always"}}, 1,
        "; it ended after the checks and was restarted", _ON_8080,
    ),
    "another unit fails": Case(
        {"files": _UMBRELLA},
        1, "unit case-real.service: failed (Result: exit-code): status 1",
    ),
    "another unit may fail": Case(
        {"files": _UMBRELLA},
        0, "status 1, and it printed nothing, which --allow-failed=case-r* allows",
        ("--check-unit=case", "--allow-failed=case-r*"),
    ),
    "init script that only sets something": Case(
        {"service": None, "postinst": _INIT_START,
         "files": {"/etc/init.d/case": _INIT_SCRIPT.format(start="sysctl kernel.hostname >/dev/null")}},
        0, "unit case.service: active (exited); /etc/init.d/case sets something, and leaves no process by design",
    ),
    "init script that starts nothing": Case(
        {"service": None, "postinst": _INIT_START, "files": {"/etc/init.d/case": _INIT_SCRIPT.format(start="exit 0")}},
        1, "unit case.service: no process of it is left, /etc/init.d/case has started nothing that stays",
    ),
    "init script that says why it starts nothing": Case(
        {"service": None, "postinst": _INIT_START,
         "files": {"/etc/init.d/case": _INIT_SCRIPT.format(start="echo START=no in /etc/default/case; exit 0")}},
        1, "has started nothing that stays: active (exited): START=no in /etc/default/case",
    ),
    "init script that misses a device": Case(
        {"service": None, "postinst": _INIT_START,
         "files": {"/etc/init.d/case": _INIT_SCRIPT.format(start="echo no hardware RNG device found; exit 0")}},
        3, "this machine cannot tell: hardware RNG device: no hardware RNG device found",
    ),
    "init script that starts a daemon": Case(
        {"service": None, "postinst": _INIT_START,
         "files": {"/etc/init.d/case": _INIT_SCRIPT.format(start=_DAEMON)}},
        0, "unit case.service: active (running)",
    ),
    "requires what fails": Case(
        {"files": {**_unit(_NEEDS.format("base.service") + _INSTALL),
                   **_unit("[Service]\nType=oneshot\nExecStart=/bin/false\n", name="base")}},
        1, "unit case.service: it requires base.service: failed (Result: exit-code): status 1",
    ),
    "requires a file system of the kernel": Case(
        {"files": {**_unit(_NEEDS.format("mnt.mount") + _INSTALL),
                   **_unit("[Mount]\nWhat=none\nWhere=/mnt\nType=nfsd\n", "mount", "mnt")}},
        3, "unit case.service: it requires mnt.mount: this machine cannot tell: kernel file system",
    ),
    "user that sysusers.d would make": Case(
        {"unit": {"User": "ghost"}, "files": {"/usr/lib/sysusers.d/case.conf": "u ghost - -\n"}},
        1, "the user ghost does not exist (217/USER); /usr/lib/sysusers.d/case.conf was never applied",
    ),
    # why: the first line alone
    "program that is not there": Case(
        {"unit": {"ExecStart": "/usr/bin/cased"}}, 1, "cannot execute /usr/bin/cased: No such file or directory"
    ),
    "working directory that is not there": Case(
        {"unit": {"WorkingDirectory": "/var/lib/case"}}, 1, "WorkingDirectory=/var/lib/case: No such file or directory"
    ),
    "environment file that is not there": Case(
        {"unit": {"EnvironmentFile": "/etc/default/case"}}, 1, "EnvironmentFile=/etc/default/case"
    ),
    "slower than systemd's own limit, with one of its own": Case(
        {"service": "sleep 92; systemd-notify --ready; exec sleep infinity", "start": "systemctl start --no-block",
         "unit": {"Type": "notify", "NotifyAccess": "all", "TimeoutStartSec": "300"}}, 0, "s to start",
    ),
    "first program fails": Case(
        {"unit": {"ExecStartPre": "/usr/bin/test -d /var/lib/case"}}, 1,
        "ExecStartPre=/usr/bin/test -d /var/lib/case failed (status 1)",
    ),
    "never ready": Case(
        {"unit": {"Type": "notify", "TimeoutStartSec": "2"}}, 1, "no READY=1 came within 2s (Type=notify)"
    ),
    "no PID file": Case(
        {"service": "sleep infinity & exit 0", "unit": {"Type": "forking", "PIDFile": "/run/case.pid",
         "TimeoutStartSec": "2"}}, 1, "PIDFile=/run/case.pid was not written within 2s (Type=forking)",
    ),
    "ends at once with success": Case(
        {"service": "setsid sleep infinity & exit 0"}, 1, "its main process has ended with success (Type=simple)"
    ),
    "group that sysusers.d would make": Case(
        {"unit": {"SupplementaryGroups": "ghosts"}, "files": {"/usr/lib/sysusers.d/case.conf": "g ghosts - -\n"}},
        1, "the group ghosts (SupplementaryGroups=) does not exist (216/GROUP);"
        " /usr/lib/sysusers.d/case.conf was never applied",
    ),
    "path of the sandbox that is not there": Case(
        {"unit": {"ReadWritePaths": "/var/lib/case"}}, 1, "/var/lib/case: No such file or directory"
    ),
    "path of the sandbox, among others": Case(
        {"unit": {"ReadWritePaths": "-/srv/case /var/lib/case"}}, 1,
        "status 226/NAMESPACE: ReadWritePaths=/var/lib/case: No such file or directory",
    ),
    "source of a bind mount": Case(
        {"unit": {"BindPaths": "/srv/case:/mnt"}}, 1,
        "status 226/NAMESPACE: BindPaths=/srv/case:/mnt: No such file or directory",
    ),
    "root directory that is not there": Case(
        {"unit": {"RootDirectory": "/srv/case"}}, 1,
        "status 226/NAMESPACE: RootDirectory=/srv/case: No such file or directory",
    ),
    "root directory without the program": Case(
        {"unit": {"RootDirectory": "/mnt"}}, 1, "status 203/EXEC: cannot execute its program below RootDirectory=/mnt"
    ),
    "directory of the output that is not there": Case(
        {"unit": {"StandardOutput": "append:/var/log/case/main.log"}}, 1,
        "status 209/STDOUT: StandardOutput=append:/var/log/case/main.log: No such file or directory",
    ),
    "the same, before the first program": Case(
        {"unit": {"StandardError": "file:/srv/case/log", "ExecStartPre": "/bin/true"}}, 1,
        "ExecStartPre=/bin/true failed (status 222/STDERR): StandardError=file:/srv/case/log: No such file",
    ),
    "credential that is not there": Case(
        {"unit": {"LoadCredential": "token:/etc/case/token"}}, 1,
        "status 243/CREDENTIALS: LoadCredential=token:/etc/case/token: No such file or directory",
    ),
    "state directory that is a file": Case(
        {"unit": {"StateDirectory": "case"}, "files": {"/var/lib/case": ""}}, 1,
        "status 238/STATE_DIRECTORY: StateDirectory=case (/var/lib/case): Not a directory",
    ),
    "network namespace that is not there": Case(
        {"unit": {"NetworkNamespacePath": "/run/netns/blue"}}, 1,
        "status 225/NETWORK: NetworkNamespacePath=/run/netns/blue: No such file or directory",
    ),
    "says it in colours": Case(
        {"service": r"printf '\033[1;31mERROR\033[0m: no \033[4mtable\033[m users\n\033[31mbye\033[0m\n'; exit 1"},
        1, "status 1: ERROR: no table users",
    ),
    "says nothing": Case({"service": "exit 7"}, 1, "(Result: exit-code): status 7, and it printed nothing"),
    "a status of systemd's, by itself": Case({"service": "echo my own; exit 209"}, 1, "status 209: my own"),
    "log file": Case(
        {"service": "mkdir /var/log/case; echo no table users >/var/log/case/main.log; exit 1"}, 1,
        "status 1: /var/log/case/main.log: no table users",
    ),
    "assertion on its own file": Case(
        {"files": _unit(f"[Unit]\nAssertPathExists=/etc/case.conf\n[Service]\nExecStart=/bin/true\n{_INSTALL}")},
        1, "not started: AssertPathExists=/etc/case.conf is not met",
    ),
    "killed": Case({"service": "kill -SEGV $$"}, 1, "killed by SIGSEGV"),
    "unit that systemd cannot load": Case({"unit": {"ExecStart": ""}}, 1, "Service has no ExecStart=", ()),
    "other status than the one that is right": Case(
        {"service": debs.SERVER.replace("200 OK", "404 Not Found")}, 1,
        "http http://localhost:8080/health status=200: status: expected 200, got 404 Not Found (waited 20 s)",
        ("--check=http http://localhost:8080/health status=200", "--network-timeout=20"),
    ),
    "TLS that is not there": Case(
        {"service": debs.SERVER}, 1, "the port speaks plain HTTP, not TLS: http://localhost:8080/",
        ("--check-unit=case", "--check-network=https://localhost:8080", "--network-timeout=20"),
    ),
    "status that is right": Case(
        {"service": debs.SERVER.replace("200 OK", "404 Not Found")}, 0, "answers 404 Not Found",
        ("--check=http http://localhost:8080/health status=404", "--check=unit case", "--check=tcp localhost:8080"),
    ),
    "any status, which is told": Case(
        {"service": debs.SERVER.replace("200 OK", "404 Not Found")}, 0, "answers 404 Not Found", _ON_8080
    ),
    "other port": Case(
        {"service": debs.SERVER}, 1, "Connection refused; the machine listens on: 0.0.0.0:8080",
        ("--check-unit=case", "--check-network=http://localhost:80", "--network-timeout=1"),
    ),
    "unit that is required and does not exist": Case(
        {"files": _unit(_NEEDS.format("redis.service") + _INSTALL)}, 1,
        "unit case.service: it requires redis.service, which does not exist",
    ),
    "socket without its service": Case(
        {"service": None, "files": _SOCKET}, 1, "it requires case.service, which does not exist", ()
    ),
    "interpreter that does not exist": Case(
        {"files": {"/usr/bin/cased": "#!/usr/bin/fish\n"}, "unit": {"ExecStart": "/usr/bin/cased"}}, 1,
        "cannot execute /usr/bin/cased: its interpreter /usr/bin/fish does not exist",
    ),
    # a postinst that fails because the unit does
    "environment file, and a strict postinst": Case(
        {"unit": {"EnvironmentFile": "/etc/default/case"}, **_STRICT}, 1,
        "the postinst of case failed (exit status 1): unit case.service: failed (Result: resources): Failed to load",
    ),
    "setting that is wrong, and a strict postinst": Case(
        {"unit": {"ExecStart": "usr/bin/case"}, **_STRICT}, 1,
        "Neither a valid executable name nor an absolute path: usr/bin/case",
    ),
    "user, and deb-systemd-invoke": Case(
        {"unit": {"User": "ghost"}, "enable": False, "start": "true", "postinst": "systemctl daemon-reload;"
         " deb-systemd-invoke start case.service"}, 1, "the user ghost does not exist (217/USER)",
    ),
    "assertion on the machine, and a strict postinst": Case(
        {"files": _unit(f"[Unit]\nAssertVirtualization=no\n[Service]\nExecStart=/bin/true\n{_INSTALL}"), **_STRICT},
        3, "AssertVirtualization=no is not met",
    ),
    "device, and a strict postinst": Case(
        {"files": _unit("[Unit]\nBindsTo=dev-ttyUSB0.device\nAfter=dev-ttyUSB0.device\n[Service]\n"
                        f"ExecStart=/bin/true\n{_INSTALL}"), **_STRICT}, 3, "there is no dev-ttyUSB0.device",
    ),
    "module, and a strict postinst": Case(
        {"service": "exit 1", "unit": {"ExecStartPre": "modprobe dm_mod"}, "start": "true", "enable": False,
         "files": _MODPROBE["files"], "postinst": _STRICT["postinst"]}, 3, "kernel module dm_mod",
    ),
    # what this machine cannot tell
    "realtime scheduling": Case(
        {"unit": {"CPUSchedulingPolicy": "rr", "CPUSchedulingPriority": "10"}}, 3, "CPUSchedulingPolicy=",
    ),
    "assertion on the machine": Case(
        {"files": _unit(f"[Unit]\nAssertVirtualization=no\n[Service]\nExecStart=/bin/true\n{_INSTALL}")},
        3, "AssertVirtualization=no is not met",
    ),
    "device": Case(
        {"files": _unit(f"[Unit]\nBindsTo=dev-ttyUSB0.device\n[Service]\nExecStart=/bin/true\n{_INSTALL}")},
        3, "there is no dev-ttyUSB0.device",
    ),
    "terminal": Case({"unit": {"StandardInput": "tty", "TTYPath": "/dev/tty9"}}, 3, "device node /dev/tty9"),
    "loop device": Case({"unit": {"RootImage": "/usr/share/case.raw"}}, 3, "Failed at step NAMESPACE"),
    "realtime IO": Case({"unit": {"IOSchedulingClass": "realtime"}}, 3, "IOSchedulingClass="),
    "kernel setting": Case(
        {"service": "echo 262144 >/proc/sys/vm/max_map_count || exit 1; exec sleep infinity"}, 3,
        "kernel setting /proc/sys/vm/max_map_count",
    ),
    "kernel module": Case({"service": "modprobe dm_mod; exit 1", **_MODPROBE}, 3, "kernel module dm_mod"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_service(postroj: Run, bookworm: str, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    package = debs.build(tmp_path, "case", **case.package)
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}", *case.words)
    assert done.returncode == case.status, done.stdout + done.stderr
    assert case.told in done.stdout
    if case.status != 0:
        verdict = "FAILED" if case.status == 1 else "NO VERDICT"
        first = done.stdout.splitlines()[0]
        assert first.startswith(f"{verdict} {bookworm}: ") and case.told.strip() in first


def test_several_units_of_one_request_are_all_told(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    """What was found stays, whatever comes after it."""
    package = debs.build(tmp_path, "case")
    words = ["--check-unit=case", "--check-unit=nothing", "--check-network=tcp://localhost:1"]
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}", *words)
    assert done.returncode == 1
    assert "ok   unit case.service: active (running)" in done.stdout
    assert "FAIL unit nothing.service: does not exist" in done.stdout
    assert "skip network tcp://localhost:1: not tried, because of unit nothing.service" in done.stdout
