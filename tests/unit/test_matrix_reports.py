"""Each format of the report of many cells is read back by a program that nobody here wrote."""

import json
import re
from pathlib import Path

import jsonschema
import junitparser
import msgspec
import pytest
import yaml
from markdown_it import MarkdownIt
from tap.parser import Parser as TapParser

from postroj.harness.baseline import compare
from postroj.harness.result import Result
from postroj.matrix import document
from postroj.matrix.job import Done
from postroj.matrix.outcome import Outcome, Summary, Verdict, of
from postroj.matrix.reports import FORMATS, github_summary
from postroj.package.reference import Package
from postroj.plan.cells import Cell
from postroj.plan.images import Image
from postroj.plan.packages import Entry
from postroj.report import document as report_document
from postroj.report import render
from postroj.report.clean import MOST_EVIDENCE

from .results import FAILED, HOSTILE, RESULTS
from .test_reports import Page, annotations

_SCHEMA = Path(__file__).parent.parent.parent / "docs/test.schema.json"


def cell(image: str, package: str, variant: str = "") -> Cell:
    return Cell(Image(image, image), Entry(package, (Package(f"./{package}.deb", "", ""),)), variant)


def outcome(one: Cell, result: Result, **more: object) -> Outcome:
    report = msgspec.json.decode(render(result, "json"), type=report_document.Report)
    made = Outcome(one, Verdict(report.verdict.value), report.reason, report, result.seconds, 1764336155.0)
    return made._replace(**more)  # type: ignore[arg-type]


def of_all() -> Summary:
    """A cell for each result that there is, and those that have none."""
    outcomes = [outcome(cell(f"image-{n}", "web"), result) for n, result in enumerate(RESULTS.values())]
    outcomes += [
        outcome(cell("image-0", "agent", "big"), RESULTS["passed"], tries=2),
        outcome(cell("image-1", "agent", "big"), RESULTS["failed"], allowed=f"not yet {HOSTILE}"),
        Outcome(cell("image-2", "agent", "big"), Verdict.UNKNOWN, f"killed {HOSTILE}", errors=f"last\n{HOSTILE}"),
        Outcome(cell("image-3", "agent", "big"), Verdict.NOT_RUN, "interrupted", tries=0),
        Outcome(cell("image-4", "agent", "big"), Verdict.NOT_RUN, tries=0, allowed="not yet"),
    ]
    return Summary(outcomes, 100.0, 1764336155.0, 2, "interrupted")


ALL = of_all()
NONE = Summary([], 0.0, 0.0)
each = pytest.mark.parametrize(
    "summary", [ALL, NONE, ALL._replace(outcomes=ALL.outcomes[:1])], ids=["all", "none", "1"]
)


@each
@pytest.mark.parametrize("format", FORMATS)
def test_nothing_but_printable_text(summary: Summary, format: str) -> None:
    text = FORMATS[format](summary)
    assert not text or text.endswith("\n")
    assert all(line.isprintable() for line in text.replace("\t", " ").split("\n"))


def test_the_published_schema_is_that_of_the_types() -> None:
    told = "python -m postroj.matrix.document > docs/test.schema.json"
    assert _SCHEMA.read_text() == document.schema(), told


