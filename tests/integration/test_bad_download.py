"""Packages by URL, from a real server that does not always behave."""

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import debs
from badinput import assert_no_verdict, assert_told
from namespaces import with_small_disk
from support import Run
from webserver import WebServer, serving

pytestmark = pytest.mark.once

Fetch = Callable[..., "subprocess.CompletedProcess[str]"]

FETCHED = "is for s390x"
"""What is served is for another architecture: pkgprobe says so, and boots nothing, once it has the whole file."""


def foreign(directory: Path, size: int = 200_000) -> bytes:
    directory.mkdir()
    fields = {"Architecture": "s390x"}
    return debs.build(directory, "foreign", fields=fields, compression="none", payload=bytes(size)).read_bytes()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    with serving(foreign(tmp_path / "served")) as served:
        yield served


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


@pytest.fixture
def fetch(postroj: Run, bookworm: str, downloads: Path, server: WebServer) -> Fetch:
    def run(*options: str, fragment: str = "") -> "subprocess.CompletedProcess[str]":
        package = f"--package={server.url}/x.deb{fragment}"
        env = {"POSTROJ_DOWNLOADS_DIR": str(downloads)}
        return postroj("pkgprobe", "--image", bookworm, package, *options, env=env, timeout=60)

    return run


def stored(downloads: Path) -> list[bytes]:
    """The contents of all finished downloads."""
    return [path.read_bytes() for path in downloads.glob("*/[!.]*")]


def half_done(downloads: Path) -> list[str]:
    return [path.name for path in downloads.glob("*/.part")]


@pytest.mark.parametrize(("status", "reason"), [(404, "Not Found"), (403, "Forbidden"), (500, "Internal Server Error")])
def test_server_refuses(fetch: Fetch, server: WebServer, downloads: Path, status: int, reason: str) -> None:
    server.status = status
    assert_told(fetch(), 3, f"{server.url}/x.deb answers {status} {reason}")
    assert stored(downloads) == [] == half_done(downloads)


def test_nobody_serves(postroj: Run, bookworm: str) -> None:
    with serving(b"") as server:
        url = server.url
    done = postroj("pkgprobe", "--image", bookworm, f"--package={url}/x.deb")
    assert_told(done, 3, f"{url}/x.deb cannot be fetched", "Connection refused")


def test_cut_off_and_resumed(fetch: Fetch, server: WebServer, downloads: Path) -> None:
    server.cut_after = 20_000
    assert_told(fetch(), 3, "cannot be fetched", f"of {len(server.content)} bytes", "run again to resume")
    assert stored(downloads) == []
    server.cut_after = 0
    assert_told(fetch(), 2, FETCHED)
    assert server.answers[:1] == [200], "the first request is for all of it"
    assert set(server.answers[1:]) == {206}, "what follows is for the rest"
    assert server.requests[-1]["range"] == f"bytes={20_000 * (len(server.requests) - 1)}-"
    assert stored(downloads) == [server.content]
    assert half_done(downloads) == []


def test_cut_off_without_validators_starts_again(fetch: Fetch, server: WebServer, downloads: Path) -> None:
    """Nothing says that the rest would be of the same file."""
    server.validators = False
    server.cut_after = 20_000
    assert_told(fetch(), 3, "cannot be fetched")
    server.cut_after = 0
    assert_told(fetch(), 2, FETCHED)
    assert not any("range" in request for request in server.requests)
    assert stored(downloads) == [server.content]


def test_cut_off_and_changed_meanwhile_starts_again(
    fetch: Fetch, server: WebServer, downloads: Path, tmp_path: Path
) -> None:
    server.cut_after = 20_000
    assert_told(fetch(), 3, "cannot be fetched")
    server.cut_after = 0
    server.content = foreign(tmp_path / "changed", 100_000)
    assert_told(fetch(), 2, FETCHED)
    assert server.answers[-1] == 200
    assert stored(downloads) == [server.content]


def test_cached_file_is_asked_after_and_replaced_when_changed(
    fetch: Fetch, server: WebServer, downloads: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        assert_told(fetch(), 2, FETCHED)
    assert server.answers == [200, 304]
    server.content = foreign(tmp_path / "changed", 100_000)
    assert_told(fetch(), 2, FETCHED)
    assert server.answers == [200, 304, 200]
    assert stored(downloads) == [server.content]


def test_checksum_that_fits_needs_no_network_again(fetch: Fetch, server: WebServer) -> None:
    fragment = f"#sha256={hashlib.sha256(server.content).hexdigest().upper()}"
    for _ in range(2):
        assert_told(fetch(fragment=fragment), 2, FETCHED)
    assert server.answers == [200]


def test_checksum_that_differs(fetch: Fetch, server: WebServer, downloads: Path) -> None:
    found, wanted = hashlib.sha256(server.content).hexdigest(), "0" * 64
    assert_told(fetch(fragment=f"#sha256={wanted}"), 3, "checksum mismatch", found, wanted)
    assert stored(downloads) == [] == half_done(downloads)


def test_cached_copy_is_used_when_the_server_is_gone(
    postroj: Run, bookworm: str, downloads: Path, tmp_path: Path
) -> None:
    with serving(foreign(tmp_path / "served")) as server:
        words = ["pkgprobe", "--image", bookworm, f"--package={server.url}/x.deb"]
        env = {"POSTROJ_DOWNLOADS_DIR": str(downloads)}
        assert_told(postroj(*words, env=env), 2, FETCHED)
    done = postroj(*words, env=env)
    assert_told(done, 2, FETCHED)
    assert "warning: " in done.stderr and "the copy in the cache is used" in done.stderr


def test_what_is_served_is_no_package(fetch: Fetch, server: WebServer) -> None:
    server.content = b"<html>Please log in</html>\n" * 100
    assert_told(fetch(), 2, f"{server.url}/x.deb is not a Debian package")


@pytest.mark.parametrize("how", ["stalls", "dribbles"])
def test_timeout_of_a_download(fetch: Fetch, server: WebServer, downloads: Path, how: str) -> None:
    setattr(server, how, True)
    assert_told(fetch("--timeout=1"), 3, f"{server.url}/x.deb was not fetched within 1 s")
    assert stored(downloads) == []


def test_full_cache(environment: dict[str, str], bookworm: str, server: WebServer, downloads: Path) -> None:
    downloads.mkdir()
    words = ["pkgprobe", "--image", bookworm, f"--package={server.url}/x.deb"]
    env = {**environment, "POSTROJ_DOWNLOADS_DIR": str(downloads)}
    done = with_small_disk(downloads, "size=64k", words, env)
    assert_no_verdict(done, bookworm, "No space left on device", "free some space")
    assert "/x.deb" not in done.stdout, "no half of it is taken for the whole"


def test_unknown_image_is_told_before_anything_is_fetched(postroj: Run, server: WebServer) -> None:
    done = postroj("pkgprobe", "--image=debian-bokworm", f"--package={server.url}/x.deb")
    assert_told(done, 2, "did you mean debian-bookworm")
    assert server.requests == []
