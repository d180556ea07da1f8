"""The steps of action.yml, run as GitHub runs them, on an image that is here; and what is kept for the next run."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import packages
from debs import GOOD
from scratch import scratch_state
from support import POSTROJ

pytestmark = pytest.mark.once

_ROOT = Path(__file__).parent.parent.parent
_STEPS: list[dict[str, Any]] = yaml.safe_load((_ROOT / "action.yml").read_text())["runs"]["steps"]


class Runner:
    """A runner with the action in its place."""

    def __init__(self, place: Path, state: Path) -> None:
        self.work = place / "work"
        self.work.mkdir()
        self.temp = place / "temp"
        self.temp.mkdir()
        self.output = place / "output"
        self.summary = place / "summary"
        self._state = state
        self._action = place / "action"
        program = self._action / ".venv/bin"
        program.mkdir(parents=True)
        (program / "postroj").symlink_to(POSTROJ)
        (self._action / "ci").symlink_to(_ROOT / "ci")
        sudo = place / "bin/sudo"
        sudo.parent.mkdir()
        sudo.write_text('#!/bin/sh\n[ "$1" != -E ] || shift\nexec "$@"\n')
        sudo.chmod(0o755)
        self._path = f"{sudo.parent}:{os.environ['PATH']}"

    def run(
        self, name: str, inputs: Mapping[str, str], state: Path | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run the script of a step, with its variables."""
        step = next(step for step in _STEPS if step["name"] == name)
        told = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(self._action),
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "RUNNER_TEMP": str(self.temp),
            "POSTROJ_STATE_DIR": str(state or self._state),
            "PATH": self._path,
        }
        for key, value in step.get("env", {}).items():
            told[key] = re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda match: inputs.get(match[1], ""), value)
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=self.work,
            env={**os.environ, **told},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )


def test_the_steps_of_the_action(bookworm: str, tmp_path: Path) -> None:
    """One package of two is broken; then the images are packed, and the next run has them elsewhere."""
    with scratch_state(bookworm) as state, scratch_state() as other:
        runner = Runner(tmp_path, state)
        for name, service in (("agent", GOOD), ("store", "echo cannot open /etc/store.conf >&2; exit 3")):
            built = packages.build(tmp_path / "made", name, packager="deb", service=service)
            built.rename(runner.work / built.name)
        (runner.work / "postroj.toml").write_text('phases = ["install", "check"]\nstay-active = 0\noffline = true\n')
        inputs = {"packages": "./*.deb", "images": "debian-12", "report": "junit=report.xml"}
        done = runner.run("Test", inputs)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "::error title=debian-bookworm%3Astore::" in done.stdout
        assert "::group::" in done.stderr and "::endgroup::" in done.stderr
        assert "| store | ❌ failed |" in runner.summary.read_text()
        assert (runner.work / "report.xml").exists()

        assert runner.run("Pack what is to be kept", inputs).returncode == 0
        assert runner.run("Unpack it", inputs, other).returncode == 0
        done = runner.run("Test", {**inputs, "cells": "*:agent"}, other)
        assert done.returncode == 0, done.stdout + done.stderr
        verified = subprocess.run(
            [POSTROJ, "image", "verify", bookworm],
            env={**os.environ, "POSTROJ_STATE_DIR": str(other)},
            capture_output=True,
            text=True,
        )
        assert verified.returncode == 0, verified.stdout + verified.stderr
