"""The JSON report of many cells as it is published; see postroj.report.document, which describes the report of a cell.

The published schema is made of this: `python -m postroj.matrix.document > docs/test.schema.json`.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from postroj import __version__
from postroj.matrix.outcome import Outcome, Summary, Verdict
from postroj.report.clean import line, lines
from postroj.report.document import Report, schema_of
from postroj.report.groups import iso

SCHEMA_VERSION = 1

_Moment = Annotated[str | None, Meta(description="A moment in UTC, as ISO 8601 writes it; null if there is none.")]
_Seconds = Annotated[float, Meta(ge=0, description="A duration in seconds.")]


class Cell(msgspec.Struct):
    """What came of a cell."""

    cell: Annotated[str, Meta(description="Its name: IMAGE:PACKAGE or IMAGE:PACKAGE:VARIANT.")]
    image: Annotated[str, Meta(description="The name of the image.")]
    package: Annotated[str, Meta(description="What the package is called in the plan.")]
    variant: Annotated[str, Meta(description="The name of the variant; empty without variants.")]
    verdict: Verdict
    reason: Annotated[str, Meta(description="Why it has not passed, in one line; empty if it has.")]
    allowed_failure: Annotated[str, Meta(description="Why it may fail; empty if it may not.")]
    tries: Annotated[int, Meta(ge=0, description="How often it was run; 0 if it was not.")]
    flaky: Annotated[bool, Meta(description="Whether it has passed, but not at the first try.")]
    started: _Moment
    seconds: _Seconds
    errors: Annotated[str, Meta(description="The last lines of its standard error, if it has no report.")]
    report: Annotated[Report | None, Meta(description="The report of `postroj pkgprobe`; null if there is none.")]


class Document(msgspec.Struct):
    """What `postroj test` has found."""

    schema_version: Annotated[int, Meta(ge=1, description="The version of this schema.")]
    postroj: Annotated[str, Meta(description="The version of postroj.")]
    exit_status: Annotated[int, Meta(ge=0, le=255, description="The exit status of `postroj test`.")]
    started: _Moment
    seconds: _Seconds
    cells: Annotated[list[Cell], Meta(description="The cells, in the order of the plan.")]


def render(summary: Summary) -> str:
    """Return the document, indented."""
    document = Document(
        SCHEMA_VERSION,
        __version__,
        summary.status,
        iso(summary.began) or None,
        round(summary.seconds, 3),
        list(map(_cell, summary.outcomes)),
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _cell(one: Outcome) -> Cell:
    return Cell(
        one.cell.name,
        one.cell.image.name,
        one.cell.entry.name,
        one.cell.variant,
        one.verdict,
        line(one.reason),
        line(one.allowed),
        one.tries,
        one.is_flaky,
        iso(one.began) or None,
        round(one.seconds, 3),
        lines(one.errors),
        one.report,
    )


def schema() -> str:
    """Return the JSON Schema of a report."""
    return schema_of(Document, "postroj test report")


if __name__ == "__main__":
    print(schema(), end="")
