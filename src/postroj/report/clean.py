"""A result whose texts are fit for each format: no control characters, and of bounded size.

What a guest has printed is hostile. What is left here is text that UTF-8, JSON, YAML and XML 1.0 can hold: printable
characters, tabs, and newlines where there are many lines. Each format escapes only what is special in it.
"""

from collections.abc import Iterator, Sequence

from postroj.errors import PostrojError
from postroj.harness.result import PhaseResult, Result
from postroj.probe import Finding
from postroj.report import printable

MOST_EVIDENCE = 64 * 1024
"""How many characters of a finding's evidence are kept: the last ones."""
MOST_OF_ALL = 8 * 1024 * 1024
"""How many of all findings together: of those that come first."""
MOST_OF_LINE = 1024
"""How many of what is one line."""


def cleaned(result: Result, *, most: int = MOST_OF_ALL) -> Result:
    """Return the same result with texts that each format can hold; `most` is of the evidence of all findings."""
    return result._replace(
        image=line(result.image),
        findings=list(_findings(result.findings, most)),
        error=_error(result.error) if result.error else None,
        phases=[_phase(phase) for phase in result.phases],
        packages=[type(package)(*map(line, package)) for package in result.packages],
    )


def line(text: str) -> str:
    """Return one line."""
    text = printable(text[: MOST_OF_LINE + 1])
    return text if len(text) <= MOST_OF_LINE else f"{text[: MOST_OF_LINE - 1]}…"


def lines(text: str, most: int = MOST_EVIDENCE) -> str:
    """Return many lines, the last ones of a longer text, and how many those are."""
    shown = "\n".join(map(printable, text[-most:].splitlines())) if most else ""
    if len(text) <= most and len(shown) <= most:
        return shown
    return f"(the last {most:,} of {len(text):,} characters)\n{shown[len(shown) - min(most, len(shown)) :]}"


def _findings(findings: Sequence[Finding], most: int) -> Iterator[Finding]:
    left = max(0, most)
    for finding in findings:
        evidence = lines(finding.evidence, min(left, MOST_EVIDENCE))
        left = max(0, left - len(evidence))
        yield finding._replace(
            subject=line(finding.subject),
            detail=line(finding.detail),
            evidence=evidence,
            hint=line(finding.hint),
            excerpt=lines(finding.excerpt),
            notes=tuple(map(line, finding.notes)),
            phase=line(finding.phase),
            rule=line(finding.rule),
            label=line(finding.label),
        )


def _phase(phase: PhaseResult) -> PhaseResult:
    units = [
        row._replace(unit=line(row.unit), enabled=line(row.enabled), active=line(row.active)) for row in phase.units
    ]
    return phase._replace(name=line(phase.name), units=units, notes=tuple(map(line, phase.notes)))


def _error(error: PostrojError) -> PostrojError:
    clean = type(error).__new__(type(error))  # whatever its constructor takes
    clean.__dict__.update(error.__dict__)
    clean.what, clean.why, clean.hint = line(error.what), lines(error.why), line(error.hint)
    return clean
