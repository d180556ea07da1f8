"""`--report`: which reports go where, what is refused before anything boots, and what happens if one fails."""

import argparse
import io
import json
import os
import sys
from pathlib import Path

import pytest

from postroj.cli.reports import Target, keep_apart, read, write
from postroj.cli.show import Show
from postroj.errors import UsageError
from postroj.events import Event, Warn, subscribed

from .conftest import Postroj
from .results import HOSTILE, RESULTS

TEXT = Target("text", is_asked_for=False)
ANNOTATIONS = Target("github", is_asked_for=False)
FAILED = RESULTS["failed"]


@pytest.fixture
def args() -> argparse.Namespace:
    made = argparse.Namespace(verbose=0, quiet=False)
    Show().configure(made)
    return made


@pytest.mark.parametrize(
    ("asked", "targets"),
    [
        ([], [TEXT]),
        (["text"], [Target("text")]),
        (["json"], [Target("json")]),
        (["json=-"], [Target("json")]),
        (["github"], [TEXT, Target("github")]),
        (["github", "text"], [Target("github"), Target("text")]),
        (["junit=FILE"], [TEXT, Target("junit", "FILE")]),
        (["junit=FILE", "json"], [Target("junit", "FILE"), Target("json")]),
        (["text=FILE"], [TEXT, Target("text", "FILE")]),
        (["tap=/dev/full"], [TEXT, Target("tap", "/dev/full")]),
    ],
)
def test_where_reports_go(tmp_path: Path, asked: list[str], targets: list[Target]) -> None:
    file = str(tmp_path / "x")
    expected = [target._replace(file=file) if target.file == "FILE" else target for target in targets]
    assert read([text.replace("FILE", file) for text in asked]) == expected


@pytest.mark.parametrize(
    ("asked", "targets"),
    [
        ([], [TEXT, ANNOTATIONS]),
        (["json"], [ANNOTATIONS._replace(fd=2), Target("json")]),
        (["github"], [TEXT, Target("github")]),
    ],
)
def test_on_github_annotations_are_added(
    monkeypatch: pytest.MonkeyPatch, asked: list[str], targets: list[Target]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert read(asked) == targets


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["yaml"], "there is no report 'yaml'"),
        ([""], "there is no report ''"),
        (["json="], "has no name of a file"),
        (["json", "tap"], "the reports json and tap would both be written to standard output"),
        (["json", "json=-"], "json and json would both be written to standard output"),
        (["text", "html"], "text and html would both be written to standard output"),
        (["github", "json"], "github and json would both be written to standard output"),
        (["json=DIR/x", "tap=DIR/./x"], "json and tap would both be written to .*/x"),
        (["text=DIR/x", "github=DIR/x"], "text and github would both be written to .*/x"),
        (["json=DIR"], "DIR is a directory"),
        (["json=DIR/no/x"], "there is no directory DIR/no"),
    ],
)
def test_refused_before_anything_boots(tmp_path: Path, asked: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told.replace("DIR", str(tmp_path))):
        read([text.replace("DIR", str(tmp_path)) for text in asked])


@pytest.mark.parametrize("artifacts", ["kept", "./x/../kept/", "kept/of/today"])
def test_a_directory_that_is_made_for_artifacts_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, artifacts: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"/kept is a directory: --artifacts makes it"):
        read(["json=kept"], artifacts=artifacts)
    assert read(["json=kept.json"], artifacts=artifacts)[1].file == f"{tmp_path}/kept.json"


def test_a_file_that_is_read_is_not_overwritten(tmp_path: Path) -> None:
    package, link = tmp_path / "web.deb", tmp_path / "link"
    link.symlink_to(package)
    package.touch()
    with pytest.raises(UsageError, match=r"the report json would overwrite .*/web\.deb"):
        keep_apart(read([f"json={link}"]), ["web", str(package)])
    keep_apart(read([f"json={tmp_path}/web"]), ["web", f"{tmp_path}/web", str(package)])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(UsageError, match=r"the directory .* cannot be written to"):
        read([f"json={tmp_path}/x"])


