"""Unit files that mean something else, users and groups that do not exist, ways that are barred."""

from collections.abc import Callable, Sequence

import pytest

from postroj.contract import Completed
from postroj.probe import misread, past, paths, programs, users
from postroj.probe.unitfile import parse

from .fakes import FakeMachine


def _machine(answer: Callable[[Sequence[str]], str]) -> FakeMachine:
    return FakeMachine(lambda argv: Completed(0, answer(argv)))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "ExecStart=/usr/bin/web --port ${PORT:-80}",
            "ExecStart= has ${PORT:-80}, which is syntax of a shell and which",
        ),
        ("ExecStart=/usr/bin/web --port ${PORT} $OPTIONS", ""),
        ("ExecStart=/usr/bin/web >> /var/log/web 2>&1", "ExecStart= has >>, "),
        ("ExecStart=/usr/bin/web 2>&1", "ExecStart= has 2>&1, "),
        ("ExecStart=/usr/bin/web --id=$(hostname)", "ExecStart= has $(hostname), "),
        ("ExecStartPre=/bin/mkdir /run/x && /bin/true", "ExecStartPre= has &&, "),
        ("ExecStart=/usr/bin/web --query=a>b --or=a|b", ""),
        ("ExecStart=/bin/sh -c 'web ${PORT:-80} >/var/log/web'", ""),
        ("ExecStart=-/usr/bin/env bash -c 'a && b'", ""),
    ],
)
def test_syntax_of_a_shell(line: str, told: str) -> None:
    found = misread.shell_syntax(parse(f"[Service]\n{line}\n"))
    assert found.startswith(told) and bool(found) is bool(told)


def test_what_systemd_ignores_is_a_clause() -> None:
    said = "/lib/systemd/system/web.service:9: Unknown key 'Enviroment' in section [Service], ignoring.\n"
    machine = _machine(lambda argv: f"{said}/lib/systemd/system/other.service:1: x, ignoring.\n")
    assert misread.clauses(machine, "web.service", parse("")) == [
        "systemd says: Unknown key 'Enviroment' in section [Service], ignoring (web.service:9)"
    ]


def test_a_placeholder_that_was_not_replaced() -> None:
    answers = {"find": "/etc/web.conf (mode 644, root:root)", "grep": "/etc/web.conf:3:@PORT@\n/etc/web.conf:4:@X@"}
    assert misread.placeholder(_machine(lambda argv: answers[argv[0]]), "web.service") == (
        "/etc/web.conf:3 has @PORT@, which was not replaced"
    )
    assert misread.placeholder(_machine(lambda argv: ""), "web.service") == ""


_NO_GROUP = "Failed to determine supplementary groups: No such process"


@pytest.mark.parametrize(
    ("group", "more", "is_dynamic", "known", "complaint", "told"),
    [
        ("web", ["ssl"], True, "", _NO_GROUP, "the group ssl (SupplementaryGroups=) does not exist (216/GROUP)"),
        ("web", [], False, "", _NO_GROUP, "the group web does not exist (216/GROUP)"),
        (
            "web",
            ["a", "b", "7"],
            False,
            "web:x:1:\nb:x:2:",
            "",
            "the group a (SupplementaryGroups=) does not exist (216",
        ),
        (
            "",
            ["a", "b"],
            False,
            "",
            "",
            "the groups a (SupplementaryGroups=) and b (SupplementaryGroups=) do not exist",
        ),
        ("web", [], False, "web:x:1:", _NO_GROUP, "the group web did not exist when the unit was started (216/GROUP)"),
        ("web", [], False, "", "Failed to set up x: y", "status 216/GROUP: Failed to set up x: y"),
        ("", [], True, "", "", "a group of it does not exist (216/GROUP)"),
    ],
)
def test_groups(group: str, more: list[str], is_dynamic: bool, known: str, complaint: str, told: str) -> None:
    machine = _machine(lambda argv: known if argv[0] == "getent" else "")
    assert users.no_group(machine, group, more, is_dynamic=is_dynamic, complaint=complaint).startswith(told)


