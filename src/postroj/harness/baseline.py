"""The same probe of an earlier release, and what the new one does worse."""

from postroj.errors import HostError
from postroj.harness.result import Result, Verdict
from postroj.probe import Finding, Outcome

AS_BEFORE = "as before: "
"""What the detail of a finding begins with that has passed because it was no better with the baseline."""
_WORSE = (Outcome.FAILED, Outcome.UNKNOWN)


def compare(new: Result, old: Result) -> Result:
    """Return the result of the new packages, in which only that has failed which has passed with the old ones.

    What has failed with both passes `as before`; what has failed with the old ones only is an improvement, and is told.
    """
    if old.error:
        error = HostError(f"the baseline has no verdict: {old.error.what}", why=old.error.why, hint=old.error.hint)
        return new._replace(error=new.error or error)
    before = {finding.name: finding for finding in old.findings}
    findings = [_compared(finding, before.get(finding.name), old) for finding in new.findings]
    return new._replace(findings=findings)


def _compared(new: Finding, old: Finding | None, whole: Result) -> Finding:
    if new.outcome in _WORSE:
        if old and old.outcome is new.outcome:
            return new._replace(outcome=Outcome.PASSED, detail=f"{AS_BEFORE}{new.detail}")
        if old:
            told = f"{old.outcome.value} with it"
        else:
            is_kept = new.rule and whole.verdict is Verdict.PASSED
            told = "kept to the rule" if is_kept else f"not tried with it: it has {_called(whole.verdict)}"
        begin = "regression: " if new.outcome is Outcome.FAILED else ""
        return new._replace(detail=f"{begin}{new.detail} (the baseline: {told})")
    if new.outcome is Outcome.SKIPPED and old and old.outcome is not Outcome.PASSED:
        return new._replace(outcome=Outcome.PASSED, detail=f"{AS_BEFORE}{new.detail}")
    if new.passed and old and not old.passed:
        return new._replace(detail=f"improvement: {new.detail} (the baseline: {old.detail})")
    return new


def _called(verdict: Verdict) -> str:
    return {Verdict.PASSED: "passed", Verdict.FAILED: "failed", Verdict.UNKNOWN: "no verdict"}[verdict]
