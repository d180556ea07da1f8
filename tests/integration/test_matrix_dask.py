"""`postroj test --executor=dask://…`: cells on the workers of a real Dask cluster, which see no file of ours."""

import json
import signal
import subprocess
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


def test_the_same_report_as_without(
    dist: Path, cluster: Cluster, bookworm: str, environment: dict[str, str], postroj: Run
) -> None:
    """So are the logs, of which a worker keeps nothing."""
    words = ("test", "--quiet", "dist/", f"--image={bookworm}", "--report=json", *_QUICK)
    with chdir(dist.parent):
        here = postroj(*words, "--artifacts=logs/here")
        there = postroj(*words, "--artifacts=logs/there", f"--executor={cluster.address}")
    assert (here.returncode, there.returncode) == (1, 1), here.stderr + there.stderr
    assert _comparable(there.stdout) == _comparable(here.stdout)
    assert [cell["verdict"] for cell in json.loads(there.stdout)["cells"]] == ["failed"] + ["passed"] * (_CELLS - 1)
    logs = dist.parent / "logs"
    names = _files(logs / "here")
    assert f"{bookworm}/part-0/report.txt" in names and names == _files(logs / "there")
    for name in names:
        assert bool((logs / "here" / name).read_bytes()) == bool((logs / "there" / name).read_bytes()), name
    assert "no configuration" in (logs / f"there/{bookworm}/part-0/journal.txt").read_text()
    assert not list(Path(environment["POSTROJ_STATE_DIR"], "jobs").glob(f"*{dist}"))


def test_by_tls(
    dist: Path, bookworm: str, environment: dict[str, str], postroj: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The certificate is that of Dask's configuration; without one, or without TLS, the scheduler is not reached."""
    one, other = (_certificate(tmp_path_factory.mktemp("tls")) for _ in range(2))
    words = ("test", "--quiet", "dist/part-1_1.0_all.deb", f"--image={bookworm}", *_QUICK)
    with dask_cluster(dist.parent, environment, dist, workers=1, certificate=one) as cluster, chdir(dist.parent):
        done = postroj(*words, f"--executor={cluster.address}", env=_trusting(one))
        assert done.returncode == 0, done.stdout + done.stderr
        address = cluster.address.partition("://")[2]
        for given, env, why in (
            (cluster.address, {}, f"Dask's configuration does not fit tls://{address}: "),
            (cluster.address, _trusting(other), f"the Dask scheduler {address} cannot be reached: "),
            (f"dask://{address}", _trusting(one), f"Dask's configuration does not fit tcp://{address}: "),
        ):
            done = postroj(*words, f"--executor={given}", env=env)
            assert done.returncode not in (0, 1), done.stdout
            assert why in done.stderr and "Traceback" not in done.stderr, done.stderr


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


def _files(directory: Path) -> set[str]:
    """The files below a directory, by their paths in it."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def _certificate(directory: Path) -> Path:
    """Make a certificate that is its own authority, with its key in the same file."""
    made = directory / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=test"]
    subprocess.run([*words, "-keyout", made, "-out", directory / "only.pem"], check=True, capture_output=True)
    made.write_bytes(made.read_bytes() + (directory / "only.pem").read_bytes())
    return made


def _trusting(certificate: Path) -> dict[str, str]:
    """Dask's configuration by variables: docs.dask.org, "Configuration"."""
    keys = ("CA_FILE", "CLIENT__CERT", "CLIENT__KEY")
    tls = {f"DASK_DISTRIBUTED__COMM__TLS__{key}": str(certificate) for key in keys}
    return {**tls, "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true"}


def _cells() -> list[int]:
    """The processes of cells; an argument names the package, which is relative to where they are run."""
    return [pid for pid, words in commands() if "pkgprobe" in words and any("/part-" in word for word in words)]


def _comparable(report: str) -> Any:
    """Return a report without what differs from run to run: times, PIDs, and lines of a journal."""
    read = json.loads(report)
    cells = [
        {
            **{key: cell[key] for key in ("cell", "verdict", "reason", "tries", "errors")},
            "packages": cell["report"]["packages"],
            "phases": [phase["name"] for phase in cell["report"]["phases"]],
            "findings": [[one[key] for key in ("name", "subject", "outcome")] for one in cell["report"]["findings"]],
        }
        for cell in read["cells"]
    ]
    return {"status": read["exit_status"], "cells": cells}
