"""What a new release does worse than an earlier one."""

from postroj.errors import BootError
from postroj.harness.baseline import compare
from postroj.harness.result import Result, Verdict
from postroj.probe import Finding, Outcome


def _result(**outcomes: Outcome) -> Result:
    findings = [Finding(name, outcome, f"{name} {outcome.value}", phase="check") for name, outcome in outcomes.items()]
    return Result("debian-12", findings, 1.0)


P, F, U, S = Outcome.PASSED, Outcome.FAILED, Outcome.UNKNOWN, Outcome.SKIPPED


def test_only_what_is_worse_has_failed() -> None:
    result = compare(_result(a=P, b=F, c=F, d=P, e=S), _result(a=P, b=P, c=F, d=F, e=S))
    assert [(finding.outcome, finding.detail) for finding in result.findings] == [
        (P, "a passed"),
        (F, "regression: b failed (the baseline: passed with it)"),
        (P, "as before: c failed"),
        (P, "improvement: d passed (the baseline: d failed)"),
        (P, "as before: e skipped"),
    ]
    assert result.verdict is Verdict.FAILED
    assert compare(_result(c=F, u=U), _result(c=F, u=U)).verdict is Verdict.PASSED


def test_what_was_not_tried_before() -> None:
    (found,) = compare(_result(b=F), _result(a=F)).findings
    assert found.detail == "regression: b failed (the baseline: not tried with it: it has failed)"


def test_a_baseline_without_a_verdict() -> None:
    old = _result(a=P)._replace(error=BootError("it did not come up"))
    result = compare(_result(a=P), old)
    assert result.verdict is Verdict.UNKNOWN
    assert result.reason == "the baseline has no verdict: it did not come up"
