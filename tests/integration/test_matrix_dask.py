"""`postroj test --executor=dask://…`: cells on the workers of a real Dask cluster, which see no file of ours."""

import json
import re
import signal
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

import debs
from dask_cluster import Cluster, dask_cluster
from moments import commands, deliver, running, started, until
from support import POSTROJ, Run

pytestmark = pytest.mark.once

_SLEEP = "61616"
_CELLS = 6
_QUICK = ("--phase=install", "--phase=check", "--stay-active=0")
_ENDLESS = ("--phase=install", "--phase=check", f"--check=command 'sleep {_SLEEP}' timeout=300")


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A directory of packages, of which one is broken."""
    (tmp_path / "dist").mkdir()
    for number in range(_CELLS):
        service = debs.GOOD if number else "echo no configuration >&2; exit 3"
        built = debs.build(tmp_path, f"part-{number}", service=service)
        built.rename(tmp_path / "dist" / built.name)
    return tmp_path / "dist"


@pytest.fixture
def cluster(dist: Path, bookworm: str, environment: dict[str, str]) -> Iterator[Cluster]:
    with dask_cluster(dist.parent, environment, dist) as running_one:
        yield running_one


def test_the_same_report_as_without(dist: Path, cluster: Cluster, bookworm: str, postroj: Run) -> None:
    words = ("test", "--quiet", "dist/", f"--image={bookworm}", "--report=json", *_QUICK)
    with chdir(dist.parent):
        here, there = postroj(*words), postroj(*words, f"--executor={cluster.address}")
    assert (here.returncode, there.returncode) == (1, 1), here.stderr + there.stderr
    assert _comparable(there.stdout) == _comparable(here.stdout)
    assert [cell["verdict"] for cell in json.loads(there.stdout)["cells"]] == ["failed"] + ["passed"] * (_CELLS - 1)


def test_cells_of_a_worker_that_is_killed_run_again(
    dist: Path, cluster: Cluster, bookworm: str, environment: dict[str, str]
) -> None:
    words = [POSTROJ, "test", "dist/", f"--image={bookworm}", "--report=json", f"--executor={cluster.address}"]
    words += ["--phase=install", "--phase=check"]
    with chdir(dist.parent), started(words, environment) as process:
        until(lambda: len(_cells()) == len(cluster.workers), "each worker runs a cell")
        cluster.workers[0].kill()
        output, errors = process.communicate(timeout=300)
    cells = json.loads(output)["cells"]
    assert process.returncode == 1, errors
    assert [cell["verdict"] for cell in cells] == ["failed"] + ["passed"] * (_CELLS - 1), errors
    assert b"Traceback" not in errors


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL], ids=lambda one: one.name)
def test_what_ends_the_matrix_ends_its_cells(
    signum: signal.Signals, dist: Path, cluster: Cluster, bookworm: str, environment: dict[str, str]
) -> None:
    words = [POSTROJ, "test", "dist/", f"--image={bookworm}", f"--executor={cluster.address}", *_ENDLESS]
    with chdir(dist.parent), started(words, environment) as process:
        until(lambda: running("sleep", _SLEEP), "the check of a cell runs")
        deliver(process, signum)
        out, errors = process.communicate(timeout=60)
        assert process.returncode == (130 if signum is signal.SIGINT else -signum)
        assert b"Traceback" not in errors
        if signum is signal.SIGINT:
            assert (
                out.decode().splitlines()[-1].startswith(f"NO VERDICT: {_CELLS} cells: {_CELLS} not run (interrupted)")
            )
        until(lambda: not _cells() and not running("sleep", _SLEEP), "no cell runs on any worker")


def test_a_scheduler_that_cannot_be_reached(dist: Path, bookworm: str, postroj: Run) -> None:
    with chdir(dist.parent):
        done = postroj("test", "dist/", f"--image={bookworm}", "--executor=dask://127.0.0.1:9", *_QUICK)
    assert done.returncode not in (0, 1)
    assert "postroj: the Dask scheduler 127.0.0.1:9 cannot be reached: " in done.stderr
    assert "Traceback" not in done.stderr


def _cells() -> list[int]:
    """The processes of cells; an argument names the package, which is relative to where they are run."""
    return [pid for pid, words in commands() if "pkgprobe" in words and any("/part-" in word for word in words)]


def _comparable(report: str) -> Any:
    """Return a report without what differs from run to run: times, and PIDs."""
    read = json.loads(re.sub(r'"(seconds|pid)": [0-9.]+|"(started|since)": "[^"]*"', '"time": 0', report))
    return json.loads(
        re.sub(r"(?<![0-9.])[0-9]+(\.[0-9]+)? ?s\b|PID [0-9]+|[A-Z][a-z]{2} [0-9 ]{2} [0-9:.]+", "", json.dumps(read))
    )
