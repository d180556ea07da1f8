"""An image on its whole way: from a registry server through skopeo, umoci and provisioning to a verdict."""

from collections.abc import Iterator
from pathlib import Path
from signal import Signals

import pytest

from moments import deliver, running, started, until
from registry import Registry, free_port, registry
from residue import image_debris
from scratch import scratch_state
from support import POSTROJ, Run

_IMAGE = "debian-buster"


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[Registry]:
    with registry() as running_registry:
        yield running_registry


@pytest.fixture
def state() -> Iterator[Path]:
    with scratch_state() as path:
        yield path


@pytest.mark.slow
def test_from_a_registry_to_a_verdict(server: Registry, state: Path, postroj: Run, tmp_path: Path) -> None:
    env = {**server.home(tmp_path), "POSTROJ_STATE_DIR": str(state)}
    pulled = postroj("pull", _IMAGE, env=env)
    assert pulled.returncode == 0, pulled.stderr
    assert pulled.stdout.startswith(f"ok      {_IMAGE}: ")
    assert "downloads docker://docker.io/debian/eol:buster" in pulled.stderr
    assert "installs systemd and D-Bus" in pulled.stderr
    assert image_debris(state / "images") == set()

    # Docker's images forbid services to start.
    assert not (state / "images" / _IMAGE / "usr/sbin/policy-rc.d").exists()
    probed = postroj(
        "pkgprobe",
        f"--image={_IMAGE}",
        "--package=webfs",
        "--check-unit=webfs",
        "--check-network=http://localhost:8000",
        env=env,
    )
    assert probed.returncode == 0, probed.stdout + probed.stderr
    assert "ok   unit webfs.service: active (running)" in probed.stdout


@pytest.mark.parametrize("command", ["pull", "run", "pkgprobe"])
def test_registry_that_has_no_such_image(
    command: str, server: Registry, state: Path, postroj: Run, tmp_path: Path
) -> None:
    _assert_fails(command, {**server.home(tmp_path, "/nothing/here"), "POSTROJ_STATE_DIR": str(state)}, state, postroj)


def test_registry_that_is_down(state: Path, postroj: Run, tmp_path: Path) -> None:
    _assert_fails("pull", {**Registry(free_port()).home(tmp_path), "POSTROJ_STATE_DIR": str(state)}, state, postroj)


def test_download_that_is_interrupted(
    server: Registry, state: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    env = {**environment, **server.home(tmp_path), "POSTROJ_STATE_DIR": str(state)}
    with started([POSTROJ, "pull", _IMAGE], env) as process:
        until(lambda: running("skopeo") or running("umoci") or process.poll() is not None, "skopeo or umoci runs")
        assert process.poll() is None, process.communicate()
        deliver(process, Signals.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130
    assert image_debris(state / "images") == set()
    assert not (state / "images" / _IMAGE).is_symlink()


def _assert_fails(command: str, env: dict[str, str], state: Path, postroj: Run) -> None:
    words = {
        "pull": ["pull", _IMAGE],
        "run": ["run", _IMAGE, "true"],
        "pkgprobe": ["pkgprobe", f"--image={_IMAGE}", "--check-unit=dbus"],
    }
    done = postroj(*words[command], env=env, timeout=60)
    assert done.returncode == {"pull": 3, "run": 125, "pkgprobe": 3}[command], done.stderr
    sentences = [line for line in done.stderr.splitlines() if line.startswith("postroj: ")]
    assert len(sentences) == 1
    assert sentences[0].startswith(f"postroj: {_IMAGE} cannot be pulled: ")
    assert "Traceback" not in done.stderr
    assert image_debris(state / "images") == set()
    assert not (state / "images" / _IMAGE).is_symlink()
