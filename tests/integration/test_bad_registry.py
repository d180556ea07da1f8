"""Registries that misbehave, and images that cannot be: one clear sentence, the old image untouched, no debris."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from badinput import assert_told
from badregistry import BadRegistry, bad_registry
from layouts import PROGRAM
from postroj.image.source import host_architecture
from residue import half_downloads, image_debris
from support import Run

pytestmark = pytest.mark.once

_IMAGE = "debian-stretch"
_REGISTRIES = '[[registry]]\nprefix = "docker.io"\nlocation = "{address}"\ninsecure = true\n'


@pytest.fixture
def server() -> Iterator[BadRegistry]:
    with bad_registry(PROGRAM) as running:
        yield running


@pytest.fixture
def pull(server: BadRegistry, state: Path, postroj: Run, tmp_path: Path) -> Run:
    configuration = tmp_path / ".config/containers/registries.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(_REGISTRIES.format(address=server.address))
    environment = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / ".config")}
    environment["POSTROJ_STATE_DIR"] = str(state)
    return lambda *words: postroj("pull", *words, _IMAGE, env=environment, timeout=120)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "its registry requires authentication"),
        (403, "its registry requires authentication"),
        (404, "not found in its registry"),
        (429, "rate limit of its registry reached (429)"),
        (500, "server error of its registry (5xx)"),
        (503, "server error of its registry (5xx)"),
    ],
)
def test_registry_that_refuses(status: int, told: str, server: BadRegistry, pull: Run, state: Path) -> None:
    assert pull().returncode == 0
    before = (state / "images" / _IMAGE).readlink()
    server.status = status
    assert_told(pull("--update"), 3, f"postroj: {_IMAGE} cannot be pulled: ", told)
    assert (state / "images" / _IMAGE).readlink() == before
    assert image_debris(state / "images") | half_downloads(state / "images") == set()


def test_registry_that_hangs_up_half_way_and_the_next_pull_goes_on(server: BadRegistry, pull: Run, state: Path) -> None:
    server.cut = True
    assert_told(pull(), 3, "its registry closed the connection", "run again")
    assert not (state / "images" / _IMAGE).is_symlink()
    assert image_debris(state / "images") == set()
    server.cut = False
    assert pull().returncode == 0
    assert image_debris(state / "images") | half_downloads(state / "images") == set()


@pytest.mark.parametrize("wrong", ["wrong_manifest", "wrong_blob"])
def test_registry_that_answers_something_else(wrong: str, server: BadRegistry, pull: Run, state: Path) -> None:
    setattr(server, wrong, True)
    assert_told(pull(), 3, "digest mismatch")
    assert not (state / "images" / _IMAGE).is_symlink()
    assert image_debris(state / "images") == set()


def test_registry_that_has_it_for_other_architectures_only(server: BadRegistry, pull: Run, state: Path) -> None:
    server.index_for = "s390x"
    assert_told(pull(), 3, "is for s390x, not for ", "--platform")
    assert server.layers_begun == 0  # found out before anything was downloaded
    assert image_debris(state / "images") | half_downloads(state / "images") == set()


def test_index_gives_the_image_of_this_host(server: BadRegistry, pull: Run) -> None:
    server.index_for = host_architecture()
    assert pull().returncode == 0
    assert pull(f"--platform=linux/{server.index_for}").returncode == 0


def test_image_that_is_for_another_architecture(server: BadRegistry, pull: Run, state: Path) -> None:
    """A manifest says nothing of its architecture; the configuration does."""
    assert_told(pull("--platform=linux/s390x"), 3, "not for s390x")
    assert image_debris(state / "images") | half_downloads(state / "images") == set()
