"""Real machines: each test boots them, and none may leave anything behind."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from residue import Residue
from scratch import scratch_state
from sharing import taken
from support import POSTROJ, STATE, Run
from vm_host import vm_host

__all__ = ["vm_host"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="machines need root"))
    items.sort(key=lambda item: "vm_host" in getattr(item, "fixturenames", ()))  # see there


@pytest.hookimpl
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run those tests only that no other lane has taken, if several lanes share them."""
    record = os.environ.get("POSTROJ_TEST_TAKEN")
    if not record or session.testsfailed or session.config.option.collectonly:
        return None
    tests = taken(session.items, Path(record).resolve())
    test = next(tests, None)
    while test:
        following = next(tests, None)  # its fixtures are kept
        test.config.hook.pytest_runtest_protocol(item=test, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        test = following
    return True


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What postroj is run with: images shared, downloads of this run's own."""
    moved = {"POSTROJ_STATE_DIR": STATE, "POSTROJ_DOWNLOADS_DIR": str(tmp_path_factory.mktemp("downloads"))}
    os.environ.update(moved)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):  # of our own CI: they add to what is printed
        os.environ.pop(name, None)
    return {**os.environ, **moved}


@pytest.fixture(scope="session")
def postroj(environment: dict[str, str]) -> Run:
    """Run the real program as a user types it, to its end."""

    def run(
        *words: str | Path, input: str | None = None, env: dict[str, str] | None = None, timeout: float = 600
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [POSTROJ, *map(str, words)],
            **({"stdin": subprocess.DEVNULL} if input is None else {"input": input}),
            capture_output=True,
            text=True,
            env={**environment, **(env or {})},
            timeout=timeout,
        )

    return run


@pytest.fixture(scope="session")
def image(postroj: Run) -> Callable[[str], str]:
    """Pull an image unless it is here; gives its name back."""

    def pulled(name: str) -> str:
        done = postroj("pull", name)
        assert done.returncode == 0, done.stderr
        return name

    return pulled


@pytest.fixture(scope="session")
def bookworm(image: Callable[[str], str]) -> str:
    """The image that most tests boot."""
    return image("debian-bookworm")


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory of this test's own, without an image."""
    with scratch_state() as path:
        yield path


@pytest.fixture(autouse=True)
def nothing_left(environment: dict[str, str]) -> Iterator[None]:
    """After each test there are as many processes, mounts, cgroups, links and files as before it."""
    before = Residue.take()
    yield
    assert Residue.settled(before) == before
