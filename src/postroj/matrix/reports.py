"""Reports of many cells, each in a form that programs read."""

from collections.abc import Callable, Iterator, Mapping

from postroj.matrix import document, tap, text
from postroj.matrix.outcome import Outcome, Summary, Verdict
from postroj.report import github, junit
from postroj.report.clean import line, lines
from postroj.report.json import result_of

_LEVELS = {Verdict.FAILED: "error", Verdict.UNKNOWN: "warning"}
_MOST_ERRORS = 4096
"""How many characters of its last words an annotation has."""
_MOST_REASONS = 100
"""How many cells have their reason in the summary of a step, of which GitHub takes 1 MiB."""


def _junit(summary: Summary) -> str:
    """Return JUnit XML: a suite for each phase of each cell. What may fail is skipped there, with the reason."""
    root = junit.new_document(summary.seconds)
    for one in summary.outcomes:
        told = text.headline(one, lambda word, colour: word)
        if one.verdict is Verdict.NOT_RUN or one.is_tolerated:
            junit.add_single(root, one.cell.name, "skipped", told)
        elif one.report:
            about = {"flaky": f"it has passed at try {one.tries}"} if one.is_flaky else {}
            junit.add(root, result_of(one.report), one.cell.name, about=about)
        else:
            junit.add_single(root, one.cell.name, "error", told, lines(one.errors))
    if summary.signal:
        junit.add_single(root, "postroj test", "error", summary.ended_by)
    return junit.written(root)


def _github(summary: Summary) -> str:
    """Return an annotation for each cell that has not passed, or not at once."""
    return "".join(f"{line}\n" for line in _annotations(summary))


def github_summary(summary: Summary) -> str:
    """Return the summary of a step in GitHub's Markdown: the table, and why cells have not passed."""

    def plain(word: str, colour: str) -> str:
        return word

    told = [f"### {github.plain(text.count(summary, plain))}", "", *_markdown(summary), ""]
    reasons = [one for one in summary.outcomes if one.reason or one.is_flaky]
    told += [f"- {github.plain(line(text.headline(one, plain)))}" for one in reasons[:_MOST_REASONS]]
    if len(reasons) > _MOST_REASONS:
        told.append(f"- and {len(reasons) - _MOST_REASONS} more")
    return "\n".join(told) + "\n"


def _html(summary: Summary) -> str:
    from postroj.matrix import html  # which imports jinja2

    return html.render(summary)


FORMATS: Mapping[str, Callable[[Summary], str]] = {
    "text": text.render,
    "json": document.render,
    "junit": _junit,
    "github": _github,
    "tap": tap.render,
    "html": _html,
}
"""By name."""


def _annotations(summary: Summary) -> Iterator[str]:
    for one in summary.outcomes:
        if one.verdict in _LEVELS:
            level = "notice" if one.allowed else _LEVELS[one.verdict]
            told = f"{one.reason} (may fail: {one.allowed})" if one.allowed else one.reason
            yield github.command(
                level, one.cell.name, "\n".join(filter(None, (line(told), lines(one.errors, _MOST_ERRORS))))
            )
        elif one.is_flaky:
            yield github.command("notice", one.cell.name, f"flaky: it has passed at try {one.tries}")


def _markdown(summary: Summary) -> Iterator[str]:
    yield f"| package | {' | '.join(map(github.plain, summary.images))} |"
    yield f"|---|{'---|' * len(summary.images)}"
    for package, found in summary.rows:
        yield f"| {github.plain(package)} | {' | '.join(map(_mark, found))} |"


def _mark(one: Outcome | None) -> str:
    if one is None:
        return ""
    marks = {Verdict.PASSED: "✅", Verdict.FAILED: "❌", Verdict.UNKNOWN: "❓", Verdict.NOT_RUN: "⏭️"}
    more = " (may fail)" if one.is_tolerated else " (flaky)" if one.is_flaky else ""
    return f"{marks[one.verdict]} {text.WORDS[one.verdict][0].lower()}{more}"
