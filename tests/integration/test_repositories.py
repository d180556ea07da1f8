"""Repositories that a user adds, signed and not, whole and broken, for the real package manager of each family."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import debs
import repositories
import vendors
from badinput import assert_refused, assert_told
from reposerver import serving
from repositories import Key, signing_key
from standins import family_of
from support import Run

pytestmark = pytest.mark.once

# The guest shares the host's network, so that it has the server on the host's loopback.
_HOST = "--network=host"
_UNKNOWN_KEY = "a package repository is signed by a key that the guest does not know"


class Place(NamedTuple):
    """An image of a family, and a repository with the package `vendor`, which needs `vendor-lib`."""

    family: str
    image: str
    env: dict[str, str]
    signed: Path
    unsigned: Path
    key: Key

    def words(self, url: str) -> str:
        """How the repository at a URL is written."""
        return vendors.repository_words(self.family, url)


@pytest.fixture(scope="module")
def keys() -> Iterator[tuple[Key, Key]]:
    """That of the repositories, and another one."""
    with signing_key("vendor") as one, signing_key("other") as other:
        yield one, other


@pytest.fixture(scope="module", params=["apt", "dnf", "dnf5", "zypper", "pacman"])
def place(
    request: pytest.FixtureRequest, keys: tuple[Key, Key], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    family: str = request.param
    made = tmp_path_factory.mktemp(f"repositories-{family}")
    with _image(family, request) as (image, env, tree):
        for name, key in (("signed", keys[0]), ("unsigned", None)):
            vendors.make(family, made / name, key, tree)
        yield Place(family, image, env, made / "signed", made / "unsigned", keys[0])


@contextmanager
def _image(family: str, request: pytest.FixtureRequest) -> Iterator[tuple[str, dict[str, str], Path]]:
    if family == "apt":
        yield request.getfixturevalue("bookworm"), {}, Path()
        return
    with vendors.standin_image(family, request.getfixturevalue("postroj")) as (state, tree):
        yield family, {"POSTROJ_STATE_DIR": str(state)}, tree


def probe(postroj: Run, place: Place, *words: str | Path, package: str = "vendor"):  # type: ignore[no-untyped-def]
    return postroj("pkgprobe", f"--image={place.image}", _HOST, f"--package={package}", *words, env=place.env)


def test_package_and_its_dependency_come_from_a_signed_repository(postroj: Run, place: Place) -> None:
    with serving(place.signed) as server:
        done = probe(postroj, place, f"--repo={place.words(server.url)}", f"--repo-key={place.key.public}", "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok   package vendor: installed" in done.stdout


def test_file_whose_dependency_is_in_the_repository(postroj: Run, place: Place, tmp_path: Path) -> None:
    package = vendors.build(place.family, tmp_path, "mine", ["vendor"])
    given = (f"--package={package}", f"--repo-key={place.key.public}", "-v")
    with serving(place.signed) as server:
        done = postroj(
            *("pkgprobe", f"--image={place.image}", _HOST, f"--repo={place.words(server.url)}", *given), env=place.env
        )
    assert done.returncode == 0, done.stdout + done.stderr
    (besides,) = [line for line in done.stdout.splitlines() if "installed besides: " in line]
    names = {part.split()[0] for part in besides.partition("installed besides: ")[2].split(", ")}
    assert names == {"vendor", "vendor-lib"}, done.stdout


def test_key_of_another(postroj: Run, place: Place, keys: tuple[Key, Key]) -> None:
    with serving(place.signed) as server:
        done = probe(postroj, place, f"--repo={place.words(server.url)}", f"--repo-key={keys[1].public}")
    assert_told(done, 3, f"postroj: {_UNKNOWN_KEY}", "--repo-key")


def test_one_of_several_keys_will_do(postroj: Run, place: Place, keys: tuple[Key, Key]) -> None:
    given = [f"--repo-key={keys[1].public}", f"--repo-key={place.key.binary}"]
    with serving(place.signed) as server:
        done = probe(postroj, place, f"--repo={place.words(server.url)}", *given)
    assert done.returncode == 0, done.stdout + done.stderr


def test_repository_without_signatures(postroj: Run, place: Place) -> None:
    with serving(place.unsigned) as server:
        words = place.words(server.url)
        done = probe(postroj, place, f"--repo-unsigned={words}")
        assert done.returncode == 0, done.stdout + done.stderr
        done = probe(postroj, place, f"--repo={words}", f"--repo-key={place.key.public}")
        assert_told(done, 3, "postroj: a package repository is not signed")
        assert_refused(probe(postroj, place, f"--repo={words}"), 2, "has no key", "--repo-unsigned")
        server.damaged = _PACKAGES
        done = probe(postroj, place, f"--repo-unsigned={words}", "--no-cache")
        assert_told(done, 3, "postroj: the guest cannot download the required packages")


_PACKAGES = (".deb", ".rpm", ".zst")
BROKEN: dict[str, dict[str, Any]] = {
    "gone": {"is_gone": True},
    "packages that are cut off": {"cut": _PACKAGES},
    "packages that are not those of the list": {"damaged": _PACKAGES},
}


@pytest.mark.parametrize("fault", BROKEN)
def test_repository_that_is_broken(postroj: Run, place: Place, fault: str) -> None:
    if place.family == "zypper" and "cut" in BROKEN[fault]:
        pytest.skip("zypper tries again for two minutes")
    with serving(place.signed) as server:
        vars(server).update(BROKEN[fault])
        done = probe(postroj, place, f"--repo={place.words(server.url)}", f"--repo-key={place.key.public}")
    what = "reach its package repositories" if fault == "gone" else "download the required packages"
    assert_told(done, 3, f"postroj: the guest cannot {what}")


def test_repository_that_is_not_there(postroj: Run, place: Place) -> None:
    with serving(place.signed) as server:
        pass
    done = probe(postroj, place, f"--repo={place.words(server.url)}", f"--repo-key={place.key.public}")
    assert_told(done, 3, "postroj: the guest cannot reach its package repositories")


def test_repository_as_another_family_writes_it(postroj: Run, place: Place) -> None:
    wrong = "http://127.0.0.1:9/x" if place.family in ("apt", "pacman") else "http://127.0.0.1:9/x stable main"
    done = probe(postroj, place, f"--repo-unsigned={wrong}")
    assert_refused(done, 2, f"is not a repository for {family_of(place.family)}", "write --repo=")


def _in_version(directory: Path, version: str) -> None:
    """Build web, which needs web-common in the same version, which needs web-core in it."""
    built = directory / f"built-{version}"
    for name, needed in (("web", "web-common"), ("web-common", "web-core"), ("web-core", "")):
        fields = {"Version": version} | ({"Depends": f"{needed} (= {version})"} if needed else {})
        service = debs.GOOD if name == "web" else None
        debs.build(built, name, service=service, fields=fields).rename(directory / f"{name}_{version}_all.deb")
    shutil.rmtree(built)


@pytest.mark.parametrize("name", ["debian-bullseye", "debian-trixie"])
def test_an_older_version_comes_with_what_it_needs_in_that_version(
    postroj: Run, image: Callable[[str], str], tmp_path: Path, name: str
) -> None:
    """Of dependencies apt-get looks at the newest version only."""
    for version in ("1.0", "2.0"):
        _in_version(tmp_path, version)
    repositories.make_apt(tmp_path, None)
    with serving(tmp_path) as server:
        words = [f"--image={image(name)}", _HOST, f"--repo-unsigned={server.url} ./", "--stay-active=0"]
        phases = ("--phase=upgrade", "--phase=downgrade")
        done = postroj("pkgprobe", *words, "--package=web", "--upgrade-from=web=1.0", *phases)
    assert done.returncode == 0, done.stdout + done.stderr
