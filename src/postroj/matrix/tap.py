"""What came of cells as TAP 14: a test point for each cell.

A cell that may fail and has not passed is a TODO, with the reason; one that was not run is a SKIP.
"""

from collections.abc import Iterator

from postroj.matrix.outcome import Outcome, Summary, Verdict
from postroj.report.clean import line, lines
from postroj.report.tap import block, escaped, listed, quoted


def render(summary: Summary) -> str:
    """Return the document."""
    return "".join(f"{one}\n" for one in _lines(summary))


def _lines(summary: Summary) -> Iterator[str]:
    yield "TAP version 14"
    yield f"1..{len(summary.outcomes)}{'' if summary.outcomes else ' # SKIP there are no cells'}"
    for number, one in enumerate(summary.outcomes, 1):
        is_ok = one.verdict in (Verdict.PASSED, Verdict.NOT_RUN)
        yield f"{'ok' if is_ok else 'not ok'} {number} - {escaped(one.cell.name)}{_directive(one)}"
        told = {"verdict": one.verdict.value, "reason": line(one.reason), "allowed_failure": line(one.allowed)}
        more = [f"seconds: {one.seconds:.3f}", f"tries: {one.tries}", *(["flaky: true"] if one.is_flaky else [])]
        said = listed("errors", lines(one.errors).split("\n"))
        yield from block([*(f"{key}: {quoted(text)}" for key, text in told.items() if text), *more, *said])
    if summary.signal:
        yield f"Bail out! {summary.ended_by}"
    elif summary.why:
        yield f"# {line(summary.why)}"


def _directive(one: Outcome) -> str:
    if one.verdict is Verdict.NOT_RUN:
        return f" # SKIP {escaped(line(one.reason) or 'not run')}"
    if one.is_tolerated:
        return f" # TODO {escaped(line(one.allowed))}"
    return ""