@pytest.mark.parametrize(
    ("known", "complaint", "told"),
    [
        ("", "Failed to determine user credentials: No such process", "the user web does not exist (217/USER)"),
        ("web:x:1:1::/:/x", "", "the user web did not exist when the unit was started (217/USER)"),
        ("", "Failed to set up user namespacing: x", "status 217/USER: Failed to set up user namespacing: x"),
    ],
)
def test_users(known: str, complaint: str, told: str) -> None:
    machine = _machine(lambda argv: known if argv[0] == "getent" else "")
    assert users.no_user(machine, "web", complaint) == told


def _barred(argv: Sequence[str]) -> str:
    """Answer as a guest in which /opt/web is 700, and /srv/x is not writable."""
    if argv[0] == "stat":
        return f"{argv[-1]} (mode 700, root:root)"
    if argv[0] == "ls":
        return argv[-1]
    if "runuser" in argv:
        if "sh" in argv[1:] and argv[0] == "runuser":
            return "/opt/web" if "/opt/web" in argv else ""
        return "status 1" if "-w" in argv else "status 0"
    return ""


@pytest.mark.parametrize(
    ("path", "is_program", "told"),
    [
        ("/opt/web/bin/web", True, "nobody cannot enter /opt/web (mode 700, root:root)"),
        ("/srv/x", False, "nobody cannot write to /srv/x (mode 700, root:root)"),
        ("/srv/x", True, ""),
        ("relative", False, ""),
    ],
)
def test_the_way_to_a_file(path: str, is_program: bool, told: str) -> None:
    find = paths.not_executable if is_program else paths.barred
    assert find(_machine(_barred), "nobody", path) == told


def test_links_that_lead_to_nothing() -> None:
    assert paths.on_the_way("/usr//bin/./web") == ["/usr", "/usr/bin", "/usr/bin/web"]
    itself = _machine(lambda argv: "/usr/bin/web\t/opt/web")
    assert paths.dangling(itself, "/usr/bin/web") == "it is a symbolic link to /opt/web, which does not exist"
    above = _machine(lambda argv: "/opt/current\tv1")
    told = "/opt/current is a symbolic link to v1, which does not exist"
    assert paths.dangling(above, "/opt/current/web") == told
    chain = _machine(lambda argv: "/usr/bin/web\tpython\t/usr/bin/python3.9")
    told = "it is a symbolic link to python, and leads to /usr/bin/python3.9, which does not exist"
    assert paths.dangling(chain, "/usr/bin/web") == told
    assert paths.dangling(_machine(lambda argv: ""), "/usr/bin/web") == ""


def test_units_whose_jobs_have_failed() -> None:
    machine = _machine(lambda argv: '{"UNIT":"a.socket"}\n{"UNIT":"b.service"}\n{"UNIT":"a.socket"}\n{}\n')
    assert past.failed_jobs(machine, 1.5) == ["a.socket", "b.service"]
    assert "--since=@1.500000" in machine.commands[0] and "JOB_RESULT=failed" in machine.commands[0]


@pytest.mark.parametrize(
    ("argv", "text", "told"),
    [
        ("/usr/lib/web/wait", "#!/bin/sh\nuntil nc -z x 1; do sleep 1; done", "nc is not there"),
        ("/bin/sh -c until nc -z x 1; do sleep 1; done", "", "nc is not there"),
        ("/usr/bin/web", "\x7fELF", ""),
        ("/usr/bin/web", "#!/usr/bin/python3\nnc", ""),
    ],
)
def test_commands_that_a_program_lacks(argv: str, text: str, told: str) -> None:
    machine = _machine(lambda asked: text if asked[0] == "head" else "127 nc\n")
    assert programs.lacking(machine, argv).startswith(told) and bool(programs.lacking(machine, argv)) is bool(told)


def test_a_status_of_too_many_digits_is_none() -> None:
    assert programs.run(f"argv[]=x ; code=exited ; status={'9' * 5000}") is None
