"""A verdict for GitHub Actions: annotations, which are lines of a step's output, and a summary of the step in Markdown.

How they are written and escaped: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands, and
`ActionCommand` in the source of actions/runner, which is what reads them.
"""

import re
from collections.abc import Iterator, Sequence
from html import escape

from postroj.harness.result import PhaseResult, Result, UnitRow
from postroj.probe import Finding, Outcome
from postroj.report.clean import cleaned
from postroj.report.clean import lines as last_lines
from postroj.report.groups import WORDS, by_unit, groups, is_tolerated
from postroj.report.text import VERDICTS, count, told, told_of_error

_LEVELS = {Outcome.FAILED: "error", Outcome.UNKNOWN: "warning"}
_SIGNS = {Outcome.PASSED: "✅", Outcome.FAILED: "❌", Outcome.UNKNOWN: "❓", Outcome.SKIPPED: "⏭️"}
_MOST_EVIDENCE = 8 * 1024
"""How much of each finding's evidence is in the summary: all of a step's summary may have 1 MiB."""
_MOST_SHOWN = 50
"""How many findings are in it with their evidence."""


def render(result: Result) -> str:
    """Return an annotation for each finding that has not passed, and for the error that broke the probe off."""
    return "".join(f"{line}\n" for line in _annotations(result))


def summary(result: Result) -> str:
    """Return a summary in GitHub's Markdown; the result need not be cleaned."""
    return "\n".join(_summary(cleaned(result))) + "\n"


def harmless(line: str) -> str:
    """Return a line of a step's output in which the runner finds no command: it looks for `##[` anywhere in one."""
    return line.replace("##[", "## [")


def _annotations(result: Result) -> Iterator[str]:
    if result.error:
        yield command("error", f"postroj {result.image}: no verdict", told_of_error(result.error))
    for finding in result.findings:
        if finding.outcome in _LEVELS:
            where = " ".join(filter(None, (result.image, finding.phase)))
            yield command(_LEVELS[finding.outcome], f"{where}: {finding.subject}", told(finding))


def command(level: str, title: str, message: str) -> str:
    """Return an annotation: `level` is error, warning or notice."""
    data = _data(message)
    return f"::{level} title={_data(title).replace(':', '%3A').replace(',', '%2C')}::{data}"


def group(title: str) -> str:
    """Return the line that begins what is folded under a title."""
    return f"::group::{_data(title)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _summary(result: Result) -> Iterator[str]:
    word = VERDICTS[result.verdict][0]
    yield f"### {plain(f'{word} {result.image}'.rstrip())}\n"
    if result.reason:
        yield f"{plain(result.reason)}\n"
    for package in result.packages:
        yield f"- package {plain(' '.join(filter(None, (package.name, package.version))))}"
    yield f"- {plain(f'{count(result)}, {result.seconds:.1f} s')}\n"
    if result.findings:
        yield from _table(result)
    if any(phase.units for phase in result.phases):
        yield from _units(result.phases)
    shown = [f for f in result.findings if f.outcome in _LEVELS and (f.evidence or f.hint)]
    for finding in shown[:_MOST_SHOWN]:
        yield from _evidence(finding)
    if len(shown) > _MOST_SHOWN:
        yield f"and {len(shown) - _MOST_SHOWN} more that are not passed\n"


def _table(result: Result) -> Iterator[str]:
    yield "| phase | check | outcome | found | seconds |"
    yield "|---|---|---|---|---:|"
    for group in groups(result):
        for finding in group.findings:
            word = f"{WORDS[finding.outcome]}{' (tolerated)' if is_tolerated(finding) else ''}"
            mark = f"{_SIGNS[finding.outcome]} {word}"
            cells = map(plain, (group.name, finding.subject, mark, finding.detail, f"{finding.seconds:.1f}"))
            yield f"| {' | '.join(cells)} |"
        for note in group.phase.notes:
            yield f"| {plain(group.name)} | | | {plain(note)} | |"
    yield ""


def _units(phases: Sequence[PhaseResult]) -> Iterator[str]:
    yield f"| unit | {' | '.join(plain(phase.name) for phase in phases)} |"
    yield f"|---|{'---|' * len(phases)}"
    for unit, rows in by_unit(phases).items():
        yield f"| {plain(unit)} | {' | '.join(map(_cell, rows))} |"
    yield ""


def _cell(row: UnitRow | None) -> str:
    return "<br>".join(plain(text) for text in (row.active, row.enabled) if text) if row else ""


def _evidence(finding: Finding) -> Iterator[str]:
    title = f"{finding.phase}: {finding.subject}" if finding.phase else finding.subject
    yield f"<details><summary>{escape(title)}</summary>\n"
    if finding.hint:
        yield f"{plain(finding.hint)}\n"
    if finding.evidence:
        text = last_lines(finding.evidence, _MOST_EVIDENCE)
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
        yield f"{fence}text\n{text}\n{fence}\n"
    yield "</details>\n"


def plain(text: str) -> str:
    r"""Return a text in which nothing is Markdown: CommonMark lets `\` escape any punctuation of ASCII."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)
