"""Many pulls at the same time, removals between them, and pulls that are killed at random moments."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from layouts import PROGRAM, SLIM, SUITES
from moments import started
from registry import Registry, registry
from residue import Residue, half_downloads, image_debris
from scratch import scratch_state
from support import POSTROJ, Run

pytestmark = pytest.mark.once

_IMAGES = [f"debian-{suite}" for suite in SUITES[:3]]
_PROCESSES = 10
_SLIM = "debian-buster"
"""The name of the image without systemd in the registry."""
_KILLS = int(os.environ.get("POSTROJ_TEST_KILLS", "4"))
_SEED = int(os.environ.get("POSTROJ_TEST_SEED", "0")) or random.randrange(1_000_000)


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[Registry]:
    with registry() as running:
        for suite in SUITES[:3]:
            running.push(suite, f"library/debian:{suite}")
        running.push(SLIM, "debian/eol:buster")
        yield running


@pytest.fixture
def here(server: Registry, environment: dict[str, str], tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A state directory, and the environment of a user whose docker.io is the registry."""
    with scratch_state() as state:
        yield state / "images", {**environment, **server.home(tmp_path), "POSTROJ_STATE_DIR": str(state)}


def test_the_work_is_done_once(here: tuple[Path, dict[str, str]]) -> None:
    images, env = here
    with ExitStack() as stack:
        processes = [
            stack.enter_context(started([POSTROJ, "pull", "--source=oci", *_IMAGES], env)) for _ in range(_PROCESSES)
        ]
        ended = [process.communicate(timeout=300) for process in processes]
    failed = [err.decode() for process, (_, err) in zip(processes, ended, strict=True) if process.returncode]
    assert not failed, "\n---\n".join(failed)
    said = b"".join(err for _, err in ended).decode()
    for name in _IMAGES:
        assert said.count(f"{name}: downloading ") == said.count(f"{name}: preparing") == 1, said
        assert sum(f"ok      {name}: " in out.decode() for out, _ in ended) == _PROCESSES
    assert image_debris(images) | half_downloads(images) == set()


def test_pulls_and_removals_at_once(here: tuple[Path, dict[str, str]], server: Registry, postroj: Run) -> None:
    """Each ends well, or says that somebody has removed the image: nothing is left half done."""
    images, env = here
    server.push(PROGRAM, "debian/eol:stretch")
    pull, remove = ["pull", "--update", "debian-stretch"], ["image", "rm", "debian-stretch"]
    for _ in range(5):
        with ExitStack() as stack:
            words = [pull, remove, pull]
            processes = [stack.enter_context(started([POSTROJ, *each], env)) for each in words]
            for process in processes:
                _, err = process.communicate(timeout=60)
                assert process.returncode == 0 or b"is not downloaded" in err or b"was removed" in err, err
                assert b"Traceback" not in err
        assert image_debris(images) | half_downloads(images) == set()
        assert postroj("image", "verify", env=env).returncode == 0
    assert postroj("pull", "debian-stretch", env=env).returncode == 0


@pytest.mark.network
def test_pull_that_is_killed_at_a_random_moment(here: tuple[Path, dict[str, str]], postroj: Run) -> None:
    images, env = here
    print(f"seed {_SEED}")
    moments = random.Random(_SEED)
    name = _IMAGES[0]
    began = time.monotonic()
    assert postroj("pull", "--source=oci", name, env=env).returncode == 0
    seconds = time.monotonic() - began
    for number in range(_KILLS):
        name = _SLIM if number % 4 == 3 else _IMAGES[0]  # which takes longer, and is provisioned
        if name in os.listdir(images):
            assert postroj("image", "rm", name, env=env).returncode == 0
        before = Residue.take()
        after = moments.uniform(0, seconds if name != _SLIM else 3 * seconds)
        with started([POSTROJ, "pull", "--source=oci", name], env) as process:
            try:
                process.wait(after)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            _, err = process.communicate(timeout=60)
        print(f"killed after {after:.2f} s: {err.decode()}")
        assert Residue.settled_by_kernel(before.by_kernel()) == before.by_kernel()
        verified = postroj("image", "verify", env=env)
        assert verified.returncode == 0, verified.stdout
        pulled = postroj("pull", "--source=oci", name, env=env)
        assert pulled.returncode == 0, pulled.stderr
        assert image_debris(images) | half_downloads(images) == set()
        (image,) = json.loads(postroj("image", "inspect", name, env=env).stdout)
        assert image["systemd"] == ("252" if name == _SLIM else "247")
    assert postroj("run", name, "true", env=env).returncode == 0
