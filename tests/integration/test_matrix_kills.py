"""Many cells at once, a third of which is killed at random moments: every other one gives its verdict, nothing is left.

POSTROJ_TEST_CELLS is how many cells there are: 12, or 200 for a run by hand. POSTROJ_TEST_SEED is what the choice of
those that are killed, and of how and when, follows from: another each time.
"""

import json
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import debs
import kills
from moments import Process, commands, started
from residue import Residue
from support import POSTROJ

pytestmark = pytest.mark.once

_CELLS = int(os.environ.get("POSTROJ_TEST_CELLS", "12"))
_SEED = os.environ.get("POSTROJ_TEST_SEED") or str(random.SystemRandom().randrange(10**6))
_LONGEST = 3.0
"""Until a cell is killed, in seconds after it was seen first: it installs a package, or does not even boot yet."""
_WAYS: list[Callable[[Process], bool]] = [kills.kill_postroj, kills.kill_nspawn]


class Killer(threading.Thread):
    """Kills the processes of some cells, or the systemd-nspawn of their machines, until it is told to end."""

    def __init__(self, doomed: dict[str, tuple[Callable[[Process], bool], float]]) -> None:
        super().__init__(name="killer")
        self._doomed = dict(doomed)
        self.hit: dict[str, str] = {}
        self.over = threading.Event()

    def run(self) -> None:
        """Look for cells that are to be killed, a few times each second."""
        seen: dict[str, float] = {}
        while not self.over.wait(0.05):
            for package, pid in _cells().items():
                if package not in self._doomed:
                    continue
                way, delay = self._doomed[package]
                if time.monotonic() >= seen.setdefault(package, time.monotonic()) + delay and way(_process(pid)):
                    self.hit[package] = way.__name__
                    del self._doomed[package]


def _cells() -> dict[str, int]:
    """Return the PIDs of the cells that run, by their packages."""
    found = {}
    for pid, words in commands():
        if "-m" in words and "pkgprobe" in words:
            package = next((word for word in words if word.startswith("--package=")), "")
            found[os.path.basename(package).removesuffix("_1.0_all.deb")] = pid
    return found


def _process(pid: int) -> Process:
    """Return what stands for a process that is no child of ours."""

    def kill() -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, 9)

    return cast(Process, SimpleNamespace(pid=pid, kill=kill))


def test_every_other_cell_gives_its_verdict(tmp_path: Path, bookworm: str, environment: dict[str, str]) -> None:
    (tmp_path / "dist").mkdir()
    names = [f"one-{number}" for number in range(_CELLS)]
    with ThreadPoolExecutor(4) as builders:
        for built in builders.map(lambda name: debs.build(tmp_path, name), names):
            built.rename(tmp_path / "dist" / built.name)
    chosen = random.Random(_SEED)
    doomed = {name: (chosen.choice(_WAYS), chosen.uniform(0, _LONGEST)) for name in chosen.sample(names, _CELLS // 3)}
    before = Residue.take()
    killer = Killer(doomed)
    words = [POSTROJ, "test", ".", f"--image={bookworm}", "--report=json"]
    words += ["--phase=install", "--phase=check", "--stay-active=1"]
    with chdir(tmp_path / "dist"), started(words, environment) as process:
        killer.start()
        try:
            output, errors = process.communicate(timeout=60 + 20 * _CELLS)
        finally:
            killer.over.set()
            killer.join()
    told = f"seed {_SEED}: {killer.hit}\n{errors.decode()}"
    assert len(killer.hit) > len(doomed) // 2, told
    assert process.returncode == 3, told
    for cell in json.loads(output)["cells"]:
        _is_told(cell, killer.hit.get(cell["package"], ""), told)
    assert "Traceback" not in told
    assert Residue.settled(before) == before, told


def _is_told(cell: dict[str, Any], how: str, told: str) -> None:
    """See that a cell has passed, or that it is told what has happened to it."""
    if cell["verdict"] == "passed":  # a kill may come too late: with its verdict, a cell removes its machine
        assert how in ("", "kill_nspawn"), f"{cell}\n{told}"
        return
    assert cell["verdict"] == "unknown" and how, f"{cell}\n{told}"
    if how == "kill_postroj":
        assert cell["reason"] == "its process was killed by SIGKILL", f"{cell}\n{told}"
    else:
        assert "is lost: " in cell["reason"] or "did not come up: " in cell["reason"], f"{cell}\n{told}"
