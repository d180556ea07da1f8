"""Each format of a report is read back by a program that nobody here wrote."""

import html.parser
import io
import json
import os
import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import junitparser
import pytest
import yaml
from markdown_it import MarkdownIt
from tap.parser import Parser as TapParser

import postroj
from postroj.errors import UsageError
from postroj.harness.result import Result, Verdict
from postroj.probe import Finding, Outcome
from postroj.report import FORMATS, document, render, write
from postroj.report.clean import MOST_EVIDENCE, MOST_OF_ALL, cleaned
from postroj.report.github import summary
from postroj.report.groups import groups

from .results import FAILED, HOSTILE, LIFE, PASSED, RESULTS

_SCHEMA = Path(__file__).parent.parent.parent / "docs/report.schema.json"
every_result = pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)


def count(result: Result, outcome: Outcome) -> int:
    return sum(finding.outcome is outcome for finding in result.findings)


@every_result
@pytest.mark.parametrize("format", FORMATS)
def test_nothing_but_printable_text(result: Result, format: str) -> None:
    """Whatever a guest has printed: no control character, no half of a surrogate pair; a newline at the end."""
    text = render(result, format)
    assert not text or text.endswith("\n")
    assert all(line.isprintable() for line in text.replace("\t", " ").split("\n"))
    assert len(text.encode()) < 1_000_000


# JSON


def test_the_published_schema_is_that_of_the_types() -> None:
    told = "python -m postroj.report.document > docs/report.schema.json"
    assert _SCHEMA.read_text() == document.schema(), told


