"""What came of cells as one page for a browser: a table, and below it each cell as postroj.report.html shows it."""

import os

from postroj.matrix import text
from postroj.matrix.outcome import Summary, Verdict
from postroj.report.clean import MOST_OF_ALL, cleaned, line, lines
from postroj.report.html import environment, view
from postroj.report.json import result_of

_CLASSES = {Verdict.PASSED: "passed", Verdict.FAILED: "failed", Verdict.UNKNOWN: "unknown", Verdict.NOT_RUN: "skipped"}


def render(summary: Summary) -> str:
    """Return the page."""
    numbers = {one.cell.name: number for number, one in enumerate(summary.outcomes, 1)}
    views, left = {}, MOST_OF_ALL
    for one in summary.outcomes:
        if one.report:
            views[one.cell.name] = view(cleaned(result_of(one.report), most=left))
            left -= sum(len(finding.evidence) for finding in views[one.cell.name].result.findings)
    word, _, told = text.count(summary, lambda text, colour: text).partition(": ")
    template = environment(os.path.dirname(__file__)).get_template("cells.html.jinja")
    return template.render(
        summary=summary,
        word=word,
        told=line(told),
        state={"PASSED": "passed", "FAILED": "failed"}.get(word, "unknown"),
        numbers=numbers,
        views=views,
        marks={verdict: (_CLASSES[verdict], text.WORDS[verdict][0].lower()) for verdict in Verdict},
        line=line,
        lines=lines,
    )
