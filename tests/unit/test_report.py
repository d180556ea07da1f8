"""The report, line by line."""

import pytest

from postroj.errors import HostError
from postroj.harness import Result, Verdict
from postroj.probe import Finding, Outcome
from postroj.report import printable
from postroj.report.text import lines

GOOD = Finding("unit a.service", Outcome.PASSED, "active (running)")
BAD = Finding("network http://h", Outcome.FAILED, "no answer", "one\n\n  two\n")


def shown(*findings: Finding) -> list[str]:
    return list(lines(Result("debian-12", list(findings), 1.26), lambda text, colour: f"<{colour}>{text}"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ● é\ttab", "plain ● é\ttab"),
        ("\x1b[01;31m\x1b[Kred\x1b[m and \x1b[38;5;9mmore\x1b[0m", "red and more"),
        ("\x1b[2J\x1b[H\x1b[31", "\\x1b[2J\\x1b[H\\x1b[31"),
        ("\x1b[\x1b[31m31m", "\\x1b[31m"),
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


def test_evidence_of_what_has_passed_is_shown_on_demand() -> None:
    found = GOOD._replace(evidence="$ apt-get install")
    assert "     | $ apt-get install" not in shown(found)
    assert "     | $ apt-get install" in lines(Result("x", [found], 0.0), lambda text, colour: text, verbose=True)


@pytest.mark.parametrize(("excerpt", "chosen"), [("", [f"line {n}" for n in range(90, 100)]), ("line 7", ["line 7"])])
def test_ten_lines_of_much_evidence(excerpt: str, chosen: list[str]) -> None:
    found = BAD._replace(evidence="\n".join(f"line {n}" for n in range(100)), excerpt=excerpt)
    told = shown(found)
    assert [line[7:] for line in told if line.startswith("     | ")] == chosen
    assert f"     ({len(chosen)} of 100 lines; all of them with -v)" in told
    everything = list(lines(Result("x", [found], 0.0), lambda text, colour: text, verbose=True))
    assert len([line for line in everything if line.startswith("     | ")]) == 100


def test_a_line_without_end_is_cut() -> None:
    assert len("".join(shown(BAD._replace(evidence="x" * 10**6)))) < 1000


def test_failed_with_evidence() -> None:
    assert shown(GOOD, BAD) == [
        "<red>FAILED debian-12: network http://h: no answer",
        "<green>ok   unit a.service: active (running)",
        "<red>FAIL network http://h: no answer",
        "     | one",
        "     |",
        "     |   two",
        "<red>FAILED debian-12: 1 of 2 checks failed, 1.3 s",
    ]


def test_hostile_findings() -> None:
    hostile = "\x1b]0;title\x07\x1b[2J"
    assert not [
        line for line in shown(Finding(hostile, Outcome.FAILED, hostile, f"{hostile}\n{hostile}")) if "\x1b" in line
    ]


UNKNOWN = Finding("unit c.service", Outcome.UNKNOWN, "cannot start in this machine", hint="take another")
SKIPPED = Finding("network tcp://h:1", Outcome.SKIPPED, "not tried, because of unit c.service")
ERROR = HostError("the host's disk is full")


@pytest.mark.parametrize(
    ("findings", "error", "verdict"),
    [
        ([GOOD], None, Verdict.PASSED),
        ([GOOD, GOOD], None, Verdict.PASSED),
        ([GOOD, BAD], None, Verdict.FAILED),
        ([BAD, SKIPPED], None, Verdict.FAILED),
        ([GOOD, UNKNOWN, SKIPPED], None, Verdict.UNKNOWN),
        ([UNKNOWN, BAD], None, Verdict.FAILED),
        ([GOOD], ERROR, Verdict.UNKNOWN),
        ([BAD], ERROR, Verdict.UNKNOWN),
    ],
)
def test_the_verdict(findings: list[Finding], error: HostError | None, verdict: Verdict) -> None:
    assert Result("x", findings, 0.0, error).verdict is verdict


def test_what_cannot_be_told_and_what_was_not_tried() -> None:
    assert shown(GOOD, UNKNOWN, SKIPPED) == [
        "<yellow>NO VERDICT debian-12: unit c.service: cannot start in this machine",
        "<green>ok   unit a.service: active (running)",
        "<yellow>???? unit c.service: cannot start in this machine",
        "     take another",
        "<bold>skip network tcp://h:1: not tried, because of unit c.service",
        "<yellow>NO VERDICT debian-12: 2 checks, 1 not tried, 1.3 s",
    ]


def test_findings_before_an_error() -> None:
    result = Result("debian-12", [GOOD], 1.26, ERROR)
    assert list(lines(result, lambda text, colour: text)) == [
        "NO VERDICT debian-12: the host's disk is full",
        "ok   unit a.service: active (running)",
        "NO VERDICT debian-12: 1 check, 1.3 s",
    ]


def test_notes_of_what_has_passed() -> None:
    assert shown(GOOD._replace(notes=("case.service:6: Unknown key, ignoring \x1b",))) == [
        "<green>ok   unit a.service: active (running)",
        "     note: case.service:6: Unknown key, ignoring \\x1b",
        "<green>PASSED debian-12: 1 check, 1.3 s",
    ]
