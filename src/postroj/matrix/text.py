"""What came of cells as text for a terminal."""

from collections.abc import Callable, Iterator

from postroj.matrix.outcome import Outcome, Summary, Verdict
from postroj.plan.wording import counted
from postroj.report import printable
from postroj.report.json import result_of
from postroj.report.text import failures as report_failures
from postroj.report.text import lines as report_lines

Paint = Callable[[str, str], str]

WORDS = {
    Verdict.PASSED: ("passed", "green"),
    Verdict.FAILED: ("FAILED", "red"),
    Verdict.UNKNOWN: ("NO VERDICT", "yellow"),
    Verdict.NOT_RUN: ("not run", "yellow"),
}


def render(summary: Summary) -> str:
    """Return all of it, with all evidence, without colours."""

    def plain(text: str, colour: str) -> str:
        return text

    blocks = [line for one in summary.outcomes for line in block(one, plain, verbose=True)]
    return "".join(f"{line}\n" for line in (*blocks, *lines(summary, plain)))


def lines(summary: Summary, paint: Paint, *, width: int = 0) -> Iterator[str]:
    """Yield why cells have not passed, a table of all, and the count; `width` is that of the terminal, 0 for any.

    There is no table of a single cell.
    """
    is_single = len(summary.outcomes) == 1
    for one in summary.outcomes:
        if is_single or one.verdict in (Verdict.FAILED, Verdict.UNKNOWN) or one.is_flaky or one.as_before:
            yield headline(one, paint)
    if not is_single:
        yield from _table(summary, paint, width)
    yield count(summary, paint)


def headline(one: Outcome, paint: Paint) -> str:
    """Return the line of a cell: its verdict, its name, and why it has not passed."""
    told = f"{paint(*WORDS[one.verdict])} {one.cell.name}"
    if one.reason:
        told += f": {printable(one.reason)}"
    if one.is_flaky:
        told += f": flaky, it has passed at try {one.tries}"
    if one.as_before:
        told += f": {counted(one.as_before, 'check')} failed, as with the baseline"
    return told + (f" (may fail: {printable(one.allowed)})" if one.is_tolerated else "")


def block(one: Outcome, paint: Paint, *, verbose: bool = False) -> Iterator[str]:
    """Yield all that is to be told of a cell that has ended: its line first, then what has not passed, with evidence.

    `verbose`: all of its report.
    """
    yield f"{headline(one, paint)}{f', {one.seconds:.1f} s' if one.verdict is Verdict.PASSED else ''}"
    if one.report:
        told = report_lines if verbose else report_failures
        yield from (f"  {line}" for line in told(result_of(one.report), paint, verbose=verbose))
    if one.errors:
        yield from (f"  | {printable(line)}" for line in one.errors.splitlines()[-10:])


def count(summary: Summary, paint: Paint) -> str:
    """Return the last line: how many cells have which verdict."""
    has_failed = any(one.verdict is Verdict.FAILED and one.counts for one in summary.outcomes)
    word, colour = ("FAILED", "red") if has_failed else ("NO VERDICT", "yellow")
    if not summary.status:
        word, colour = "PASSED", "green"
    told = [f"{count} {WORDS[verdict][0].lower()}" for verdict in Verdict if (count := summary.count(verdict))]
    tolerated = sum(one.is_tolerated for one in summary.outcomes)
    if tolerated:
        told.append(f"{tolerated} of these may fail")
    why = f" ({summary.why})" if summary.why else ""
    counts = ": ".join(filter(None, (counted(len(summary.outcomes), "cell"), ", ".join(told))))
    return f"{paint(word, colour)}: {counts}{why}, {summary.seconds:.1f} s"


def _table(summary: Summary, paint: Paint, width: int) -> Iterator[str]:
    """Yield packages down and images across; a line for each cell if that is too wide."""
    rows = [["PACKAGE", *summary.images], *([package, *map(_cell, found)] for package, found in summary.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width and sum(widths) + 2 * len(summary.images) > width:
        yield from (f"{paint(*WORDS[one.verdict])} {one.cell.name}{_may_fail(one)}" for one in summary.outcomes)
        return
    for number, row in enumerate(rows):
        line = "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip()
        yield paint(line, "bold") if not number else _coloured(line, paint)


def _cell(one: Outcome | None) -> str:
    if one is None:
        return "-"
    more = f" {one.seconds:.0f} s" if one.tries else ""
    more += " (flaky)" if one.is_flaky else ""
    more += " (as before)" if one.as_before else ""
    return f"{WORDS[one.verdict][0]}{more}{_may_fail(one)}"


def _may_fail(one: Outcome) -> str:
    return " (may fail)" if one.is_tolerated else ""


def _coloured(line: str, paint: Paint) -> str:
    for word, colour in WORDS.values():
        line = line.replace(f"  {word}", f"  {paint(word, colour)}")
    return line