@every_result
def test_json_is_valid(result: Result) -> None:
    schema = json.loads(_SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    report = json.loads(render(result, "json"))
    jsonschema.Draft202012Validator(schema).validate(report)
    assert report["verdict"] == result.verdict.name.lower()
    assert report["exit_status"] == result.status
    assert len(report["findings"]) == len(result.findings)


def test_json_has_all_of_it() -> None:
    report = json.loads(render(LIFE, "json"))
    assert [phase["name"] for phase in report["phases"]] == [phase.name for phase in LIFE.phases]
    row = report["phases"][2]["units"][0]
    since = "2026-11-28T13:22:35Z"
    told = {"unit": "web.service", "enabled": "enabled", "active": "active (running)", "since": since}
    assert row == {**told, "restarts": 1, "pid": 77}
    (found,) = [finding for finding in report["findings"] if finding["phase"] == "upgrade"]
    assert found["name"] == "upgrade/service/web.service"
    assert (found["outcome"], found["rule"], found["seconds"]) == ("failed", "stops-service", 3.25)
    assert found["evidence"].count("\n") == 39
    assert report["packages"][0]["version"] == "1.0-1"
    assert report["started"] == since


def test_json_of_an_interrupted_probe() -> None:
    report = json.loads(render(RESULTS["interrupted"], "json"))
    assert (report["verdict"], report["exit_status"], report["reason"]) == ("unknown", 130, "interrupted by SIGINT")
    assert report["error"]["kind"] == "InterruptedProbeError"


# JUnit XML


@every_result
def test_junit_is_read(result: Result) -> None:
    text = render(result, "junit")
    xml = junitparser.JUnitXml.fromstring(text.encode())
    assert isinstance(xml, junitparser.JUnitXml)
    assert xml.failures == count(result, Outcome.FAILED)
    assert xml.errors == count(result, Outcome.UNKNOWN) + (result.error is not None)
    assert xml.skipped == count(result, Outcome.SKIPPED)
    assert xml.tests == len(result.findings) + (result.error is not None)
    assert [suite.name for suite in xml][: len(groups(result))] == [group.name for group in groups(cleaned(result))]
    for suite in ElementTree.fromstring(text):
        cases = suite.findall("testcase")
        assert suite.get("tests") == str(len(cases))
        for attribute, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert suite.get(attribute) == str(sum(case.find(kind) is not None for case in cases))
    is_bad = result.verdict is not Verdict.PASSED
    assert bool(xml.failures or xml.errors) is is_bad


def test_junit_of_a_failure() -> None:
    xml = junitparser.JUnitXml.fromstring(render(RESULTS["failed"], "junit").encode())
    _, suite = xml
    case, skipped = suite
    assert (case.classname, case.name, case.time) == ("debian-bookworm.check", FAILED.subject, 0.2)
    (failure,) = case.result
    assert isinstance(failure, junitparser.Failure)
    assert failure.message == FAILED.detail
    assert "no configuration" in failure.text and failure.text.endswith(FAILED.hint)
    assert case.system_out == FAILED.evidence
    assert isinstance(skipped.result[0], junitparser.Skipped)
    assert suite.timestamp == "2026-11-28T13:22:35"


def test_junit_keeps_hostile_text() -> None:
    root = ElementTree.fromstring(render(RESULTS["hostile"], "junit"))
    told = "".join(root.itertext()) + "".join(value for element in root.iter() for value in element.attrib.values())
    assert "]]>&amp;<script>alert(1)</script>" in told


# TAP

TAME = {name: result for name, result in RESULTS.items() if name != "hostile"}
r"""Those without a `\#`, which TAP 13 does not know, and tap.py neither."""


def tap_points(text: str) -> list[Any]:
    """Return the test points of a TAP document, as another reads them; what is in a subtest is indented."""
    lines = list(TapParser().parse_text(text))
    assert [line.version for line in lines if line.category == "version"] in ([14], [])
    points = [line for line in lines if line.category == "test"]
    plans = [line.expected_tests for line in lines if line.category == "plan"]
    bails = [line.reason for line in lines if line.category == "bail"]
    assert plans == [len(points)] or (bails and not points)
    assert [int(point.number) for point in points] == list(range(1, len(points) + 1))
    return points


def subtests(text: str) -> Iterator[str]:
    """Yield the subtests of a TAP document, each as a document."""
    lines: list[str] = []
    for line in [*text.splitlines(), "# Subtest: end"]:
        if line.startswith("    "):
            lines.append(line[4:])
        elif line.startswith(("ok", "not ok")):
            yield "TAP version 14\n" + "\n".join(lines)
            lines = []


@pytest.mark.parametrize("result", TAME.values(), ids=TAME)
def test_tap_is_read(result: Result) -> None:
    text = render(result, "tap")
    points, of_phases = tap_points(text), groups(result)
    assert [point.description for point in points] == [f"- {group.name}" for group in of_phases]
    assert [point.ok for point in points] == [
        not any(f.outcome in (Outcome.FAILED, Outcome.UNKNOWN) for f in group.findings) for group in of_phases
    ]
    inner = [tap_points(subtest) for subtest in subtests(text)]
    assert [len(points) for points in inner] == [len(group.findings) for group in of_phases]
    for points, group in zip(inner, of_phases, strict=True):
        for point, finding in zip(points, group.findings, strict=True):
            assert point.description == f"- {finding.subject}"
            assert point.skip is (finding.outcome is Outcome.SKIPPED)
            assert point.ok is (finding.outcome in (Outcome.PASSED, Outcome.SKIPPED) and not finding.rule)
            assert point.todo is (finding.passed and bool(finding.rule))
    assert text.startswith("TAP version 14\n")
    assert ("\nBail out! " in text) is (result.error is not None)


def test_tap_of_what_ended_before_anything_was_found_is_not_that_of_what_was_skipped() -> None:
    """A plan of no tests says so."""
    assert render(RESULTS["error before the boot"], "tap").splitlines()[:2] == [
        "TAP version 14",
        "Bail out! the image is damaged",
    ]


@every_result
def test_tap_diagnostics_are_yaml(result: Result) -> None:
    blocks = re.findall(r"^      ---\n((?:      .*\n)*?)      \.\.\.$", render(result, "tap"), re.MULTILINE)
    told = [yaml.safe_load(block) for block in blocks]
    kept = [finding for group in groups(cleaned(result)) for finding in group.findings]
    assert [block["detail"] for block in told] == [finding.detail for finding in kept]
    assert ["\n".join(block.get("evidence", ())) for block in told] == [finding.evidence for finding in kept]
    assert [block["outcome"] for block in told] == [finding.outcome.value for finding in kept]


def test_tap_with_hostile_text_has_the_lines_that_it_should() -> None:
    lines = render(RESULTS["hostile"], "tap").splitlines()
    found = groups(RESULTS["hostile"])
    assert [line for line in lines if line.startswith("1..")] == [f"1..{len(found)}"]
    assert len([line for line in lines if re.match("(not )?ok", line)]) == len(found)
    assert len([line for line in lines if re.match(" {4}(not )?ok", line)]) == len(RESULTS["hostile"].findings)
    assert len([line for line in lines if re.match(r"\s*bail out!", line, re.IGNORECASE)]) == 1
    for line in lines:
        if re.match(r"\s*(not )?ok", line):
            assert len(re.findall(r"(?<!\\)(?:\\\\)*#", line)) <= 1, line


# GitHub


def unescaped(text: str, *more: tuple[str, str]) -> str:
    """Return a text as the runner reads it: ActionCommand.cs of actions/runner."""
    for code, character in (("%0D", "\r"), ("%0A", "\n"), *more, ("%25", "%")):
        text = text.replace(code, character)
    return text


def annotations(text: str) -> list[tuple[str, str, str]]:
    """Return level, title and message of each command that the runner finds."""
    found = []
    for line in text.splitlines():
        command, message = line.lstrip().removeprefix("::").split("::", 1)
        level, properties = command.split(" ", 1)
        (title,) = properties.split(",")
        assert title.startswith("title=")
        found.append((level, unescaped(title[6:], ("%3A", ":"), ("%2C", ",")), unescaped(message)))
    return found


@every_result
def test_annotations_are_read(result: Result) -> None:
    found, kept = annotations(render(result, "github")), cleaned(result)
    levels = {Outcome.FAILED: "error", Outcome.UNKNOWN: "warning"}
    bad = [finding for finding in kept.findings if finding.outcome in levels]
    errors = [kept.error.what] if kept.error else []
    assert [message.split("\n")[0] for _, _, message in found] == [*errors, *(finding.detail for finding in bad)]
    assert [level for level, _, _ in found] == ["error"] * len(errors) + [levels[finding.outcome] for finding in bad]
    assert all(title.endswith(bad.subject) for (_, title, _), bad in zip(found[len(errors) :], bad, strict=True))


@every_result
def test_nothing_in_the_summary_of_a_step_is_markup(result: Result) -> None:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(summary(result))
    inline = {child.type for token in tokens for child in token.children or ()}
    assert inline <= {"text", "text_special", "softbreak", "html_inline"}
    raw = [child.content for token in tokens for child in token.children or () if child.type == "html_inline"]
    assert set(raw) <= {"<br>"}
    blocks = [token.content for token in tokens if token.type == "html_block"]
    assert all(re.fullmatch(r"<details><summary>[^<]*</summary>\n|</details>\n", block) for block in blocks)
    fences = [token.content for token in tokens if token.type == "fence"]
    assert len(fences) == len([f for f in result.findings if f.evidence and f.outcome is Outcome.FAILED])
    assert len(summary(result).encode()) < 1024 * 1024


def test_the_summary_tells_the_verdict() -> None:
    text = MarkdownIt("gfm-like", {"linkify": False}).render(summary(LIFE))
    assert "<h3>FAILED debian-bookworm</h3>" in text
    assert "<td>❌ failed</td>" in text and "<td>✅ passed (tolerated)</td>" in text
    assert "<td>inactive (dead)<br>enabled</td>" in text


# HTML


class Page(html.parser.HTMLParser):
    """What is in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "wbr"):
            self.open.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "aria-labelledby")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@every_result
def test_the_page_is_whole_and_fetches_nothing(result: Result) -> None:
    page = Page(render(result, "html"))
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object", "b", "a:link"} & set(page.tags)
    assert not {name for name in page.attributes if name.startswith("on") or name in ("src", "srcset", "style")}
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert page.tags.count("article") == len(result.findings) + (result.error is not None)
    assert "url(" not in page.text and "@import" not in page.text


def test_the_page_shows_hostile_text_as_it_is() -> None:
    text = Page(render(RESULTS["hostile"], "html")).text
    assert "<script>alert(1)</script>\" ' | # TODO \\ % %0A ::error::x" in text
    assert "{{ 7*7 }}" in text and "</pre>" in text


def test_evidence_is_open_where_it_failed() -> None:
    text = render(LIFE, "html")
    assert len(re.findall("<details open>", text)) == 1
    assert len(re.findall("<details>", text)) == 1
    assert "A service that runs before an upgrade" in text


def test_the_lines_that_say_most_stand_out() -> None:
    text = render(RESULTS["failed"], "html")
    evidence = text[text.index("<details open>") :]
    assert re.findall("<strong>(.*?)</strong>", evidence) == FAILED.excerpt.splitlines()
    pre = evidence[evidence.index("<pre>") + 5 : evidence.index("</pre>")]
    assert pre.replace("<strong>", "").replace("</strong>", "") == FAILED.evidence


def test_the_page_has_the_units_over_the_phases() -> None:
    text = render(LIFE, "html")
    table = text[text.index("<table>") : text.index("</table>")]
    assert re.findall('<th scope="col">(.*?)</th>', table) == ["Unit", *(phase.name for phase in LIFE.phases)]
    assert re.findall('<th scope="row">(.*?)</th>', table) == ["web<wbr>.service", "web<wbr>.socket"]
    assert "inactive (dead)" in table and "1 restart<" in table


# all of them


def test_the_end_of_long_evidence_is_kept_and_told() -> None:
    finding = cleaned(RESULTS["long"]).findings[0]
    first, *rest = finding.evidence.splitlines()
    assert first == f"(the last {MOST_EVIDENCE:,} of {len(RESULTS['long'].findings[0].evidence):,} characters)"
    assert rest[-1] == "line 99999" and MOST_EVIDENCE - 20 < len("\n".join(rest)) <= MOST_EVIDENCE
    assert finding.detail.endswith("x…")


def test_the_evidence_of_all_findings_is_bounded() -> None:
    many = [FAILED._replace(subject=f"unit {n}", evidence="x" * MOST_EVIDENCE) for n in range(200)]
    kept = cleaned(RESULTS["failed"]._replace(findings=many)).findings
    assert sum(len(finding.evidence) for finding in kept) < MOST_OF_ALL + 200 * 100
    assert kept[-1].evidence == f"(the last 0 of {MOST_EVIDENCE:,} characters)\n"


def test_the_original_is_left_as_it_is() -> None:
    result = RESULTS["hostile"]
    assert result.error
    cleaned(result)
    assert result.error.what == HOSTILE and result.findings[0].subject == HOSTILE


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_is_written(tmp_path: Path, format: str) -> None:
    path = tmp_path / "report"
    path.write_text("an older and longer report" * 10_000)
    write(LIFE, format, path)
    assert path.read_text() == render(LIFE, format)
    assert os.listdir(tmp_path) == ["report"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_link_to_a_file_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    write(LIFE, "json", tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == render(LIFE, "json")


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    write(LIFE, "tap", tmp_path / "pipe")
    reader.join()
    assert read == [render(LIFE, "tap")]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize(("file", "told"), [("", "is a directory"), ("no/such/file", "there is no directory")])
def test_no_such_place(tmp_path: Path, file: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        write(LIFE, "json", tmp_path / file)


def test_no_such_format(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no report 'yaml'"):
        write(LIFE, "yaml", tmp_path / "x")


def test_the_text_is_what_is_printed() -> None:
    text = io.StringIO(render(RESULTS["failed"], "text")).read().splitlines()
    assert text[0] == f"FAILED debian-bookworm: {FAILED.subject}: {FAILED.detail}"
    assert f"ok   {PASSED.subject}: {PASSED.detail}" not in text
    assert text[-1] == "FAILED debian-bookworm: 1 of 2 checks failed, 1 not tried, 5.7 s"


def test_it_is_there_for_python_programs(tmp_path: Path) -> None:
    result = postroj.Result("debian-bookworm", [Finding("unit a", Outcome.PASSED, "active")], 1.0)
    postroj.report.write(result, "junit", str(tmp_path / "x.xml"))
    assert junitparser.JUnitXml.fromfile(str(tmp_path / "x.xml")).tests == 1
