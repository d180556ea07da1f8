"""A verdict as JSON, as document.py describes it."""

from typing import Any, TypeVar

import msgspec

from postroj import __version__
from postroj.errors import PostrojError
from postroj.harness.result import PhaseResult, Result, Tested, UnitRow
from postroj.probe import Finding
from postroj.report import document
from postroj.report.groups import iso

S = TypeVar("S", bound=msgspec.Struct)


def render(result: Result) -> str:
    """Return the document, indented."""
    return msgspec.json.format(msgspec.json.encode(_document(result)), indent=2).decode() + "\n"


def _document(result: Result) -> document.Report:
    return document.Report(
        schema_version=document.SCHEMA_VERSION,
        postroj=__version__,
        image=result.image,
        verdict=document.Verdict[result.verdict.name],
        exit_status=result.status,
        reason=result.reason,
        started=iso(result.begun) or None,
        seconds=_rounded(result.seconds),
        error=_error(result.error) if result.error else None,
        packages=[_same(document.Package, package) for package in result.packages],
        phases=[_phase(phase) for phase in result.phases],
        findings=[_finding(finding) for finding in result.findings],
    )


def _error(error: PostrojError) -> document.Error:
    return document.Error(kind=type(error).__name__, what=error.what, why=error.why, hint=error.hint)


def _phase(phase: PhaseResult) -> document.Phase:
    units = [_same(document.Unit, row, since=iso(row.since) or None) for row in phase.units]
    return _same(document.Phase, phase, seconds=_rounded(phase.seconds), units=units)


def _finding(finding: Finding) -> document.Finding:
    outcome = document.Outcome[finding.outcome.name]
    return _same(document.Finding, finding, name=finding.name, outcome=outcome, seconds=_rounded(finding.seconds))


def _same(struct: type[S], values: Tested | PhaseResult | UnitRow | Finding, **others: Any) -> S:
    """Return a struct whose fields are those of the same names, but for `others`."""
    names = struct.__struct_fields__
    return struct(**{name: others[name] if name in others else getattr(values, name) for name in names})


def _rounded(seconds: float) -> float:
    return round(seconds, 3)
