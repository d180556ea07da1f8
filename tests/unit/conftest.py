"""What all unit tests have: directories of their own, signal handlers put back, and an end for what hangs."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from postroj.image import catalogue

Postroj = Callable[..., "subprocess.CompletedProcess[str]"]

_HANGS_SECONDS = 60


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees or changes this host's images; the environment says nothing on colours."""
    for name in list(os.environ):
        if name.startswith(("POSTROJ_", "GITHUB_")) or name in ("NO_COLOR", "TERM"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("POSTROJ_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("POSTROJ_DOWNLOADS_DIR", str(tmp_path / "downloads"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(catalogue, "_SYSTEM", str(tmp_path / "etc/images.toml"))
    catalogue.entries.cache_clear()
    return tmp_path


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Handlers are as before after each test, and one that hangs fails: hostile input must not loop for ever."""
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {signum: signal.getsignal(signum) for signum in ending}

    def hangs(signum: int, frame: FrameType | None) -> None:
        pytest.fail(f"it hangs: no end after {_HANGS_SECONDS} s")

    signal.signal(signal.SIGALRM, hangs)
    signal.alarm(_HANGS_SECONDS)
    yield
    signal.alarm(0)
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture
def postroj() -> Postroj:
    """Run the program in a process of its own."""

    def run(*words: str, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "postroj", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, **(env or {})},
            timeout=_HANGS_SECONDS,
        )

    return run
