"""A verdict as JSON, as document.py describes it; and back."""

import datetime
from typing import Any, TypeVar

import msgspec

from postroj import __version__
from postroj.errors import PostrojError
from postroj.harness.result import PhaseResult, Result, Tested, UnitRow
from postroj.probe import Finding, Outcome
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


def result_of(report: document.Report) -> Result:
    """Return the result that a document was made of, as far as the document has it."""
    return Result(
        report.image,
        [_found(finding) for finding in report.findings],
        report.seconds,
        _raised(report.error) if report.error else None,
        [PhaseResult(one.name, one.seconds, [_row(unit) for unit in one.units], one.notes) for one in report.phases],
        [Tested(**msgspec.structs.asdict(package)) for package in report.packages],
        _moment(report.started),
    )


def _found(finding: document.Finding) -> Finding:
    names = [name for name in Finding._fields if name in document.Finding.__struct_fields__]
    values = {name: getattr(finding, name) for name in names}
    return Finding(**{**values, "outcome": Outcome[finding.outcome.name], "notes": tuple(finding.notes)})


def _row(unit: document.Unit) -> UnitRow:
    return UnitRow(**{**msgspec.structs.asdict(unit), "since": _moment(unit.since)})


def _raised(error: document.Error) -> PostrojError:
    return PostrojError(error.what, why=error.why, hint=error.hint)


def _moment(text: str | None) -> float:
    return datetime.datetime.fromisoformat(text).timestamp() if text else 0.0
