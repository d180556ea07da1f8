"""The report, line by line."""

import pytest

from postroj.pkgprobe import Result
from postroj.probe import Finding
from postroj.report import printable
from postroj.report.text import lines

GOOD = Finding("unit a.service", True, "active (running)")
BAD = Finding("network http://h", False, "no answer", "one\n\n  two\n")


def shown(*findings: Finding) -> list[str]:
    return list(lines(Result("debian-12", list(findings), 1.26), lambda text, colour: f"<{colour}>{text}"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ● é\ttab", "plain ● é\ttab"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb\x07\x00", "a\\x0db\\x07\\x00"),
        ("\x9b2J\u202e", "\\x9b2J\\x202e"),
        ("\udce9", "\\xdce9"),
    ],
)
def test_nothing_reaches_the_terminal_raw(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_passed() -> None:
    assert shown(GOOD) == [
        "<green>ok   unit a.service: active (running)",
        "<green>PASSED debian-12: 1 check, 1.3 s",
    ]


def test_failed_with_evidence() -> None:
    assert shown(GOOD, BAD) == [
        "<green>ok   unit a.service: active (running)",
        "<red>FAIL network http://h: no answer",
        "     | one",
        "     |",
        "     |   two",
        "<red>FAILED debian-12: 1 of 2 checks failed, 1.3 s",
    ]


def test_hostile_findings() -> None:
    hostile = "\x1b]0;title\x07\x1b[2J"
    assert not [line for line in shown(Finding(hostile, False, hostile, f"{hostile}\n{hostile}")) if "\x1b" in line]


@pytest.mark.parametrize(
    ("findings", "passed"), [([GOOD], True), ([GOOD, GOOD], True), ([GOOD, BAD], False), ([BAD], False)]
)
def test_the_verdict(findings: list[Finding], passed: bool) -> None:
    assert Result("x", findings, 0.0).passed is passed
