"""A verdict as text for a terminal."""

import time
from collections.abc import Callable, Iterator, Sequence

from postroj.errors import PostrojError
from postroj.harness.result import PhaseResult, Result, Verdict, where
from postroj.probe import Finding, Outcome
from postroj.report import printable
from postroj.report.groups import by_unit

_MARKS = {
    Outcome.PASSED: ("ok  ", "green"),
    Outcome.FAILED: ("FAIL", "red"),
    Outcome.UNKNOWN: ("????", "yellow"),
    Outcome.SKIPPED: ("skip", "bold"),
}
VERDICTS = {
    Verdict.PASSED: ("PASSED", "green"),
    Verdict.FAILED: ("FAILED", "red"),
    Verdict.UNKNOWN: ("NO VERDICT", "yellow"),
}


_MOST_LINES = 10
"""How much evidence of a failure is shown, unless all of it is asked for."""
_LONGEST_LINE = 400


def render(result: Result) -> str:
    """Return the report with all evidence, without colours."""
    return "".join(f"{line}\n" for line in lines(result, lambda text, colour: text, verbose=True))


def lines(result: Result, paint: Callable[[str, str], str], *, verbose: bool = False) -> Iterator[str]:
    """Yield the report, line by line; `paint` colours a text: green, red, yellow or bold.

    The first line of what has not passed is the reason, the last one is the count. `verbose` shows all evidence, that
    of passed checks too.
    """
    verdict = f"{paint(*VERDICTS[result.verdict])} {printable(result.image)}".rstrip()
    if result.reason:
        yield f"{verdict}: {printable(result.reason)}"
    if result.is_life:
        yield from _life(result, paint, verbose)
    else:
        for finding in result.findings:
            yield from _finding(finding, paint, verbose)
    yield f"{verdict}: {count(result)}, {result.seconds:.1f} s"


def failures(result: Result, paint: Callable[[str, str], str], *, verbose: bool = False) -> Iterator[str]:
    """Yield what has not passed, with its evidence, and what broke the probe off."""
    for finding in result.findings:
        if finding.outcome in (Outcome.FAILED, Outcome.UNKNOWN):
            yield from _finding(finding._replace(subject=where(result, finding) + finding.subject), paint, verbose)
    if result.error:
        told = [f"  | {line}" for line in result.error.why.splitlines()[-_MOST_LINES:]]
        yield from map(printable, [*told, *filter(None, [result.error.hint])])


def _life(result: Result, paint: Callable[[str, str], str], verbose: bool) -> Iterator[str]:
    """Yield the findings and the notes of each phase, and a table of the units."""
    for phase in result.phases:
        yield paint(f"{printable(phase.name)}, {phase.seconds:.1f} s", "bold")
        for finding in result.findings:
            if finding.phase == phase.name:
                yield from _finding(finding, paint, verbose)
        yield from (f"     note: {printable(note)}" for note in phase.notes)
    yield from table(result.phases)


def table(phases: Sequence[PhaseResult]) -> Iterator[str]:
    """Yield what each unit was at the end of each phase, one after the other."""
    rows = [
        (row.unit, phase.name, row.enabled, row.active, _clock(row.since), str(row.restarts), str(row.pid or ""))
        for of_unit in by_unit(phases).values()
        for phase, row in zip(phases, of_unit, strict=True)
        if row
    ]
    if not rows:
        return
    rows.insert(0, ("UNIT", "PHASE", "ENABLED", "ACTIVE", "SINCE", "RESTARTS", "PID"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(printable(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _clock(seconds: float) -> str:
    """Return the time of day of a moment, given as time.time(), on this host; empty for 0."""
    return time.strftime("%H:%M:%S", time.localtime(seconds)) if seconds else ""


def _finding(finding: Finding, paint: Callable[[str, str], str], verbose: bool) -> Iterator[str]:
    yield f"{paint(*_MARKS[finding.outcome])} {printable(finding.subject)}: {printable(finding.detail)}"
    evidence = finding.evidence.splitlines()
    chosen = evidence if verbose else [] if finding.passed else excerpt(finding)
    for line in chosen:
        yield f"     | {printable(line if verbose else line[:_LONGEST_LINE])}".rstrip()
    if not finding.passed and len(chosen) < len(evidence):
        yield f"     ({len(chosen)} of {len(evidence)} lines; all of them with -v)"
    for note in finding.notes:
        yield f"     note: {printable(note)}"
    if finding.hint:
        yield f"     {printable(finding.hint)}"


def excerpt(finding: Finding) -> list[str]:
    """Return the lines of a finding's evidence that are shown unless all of it is asked for."""
    return (finding.excerpt.splitlines() or finding.evidence.splitlines())[-_MOST_LINES:]


def told(finding: Finding) -> str:
    """Return all that is said of a finding that has not passed, with those lines."""
    return "\n".join((finding.detail, *excerpt(finding), *([finding.hint] if finding.hint else [])))


def told_of_error(error: PostrojError) -> str:
    """Return all that is said of an error."""
    return "\n".join(filter(None, (error.what, error.why, error.hint)))


def count(result: Result) -> str:
    """Return how many checks there were, and how many have failed."""
    tried = [finding for finding in result.findings if finding.outcome is not Outcome.SKIPPED]
    skipped = len(result.findings) - len(tried)
    failed = sum(finding.outcome is Outcome.FAILED for finding in tried)
    checks = "1 check" if len(tried) == 1 else f"{len(tried)} checks"
    told = f"{failed} of {len(tried)} checks failed" if failed else checks
    return f"{told}, {skipped} not tried" if skipped else told
