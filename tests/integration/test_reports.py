"""Reports of real probes, read back by programs that nobody here wrote; and what is written when one is broken off."""

import json
import os
import signal
import subprocess
from pathlib import Path

import junitparser
import pytest
from tap.parser import Parser

import debs
from moments import AT_ONCE, deliver, running, started, until
from support import POSTROJ, Run

pytestmark = pytest.mark.once

_SLEEP = "41414"


def test_all_formats_at_once_of_a_package_that_fails(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    """Its journal has what is special in each format."""
    hostile = r"""printf '\033[2J\351\n]]>&amp;<script>alert(1)</script> ##[error]x]\n::error::y\n'; exit 3"""
    package = debs.build(tmp_path, "broken", service=hostile)
    summary = tmp_path / "summary"
    done = postroj(
        "pkgprobe",
        f"--image={bookworm}",
        f"--package={package}",
        "--check-network=tcp://localhost:80",
        *(f"--report={format}={tmp_path}/report.{format}" for format in ("text", "json", "junit", "tap", "html")),
        env={"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    commands = [line for line in done.stdout.splitlines() if line.lstrip().startswith("::")]
    assert len(commands) == 1 and commands[0].startswith(
        f"::error title={bookworm} check%3A unit broken.service::failed"
    )
    assert "##[" not in done.stdout.replace(commands[0], "")
    read = {format: (tmp_path / f"report.{format}").read_text() for format in ("text", "json", "junit", "tap", "html")}
    report = json.loads(read["json"])
    assert (report["verdict"], report["exit_status"], report["image"]) == ("failed", 1, bookworm)
    assert [(one["name"], one["version"], one["format"]) for one in report["packages"]] == [("broken", "1.0", "deb")]
    assert [phase["name"] for phase in report["phases"]] == ["install", "check"]
    assert [finding["outcome"] for finding in report["findings"]] == ["passed", "failed", "skipped"]
    assert all(finding["seconds"] > 0 for finding in report["findings"][:2])
    assert "<script>alert(1)</script>" in report["findings"][1]["evidence"]
    xml = junitparser.JUnitXml.fromstring(read["junit"].encode())
    assert (xml.tests, xml.failures, xml.errors, xml.skipped) == (3, 1, 0, 1)
    points = [line for line in Parser().parse_text(read["tap"]) if line.category == "test"]
    assert [(point.description, point.ok) for point in points] == [("- install", True), ("- check", False)]
    assert "<script" not in read["html"] and "&lt;script&gt;alert(1)" in read["html"]
    first = done.stdout.splitlines()[0]
    assert read["text"].splitlines()[0] == first and "exited, status=3" in read["text"]
    assert summary.read_text().startswith("### FAILED")


def test_nothing_else_is_on_standard_output(postroj: Run, bookworm: str) -> None:
    done = postroj("pkgprobe", f"--image={bookworm}", "--check-unit=systemd-journald", "--report=json", "-v")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "passed"


def test_versions_of_packages_that_are_named(postroj: Run, bookworm: str) -> None:
    done = postroj("pkgprobe", f"--image={bookworm}", "--package=webfs", "--report=json")
    assert done.returncode == 0, done.stderr
    (package,) = json.loads(done.stdout)["packages"]
    assert package["name"] == "webfs" and package["version"].startswith("1.21")


def test_a_fault_that_is_found_without_a_machine(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "foreign", fields={"Architecture": "x86_64"})
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}", "--report=json")
    assert done.returncode == 1, done.stderr
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["outcome"] == "failed" and "Debian calls amd64" in finding["detail"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_what_was_found_before_a_signal(
    bookworm: str, tmp_path: Path, environment: dict[str, str], signum: signal.Signals
) -> None:
    package = debs.build(tmp_path, "good", start="true")
    words = [f"--image={bookworm}", f"--package={package}", "--report=json", f"--report=junit={tmp_path}/x.xml"]
    hangs = f"--check=command 'sleep {_SLEEP}' timeout=500"
    with started([POSTROJ, "pkgprobe", *words, hangs], environment) as process:
        until(lambda: running("sleep", _SLEEP) or process.poll() is not None, "the check runs", every=AT_ONCE)
        deliver(process, signum)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    report = json.loads(out)
    told = (report["verdict"], report["exit_status"], report["reason"])
    assert told == ("unknown", 128 + signum, f"interrupted by {signum.name}")
    passed = [finding["name"] for finding in report["findings"] if finding["outcome"] == "passed"]
    assert passed == ["install/package/good", "check/unit/good.service"]
    assert [phase["name"] for phase in report["phases"]] == ["install", "check"]
    assert junitparser.JUnitXml.fromfile(f"{tmp_path}/x.xml").errors == 1


def test_a_report_of_an_error(postroj: Run, state: Path, tmp_path: Path) -> None:
    done = postroj(
        "pkgprobe", "--image=debian-bookworm", "--check-unit=x", "--offline", f"--report=json={tmp_path}/x",
        env={"POSTROJ_STATE_DIR": str(state)},
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    report = json.loads((tmp_path / "x").read_text())
    assert report["verdict"] == "unknown" and report["error"]["kind"].endswith("Error")
    assert done.stdout.startswith("NO VERDICT debian-bookworm: ")


def test_a_read_only_directory_is_refused(tmp_path: Path, environment: dict[str, str]) -> None:
    script = 'mount --bind -o ro "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" pkgprobe --check-unit=x "$3"'
    words = ["sh", "-c", script, "sh", str(tmp_path), POSTROJ, f"--report=json={tmp_path}/x"]
    done = subprocess.run(["unshare", "--mount", *words], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert f"the directory {tmp_path} cannot be written to" in done.stderr
    assert os.listdir(tmp_path) == []
