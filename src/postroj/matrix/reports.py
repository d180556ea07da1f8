"""Reports of many cells, each in a form that programs read."""

from collections.abc import Callable, Iterator, Mapping

from postroj.matrix import document, text
from postroj.matrix.outcome import Outcome, Summary, Verdict
from postroj.report import github, junit
from postroj.report.clean import cleaned
from postroj.report.json import result_of

_LEVELS = {Verdict.FAILED: "error", Verdict.UNKNOWN: "warning"}


def _junit(summary: Summary) -> str:
    """Return JUnit XML: a suite for each phase of each cell. What may fail is skipped there, with the reason."""
    root = junit.new_document(summary.seconds)
    for one in summary.outcomes:
        told = text.headline(one, lambda word, colour: word)
        if one.verdict is Verdict.NOT_RUN or (one.allowed and one.verdict is not Verdict.PASSED):
            junit.add_single(root, one.cell.name, "skipped", told)
        elif one.report:
            junit.add(root, result_of(one.report)._replace(image=one.cell.name), f"{one.cell.name} ")
        else:
            junit.add_single(root, one.cell.name, "error", told)
    return junit.written(root)


def _github(summary: Summary) -> str:
    """Return an annotation for each cell that has not passed."""
    return "".join(f"{line}\n" for line in _annotations(summary))


def github_summary(summary: Summary) -> str:
    """Return the summary of a step in GitHub's Markdown: the table, and why cells have not passed."""

    def plain(word: str, colour: str) -> str:
        return word

    told = [f"### {github.plain(text.count(summary, plain))}", "", *_markdown(summary), ""]
    told += [f"- {github.plain(text.headline(one, plain))}" for one in summary.outcomes if one.reason]
    return "\n".join(told) + "\n"


FORMATS: Mapping[str, Callable[[Summary], str]] = {
    "text": text.render,
    "json": document.render,
    "junit": _junit,
    "github": _github,
}
"""By name."""


def _annotations(summary: Summary) -> Iterator[str]:
    for one in summary.outcomes:
        if one.verdict in _LEVELS:
            level = "notice" if one.allowed else _LEVELS[one.verdict]
            result = cleaned(result_of(one.report)) if one.report else None
            yield github.command(level, one.cell.name, result.reason if result else one.reason)


def _markdown(summary: Summary) -> Iterator[str]:
    images = list(dict.fromkeys(one.cell.image.name for one in summary.outcomes))
    cells = {(one.cell.image.name, one.cell.name.partition(":")[2]): one for one in summary.outcomes}
    yield f"| package | {' | '.join(map(github.plain, images))} |"
    yield f"|---|{'---|' * len(images)}"
    for package in dict.fromkeys(row for _, row in cells):
        found = [cells.get((image, package)) for image in images]
        yield f"| {github.plain(package)} | {' | '.join(map(_mark, found))} |"


def _mark(one: Outcome | None) -> str:
    if one is None:
        return ""
    marks = {Verdict.PASSED: "✅", Verdict.FAILED: "❌", Verdict.UNKNOWN: "❓", Verdict.NOT_RUN: "⏭️"}
    return f"{marks[one.verdict]} {text.WORDS[one.verdict][0].lower()}{' (may fail)' if one.allowed else ''}"
