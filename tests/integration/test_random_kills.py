"""Everything that can die of a run dies at random moments of its life: nothing is left, and it is said what happened.

POSTROJ_TEST_KILLS is how often each dies on this host: 20, or 5 if hosts.py runs four hosts at the same time.
POSTROJ_TEST_SEED is what the moments follow from: another each time.
"""

import os
import random
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

import debs
import kills
from moments import AT_ONCE, Process, started, until
from residue import Residue
from support import POSTROJ, Run

_KILLS = int(os.environ.get("POSTROJ_TEST_KILLS", "20"))
_SEED = os.environ.get("POSTROJ_TEST_SEED") or str(random.SystemRandom().randrange(10**6))
_AT_ONCE = 4
"""How many machines live at the same time, which makes their lives longer and more different."""
_HANGS = 60.0

_MEMORY = "--memory=1G"
"""A limit, so that it has a cgroup where memory can be taken from it."""
# As long as it lives it starts programs, which takes memory.
_ENDLESS = "while :; do /bin/true; done"

_NAME = "postroj-debian-bookworm(-[2-9])?"
_KILLED = r"it was killed from outside \(SIGKILL\)"
_STOPPED = "its unit was stopped, as `machinectl terminate` and `systemctl stop` do"
_STARVED = "the kernel's OOM killer ended processes in it"


class Kind(NamedTuple):
    """A way to die."""

    hit: Callable[[Process], bool]
    lost: str
    """What is said of a machine that had booted."""
    not_up: str
    """What is said of one that had not."""


_KINDS = {
    "nspawn": Kind(kills.kill_nspawn, _KILLED, _KILLED),
    "guest": Kind(
        kills.kill_guest, "its systemd was killed, or crashed", "systemd-nspawn has ended|its first process is gone"
    ),
    "machinectl": Kind(kills.terminate, _STOPPED, _STOPPED),
    "memory": Kind(kills.starve, _STARVED, _STARVED),
}


class Life(NamedTuple):
    """A run, and how long after its start it is hit."""

    words: list[str]
    endless: bool
    delay: float


class End(NamedTuple):
    """What it was like."""

    life: Life
    status: int
    out: str
    err: str

    def __str__(self) -> str:
        life = self.life
        return f"seed {_SEED}: {life.words} hit after {life.delay:.3f} s: status {self.status}\n{self.out}{self.err}"


@pytest.fixture(scope="module")
def words(bookworm: str, tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Runs that end by themselves, and their like that do not."""
    package = debs.build(tmp_path_factory.mktemp("endless"), "endless", service=None, postinst=_ENDLESS)
    return [
        ["run", _MEMORY, bookworm, "true"],
        ["run", _MEMORY, bookworm, "sh", "-c", _ENDLESS],
        ["pkgprobe", _MEMORY, f"--image={bookworm}", "--check-unit=systemd-journald"],
        ["pkgprobe", _MEMORY, f"--image={bookworm}", f"--package={package}"],
    ]


@pytest.fixture(scope="module")
def seconds(words: list[list[str]], environment: dict[str, str]) -> float:
    """How long a whole life takes among others."""

    def lived(life: Life) -> float:
        before = time.monotonic()
        end = _live(life, lambda process: True, environment)
        assert end.status == 0, str(end)
        return time.monotonic() - before

    before = Residue.take()
    with ThreadPoolExecutor(_AT_ONCE) as lanes:
        longest = max(lanes.map(lived, [Life(words[0], False, 0.0)] * _AT_ONCE))
    assert Residue.left(before) == before
    return longest


def _lives(kind: str, words: list[list[str]], seconds: float) -> list[Life]:
    chosen = random.Random(f"{_SEED} {kind}")
    lives = []
    for _ in range(_KILLS):
        number = chosen.randrange(len(words))
        endless = number % 2 == 1
        lives.append(Life(words[number], endless, chosen.uniform(0, seconds * (2 if endless else 1))))
    return lives


def _live(life: Life, hit: Callable[[Process], bool], environment: dict[str, str]) -> End:
    with started([POSTROJ, *life.words], environment) as process:
        time.sleep(life.delay)  # the moment itself, not the wait for one
        until(lambda: hit(process) or process.poll() is not None, f"{life} can be hit", _HANGS, AT_ONCE)
        out, err = process.communicate(timeout=_HANGS)
        return End(life, process.returncode, out.decode(), err.decode())


def _batches(lives: list[Life]) -> list[list[Life]]:
    return [lives[first : first + _AT_ONCE] for first in range(0, len(lives), _AT_ONCE)]


@pytest.mark.parametrize("kind", _KINDS)
def test_machine_that_dies_at_a_random_moment(
    kind: str, words: list[list[str]], seconds: float, environment: dict[str, str]
) -> None:
    if kind == "machinectl" and not Path("/run/systemd/system").is_dir():
        pytest.skip("this host does not run systemd")
    if kind == "memory" and kills.lacks_memory_controller():
        pytest.skip("this host has no memory controller for machines")
    with ThreadPoolExecutor(_AT_ONCE) as lanes:
        for lives in _batches(_lives(kind, words, seconds)):
            before = Residue.take()
            for end in lanes.map(lambda life: _live(life, _KINDS[kind].hit, environment), lives):
                print(end)
                _says_what_happened(end, _KINDS[kind])
            assert Residue.left(before) == before, f"seed {_SEED}: {lives}"


def _says_what_happened(end: End, kind: Kind) -> None:
    if end.status == 0 and not end.life.endless:
        return  # it was hit too late
    assert end.status == (3 if end.life.words[0] == "pkgprobe" else 125), str(end)
    wanted = f"postroj: the machine {_NAME} (is lost: ({kind.lost})|did not come up: ({kind.not_up}))"
    # the guest's shell may have been killed in the middle of its own line
    assert re.search(f"^(sh: 1: )?{wanted}", end.err, re.MULTILINE), str(end)
    assert "Traceback" not in end.err, str(end)


def test_postroj_that_is_killed_at_a_random_moment(
    words: list[list[str]], seconds: float, postroj: Run, environment: dict[str, str]
) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as lanes:
        for lives in _batches(_lives("postroj", words, seconds)):
            before = Residue.take()
            for end in lanes.map(lambda life: _live(life, kills.kill_postroj, environment), lives):
                print(end)
                assert end.status == -9 or (end.status == 0 and not end.life.endless), str(end)
            assert Residue.settled_by_kernel(before.by_kernel()) == before.by_kernel(), f"seed {_SEED}: {lives}"
            done = postroj("gc")
            assert (done.returncode, done.stderr) == (0, ""), f"seed {_SEED}: {lives}"
            assert Residue.left(before) == before, f"seed {_SEED}: {lives}"
