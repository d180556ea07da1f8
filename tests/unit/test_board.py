"""What is shown while cells run: blocks that CI systems fold, and nothing with --quiet."""

import argparse
import re

import pytest

from postroj.cli.board import open_board
from postroj.matrix.outcome import Outcome, Verdict

from .results import HOSTILE
from .test_matrix_reports import cell

ONE = cell("debian", "web")
WHY = f"100%0Ais all ##[error] {HOSTILE}"
ENDED = Outcome(ONE, Verdict.UNKNOWN, WHY, errors=f"::error::mine\n##[error]\n{HOSTILE}")


def shown(capsys: pytest.CaptureFixture[str], *, quiet: bool = False) -> list[str]:
    """Return the lines of a run with a cell that has passed, and one that has not."""
    with open_board(argparse.Namespace(quiet=quiet, verbose=0), [ONE, ONE]) as board:
        board.started(ONE)
        board.ended(Outcome(ONE, Verdict.PASSED), again=False)
        board.ended(ENDED, again=False)
    told = capsys.readouterr()
    assert not told.out
    return told.err.splitlines()


def test_a_warning_of_cells_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    with open_board(argparse.Namespace(quiet=False, verbose=0), [ONE, ONE]) as board:
        for line in ("warning: the artifacts lack x", "debian-bookworm: booting", "warning: the artifacts lack x"):
            board.doing(ONE, line)
    assert capsys.readouterr().err == "debian:web| warning: the artifacts lack x\n"


@pytest.mark.parametrize("system", ["", "GITHUB_ACTIONS", "GITLAB_CI"])
def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    """The reports tell it."""
    if system:
        monkeypatch.setenv(system, "true")
    assert shown(capsys, quiet=True) == []
    assert shown(capsys)[:2] == ["debian:web: running", "[1/2] passed debian:web, 0.0 s"]


def test_what_is_folded_is_no_command_of_github(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner takes `::` at the beginning of a line, and `##[` anywhere; of a command's text, %0A is a new line."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    lines = shown(capsys)
    commands = [line for line in lines if re.match(r"\s*::", line) or "##[" in line]
    assert [line[:9] for line in commands] == ["::group::", "::endgrou"]
    assert "100%250Ais all ## [error]" in commands[0] and "%0A" not in commands[0]


def test_what_gitlab_folds(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    text = "\n".join(shown(capsys))
    begun = re.findall(r"section_start:[0-9]+:(\w+)\[collapsed=true\]", text)
    assert len(begun) == 1 and re.findall(r"section_end:[0-9]+:(\w+)", text) == begun