def test_the_program_refuses_it(postroj: Postroj, tmp_path: Path) -> None:
    done = postroj("pkgprobe", "--check-unit=x", f"--report=json={tmp_path}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"postroj: {tmp_path} is a directory\n")


def test_a_file_that_is_standard_output_is_it(postroj: Postroj) -> None:
    done = postroj("pkgprobe", "--check-unit=x", "--report=json", "--report=tap=/dev/stdout")
    assert done.returncode == 2
    assert "would both be written to standard output" in done.stderr


def test_a_machine_readable_report_is_alone_on_standard_output(
    args: argparse.Namespace, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert write([Target("json")], RESULTS["hostile"], args)
    printed = capsysbinary.readouterr()
    assert json.loads(printed.out)["verdict"] == "unknown"
    assert printed.err == b""


def test_it_is_utf_8_in_any_locale(args: argparse.Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1", errors="backslashreplace"))
    assert write([Target("json")], FAILED._replace(image="é ●"), args)
    assert json.loads(raw.getvalue().decode("utf-8"))["image"] == "é ●"


def test_text_and_annotations(args: argparse.Namespace, capsys: pytest.CaptureFixture[str]) -> None:
    """The runner takes `##[` for the beginning of a command wherever it is, and `::` at the beginning of a line."""
    assert write([TEXT, ANNOTATIONS], RESULTS["hostile"], args)
    lines = capsys.readouterr().out.splitlines()
    commands = [line for line in lines if line.lstrip().startswith("::")]
    assert len(commands) == 2 and lines[-2:] == commands
    assert not [line for line in lines[:-2] if "##[" in line]
    assert "##[" in HOSTILE


def test_annotations_beside_another_report(args: argparse.Namespace, capsys: pytest.CaptureFixture[str]) -> None:
    assert write([ANNOTATIONS._replace(fd=2), Target("json")], FAILED, args)
    printed = capsys.readouterr()
    assert json.loads(printed.out) and printed.err.startswith("::error title=")


def test_the_summary_is_added_to_that_of_the_step(
    args: argparse.Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "summary").write_text("of another step\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    write([TEXT], FAILED, args)
    assert (tmp_path / "summary").read_text() == "of another step\n"
    write([TEXT, ANNOTATIONS], FAILED, args)
    write([TEXT, ANNOTATIONS], FAILED, args)
    text = (tmp_path / "summary").read_text()
    assert text.startswith("of another step\n### FAILED") and text.count("### FAILED") == 2


def test_a_summary_that_cannot_be_written_is_a_warning(
    args: argparse.Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    heard: list[Event] = []
    with subscribed(heard.append):
        assert write([ANNOTATIONS], FAILED, args)
    (event,) = heard
    assert isinstance(event, Warn) and "Is a directory" in event.text


def test_one_that_cannot_be_written_keeps_no_other_back(
    args: argparse.Namespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    targets = [TEXT, Target("json", str(gone / "x")), Target("tap", "/dev/full"), Target("junit", f"{tmp_path}/x.xml")]
    assert not write(targets, FAILED, args)
    printed = capsys.readouterr()
    assert printed.out.startswith("FAILED debian-bookworm: ")
    assert f"the report {gone}/x cannot be written: there is no directory {gone}" in printed.err
    assert "the report /dev/full cannot be written: No space left on device" in printed.err
    assert (tmp_path / "x.xml").read_text().startswith("<?xml")


def test_files_are_written_where_nobody_reads_standard_output(
    args: argparse.Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    with pytest.raises(BrokenPipeError):
        write([TEXT, Target("json", f"{tmp_path}/x")], FAILED, args)
    assert json.loads((tmp_path / "x").read_text())["verdict"] == "failed"
