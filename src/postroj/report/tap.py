"""A verdict as TAP 14, https://testanything.org/tap-version-14-specification.html: a phase is a subtest.

What this machine cannot tell is `not ok`, a broken rule that is tolerated a TODO; the error of a probe bails out.
"""

import json
import re
from collections.abc import Iterator, Sequence

from postroj.harness.result import Result
from postroj.probe import Finding, Outcome
from postroj.report.groups import Group, groups, is_tolerated
from postroj.report.text import table


def render(result: Result) -> str:
    """Return the document."""
    return "".join(f"{line}\n" for line in _lines(result))


def _lines(result: Result) -> Iterator[str]:
    found = groups(result)
    yield "TAP version 14"
    if found or not result.error:  # a plan of none says that all was skipped, and not that it was broken off
        yield f"1..{len(found)}{'' if found else ' # SKIP nothing was checked'}"
    for package in result.packages:
        yield f"# package {package.name} {package.version}".rstrip()
    for number, group in enumerate(found, 1):
        yield f"# Subtest: {escaped(group.name)}"
        yield from (f"    {line}" for line in _subtest(group))
        failed = group.outcome in (Outcome.FAILED, Outcome.UNKNOWN)
        yield f"{'not ok' if failed else 'ok'} {number} - {escaped(group.name)}{_skip(group)}"
        yield from block([f"seconds: {group.phase.seconds:.3f}"])
    if result.error:
        yield f"Bail out! {result.error.what}"
    yield f"# {result.image}: {result.verdict.name.lower()}, {result.seconds:.3f} s"


def _subtest(group: Group) -> Iterator[str]:
    yield f"1..{len(group.findings)}{'' if group.findings else _skip(group)}"
    for number, finding in enumerate(group.findings, 1):
        yield from _point(number, finding)
    yield from (f"# note: {note}" for note in group.phase.notes)
    yield from (f"# {row}" for row in table([group.phase]))


def _skip(group: Group) -> str:
    if group.outcome is not Outcome.SKIPPED:
        return ""
    why = [finding.detail for finding in group.findings] or group.phase.notes or ["nothing to check"]
    return f" # SKIP {escaped(why[0])}"


def _point(number: int, finding: Finding) -> Iterator[str]:
    is_ok, directive = finding.outcome in (Outcome.PASSED, Outcome.SKIPPED), ""
    if finding.outcome is Outcome.SKIPPED:
        directive = f" # SKIP {escaped(finding.detail)}"
    elif is_tolerated(finding):
        is_ok, directive = False, f" # TODO {escaped(finding.detail)}"
    yield f"{'ok' if is_ok else 'not ok'} {number} - {escaped(finding.subject)}{directive}"
    told = {
        "outcome": finding.outcome.value,
        "detail": finding.detail,
        "rule": finding.rule,
        "hint": finding.hint,
    }
    about = [f"{key}: {quoted(value)}" for key, value in told.items() if value]
    about.insert(1, f"seconds: {finding.seconds:.3f}")
    yield from block([*about, *listed("notes", finding.notes), *listed("evidence", finding.evidence.split("\n"))])


def block(lines: list[str]) -> Iterator[str]:
    """Yield the YAML of a test point."""
    yield "  ---"
    yield from (f"  {line}" for line in lines)
    yield "  ..."


def listed(key: str, lines: Sequence[str]) -> list[str]:
    """Return the YAML of a list of lines, nothing if all are empty."""
    return [f"{key}:", *(f"  - {quoted(line)}" for line in lines)] if any(lines) else []


def escaped(text: str) -> str:
    r"""Return a text for a line's description or directive, where `#` begins a directive, and `\` escapes."""
    return re.sub(r"([\\#])", r"\\\1", text)


def quoted(text: str) -> str:
    """Return a text in double quotes, as YAML and JSON have them both."""
    return json.dumps(text, ensure_ascii=False)