@each
def test_json_is_valid(summary: Summary) -> None:
    schema = json.loads(_SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    report = json.loads(FORMATS["json"](summary))
    jsonschema.Draft202012Validator(schema).validate(report)
    assert report["exit_status"] == summary.status
    assert [one["cell"] for one in report["cells"]] == [one.cell.name for one in summary.outcomes]
    assert [one["verdict"] for one in report["cells"]] == [one.verdict.value for one in summary.outcomes]
    assert [one["flaky"] for one in report["cells"]] == [one.is_flaky for one in summary.outcomes]


@each
def test_junit_is_read(summary: Summary) -> None:
    xml = junitparser.JUnitXml.fromstring(FORMATS["junit"](summary).encode())
    assert isinstance(xml, junitparser.JUnitXml)
    for one in summary.outcomes:
        suites = [suite for suite in xml if (suite.name or "").split(" ")[0] == one.cell.name]
        is_bad = any(suite.failures or suite.errors for suite in suites)
        assert is_bad is (one.counts and one.verdict in (Verdict.FAILED, Verdict.UNKNOWN)), one.cell.name
        assert suites or (one.report and not one.report.findings)
        if one.report and one.counts:
            properties = [one for suite in suites for one in suite.properties()]  # type: ignore[no-untyped-call]
            told = {(about.name, about.value) for about in properties if about.name in ("cell", "image")}
            assert not suites or told == {("cell", one.cell.name), ("image", one.report.image)}


def test_a_file_that_is_another_package_by_now_has_no_verdict() -> None:
    """The cell has read it after the plan did."""
    report = render(RESULTS["passed"], "json").encode()
    tested = msgspec.json.decode(report, type=report_document.Report).packages[0]
    planned = Package("./x.deb", tested.file, tested.architecture, tested.name, tested.version)
    done = Done("x", 0, report, "", 0.0, 1.0)
    for package, verdict in ((planned, Verdict.PASSED), (planned._replace(version="0"), Verdict.UNKNOWN)):
        one = of(Cell(Image("image", "image"), Entry("x", (package,))), done, tries=1, allowed="")
        assert one.verdict is verdict, one.reason
    assert one.reason == f"./x.deb has changed since the plan was read: it is {tested.name} {tested.version} now"


def test_what_was_interrupted_is_no_success() -> None:
    """Whoever reads the report alone sees that cells are lacking."""
    ended = ALL._replace(outcomes=[Outcome(cell("image", "web"), Verdict.NOT_RUN, "interrupted", tries=0)])
    xml = junitparser.JUnitXml.fromstring(FORMATS["junit"](ended).encode())
    assert (xml.errors, xml.skipped) == (1, 1)
    (bail,) = [one for one in TapParser().parse_text(FORMATS["tap"](ended)) if one.category == "bail"]
    assert "interrupted by SIGINT" in bail.reason


def test_what_has_passed_at_a_later_try_is_told_as_flaky() -> None:
    flaky = ALL._replace(outcomes=[one for one in ALL.outcomes if one.is_flaky], signal=0, why="")
    assert '<property name="flaky" value="it has passed at try 2" />' in FORMATS["junit"](flaky)
    assert "flaky: true" in FORMATS["tap"](flaky)
    assert "passed (flaky)" in github_summary(flaky)


@each
def test_tap_is_read(summary: Summary) -> None:
    text = FORMATS["tap"](summary)
    lines = list(TapParser().parse_text(text))
    assert [line.version for line in lines if line.category == "version"] == [14]
    points = [line for line in lines if line.category == "test"]
    assert [line.expected_tests for line in lines if line.category == "plan"] == [len(summary.outcomes)]
    assert [point.description for point in points] == [f"- {one.cell.name}" for one in summary.outcomes]
    for point, one in zip(points, summary.outcomes, strict=True):
        assert point.ok is (one.verdict in (Verdict.PASSED, Verdict.NOT_RUN))
        assert point.skip is (one.verdict is Verdict.NOT_RUN)
        assert point.todo is (bool(one.allowed) and one.verdict in (Verdict.FAILED, Verdict.UNKNOWN))
    blocks = [yaml.safe_load(block) for block in re.findall(r"^  ---\n((?:  .*\n)*?)  \.\.\.$", text, re.MULTILINE)]
    assert [block["verdict"] for block in blocks] == [one.verdict.value for one in summary.outcomes]
    assert len([line for line in text.splitlines() if re.match("(not )?ok", line)]) == len(points)


@each
def test_annotations_are_read(summary: Summary) -> None:
    found = annotations(FORMATS["github"](summary))
    flaky = [one.cell.name for one in summary.outcomes if one.is_flaky]
    assert [title for level, title, told in found if told.startswith("flaky: ")] == flaky
    found = [one for one in found if one[1] not in flaky]
    bad = [one for one in summary.outcomes if one.verdict in (Verdict.FAILED, Verdict.UNKNOWN)]
    assert [title for _, title, _ in found] == [one.cell.name for one in bad]
    levels = {Verdict.FAILED: "error", Verdict.UNKNOWN: "warning"}
    assert [level for level, _, _ in found] == ["notice" if one.allowed else levels[one.verdict] for one in bad]


@each
def test_nothing_in_the_summary_of_a_step_is_markup(summary: Summary) -> None:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(github_summary(summary))
    inline = {child.type for token in tokens for child in token.children or ()}
    assert inline <= {"text", "text_special", "softbreak"}
    assert not [token for token in tokens if token.type == "html_block"]


@each
def test_the_page_is_whole_and_fetches_nothing(summary: Summary) -> None:
    page = Page(FORMATS["html"](summary))
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object", "b", "a:link"} & set(page.tags)
    assert not {name for name in page.attributes if name.startswith("on") or name in ("src", "srcset", "style")}
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert "url(" not in page.text and "@import" not in page.text


def test_the_page_has_a_table_whose_cells_lead_to_their_reports() -> None:
    text = FORMATS["html"](ALL)
    table = text[text.index("<table>") : text.index("</table>")]
    assert re.findall('<th scope="col">(.*?)</th>', table) == ["Package", *ALL.images]
    assert re.findall('<th scope="row">(.*?)</th>', table) == ["web", "agent:big"]
    assert re.findall('href="#cell-([0-9]+)"', table) == [str(n) for n in range(1, len(ALL.outcomes) + 1)]
    assert text.count('<details class="cell">') == len(ALL.outcomes)
    page = Page(text).text
    assert "flaky: 2 tries" in page and "may fail" in page
    assert "<script>alert(1)</script>\" ' | # TODO \\ % %0A ::error::x" in page


def test_the_evidence_of_all_cells_is_bounded() -> None:
    long = RESULTS["failed"]._replace(findings=[FAILED._replace(evidence="x" * MOST_EVIDENCE)])
    many = [outcome(cell(f"image-{n}", "web"), long) for n in range(200)]
    assert 8 << 20 < len(FORMATS["html"](ALL._replace(outcomes=many))) < 9 << 20


def test_the_text_has_a_table_or_lines() -> None:
    from postroj.matrix.text import lines

    wide = list(lines(ALL, lambda text, colour: text))
    assert any(line.startswith("PACKAGE") for line in wide)
    narrow = list(lines(ALL, lambda text, colour: text, width=40))
    assert not any(line.startswith("PACKAGE") for line in narrow)
    assert wide[-1] == narrow[-1]


def test_that_a_cell_may_fail_is_told_beside_its_verdict() -> None:
    from postroj.matrix.text import lines

    failed = Outcome(cell("debian-12", "web"), Verdict.FAILED, "it crashes", allowed="issue 7")
    passed = Outcome(cell("debian-13", "web"), Verdict.PASSED, allowed="issue 8", seconds=2.0)
    summary = Summary([failed, passed], 1.0, 0.0)
    head = "FAILED debian-12:web: it crashes (may fail: issue 7)"
    last = "PASSED: 2 cells: 1 passed, 1 failed, 1 of these may fail, 1.0 s"
    assert list(lines(summary, lambda text, colour: text)) == [
        head, "PACKAGE  debian-12              debian-13", "web      FAILED 0 s (may fail)  passed 2 s", last,
    ]  # fmt: skip
    assert list(lines(summary, lambda text, colour: text, width=30)) == [
        head, "FAILED debian-12:web (may fail)", "passed debian-13:web", last,
    ]  # fmt: skip
    assert FORMATS["github"](summary) == "::notice title=debian-12%3Aweb::it crashes (may fail: issue 7)\n"
    assert "❌ failed (may fail) | ✅ passed |" in github_summary(summary).replace("\\", "")


def test_the_verdict_of_a_single_cell_is_told_once() -> None:
    from postroj.matrix.text import lines

    for one in (Outcome(cell("debian-12", "web"), Verdict.FAILED, "it crashes"), ALL.outcomes[0]):
        told = list(lines(Summary([one], 1.0, 0.0), lambda text, colour: text))
        assert len(told) == 2 and told[0].endswith(one.reason or one.cell.name) and ": 1 cell: " in told[1]


def test_the_summary_of_a_step_is_no_larger_than_github_takes() -> None:
    reason = "\U0001f600*" * 2000
    cells = [cell(f"image-{number % 10}", f"web-{number}") for number in range(5000)]
    outcomes = [Outcome(one, Verdict.FAILED, reason) for one in cells]
    told = github_summary(Summary(outcomes, 1.0, 0.0))
    assert len(told.encode()) < 1 << 20 and told.endswith("- and 4900 more\n")


def test_what_is_no_better_with_the_baseline_is_told() -> None:
    """The cell has passed, and that is not all."""
    failed = RESULTS["failed"]
    one = outcome(cell("image", "web"), compare(failed, failed))
    assert (one.verdict, one.as_before) == (Verdict.PASSED, sum(not finding.passed for finding in failed.findings))
    text = FORMATS["text"](Summary([one, outcome(cell("image", "agent"), RESULTS["passed"])], 1.0, 0.0))
    assert f"passed image:web: {one.as_before} check{'s' * (one.as_before > 1)} failed, as with the baseline" in text
    assert re.search(r"^web +passed \d+ s \(as before\)$", text, re.MULTILINE)
