"""The package cache: what is downloaded once, what it survives; no guest changes what the next one installs."""

import hashlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import debs
import repositories
from moments import started
from reposerver import RepositoryServer, serving
from repositories import Key, signing_key
from scratch import scratch_state
from support import POSTROJ, Run

pytestmark = pytest.mark.once

_LIBRARY, _VENDOR = "/vendor-lib_1.0_all.deb", "/vendor_1.0_all.deb"


class Place(NamedTuple):
    """An image without repositories of its own, and one that is added to it: `vendor`, which needs `vendor-lib`."""

    env: dict[str, str]
    state: Path
    directory: Path
    key: Key
    server: RepositoryServer
    asked: list[str]

    @property
    def words(self) -> list[str]:
        repository = (f"--repo={self.server.url} ./", f"--repo-key={self.key.public}")
        return ["pkgprobe", "--image=debian-bookworm", "--network=host", "--stay-active=0", *repository]

    @property
    def kept(self) -> Path:
        return self.state / "images/.packages"

    def file(self, name: str) -> Path:
        (found,) = self.kept.glob(f"*/current/root/{name}")
        return found

    def files(self) -> dict[str, str]:
        """The files of the cache with their checksums."""
        found = [path for path in self.kept.glob("*/current/root/**/*") if path.is_file()]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


@pytest.fixture(scope="module")
def key() -> Iterator[Key]:
    with signing_key("vendor") as one:
        yield one


@contextmanager
def without_repositories(image: str) -> Iterator[Path]:
    with scratch_state(image) as state:
        (state / "images" / image / "etc/apt/sources.list").unlink()
        yield state


@pytest.fixture(scope="module")
def state_of_all(bookworm: str) -> Iterator[Path]:
    with without_repositories(bookworm) as state:
        yield state


@contextmanager
def a_place(state: Path, key: Key, directory: Path) -> Iterator[Place]:
    publish(directory, key)
    with serving(directory) as server:
        asked: list[str] = []
        server.on_request = lambda name: asked.append(f"/{name}")
        yield Place({"POSTROJ_STATE_DIR": str(state)}, state, directory, key, server, asked)
    shutil.rmtree(state / "images/.packages", ignore_errors=True)


@pytest.fixture
def place(state_of_all: Path, key: Key, tmp_path: Path) -> Iterator[Place]:
    with a_place(state_of_all, key, tmp_path) as one:
        yield one


@pytest.fixture(scope="module")
def filled(bookworm: str, postroj: Run, key: Key, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One that has been used, with a state of its own."""
    with without_repositories(bookworm) as state, a_place(state, key, tmp_path_factory.mktemp("filled")) as one:
        probe(postroj, one)
        yield one


def publish(directory: Path, key: Key, version: str = "1.0") -> None:
    if not (directory / _LIBRARY[1:]).exists():
        debs.build(directory, "vendor-lib", service=None)
    needs = {"Depends": "vendor-lib", "Version": version}
    name = f"vendor_{version}_all.deb"
    debs.build(
        directory, "vendor", service=None, fields=needs, files={"/usr/share/vendor/version": version}, file_name=name
    )
    for left in directory.glob("tree-of-*"):
        shutil.rmtree(left)
    repositories.make_apt(directory, key)


def probe(postroj: Run, place: Place, *words: str | Path, package: str = "vendor", version: str = "1.0") -> str:
    """Install it, see that it is the repository's, and return what is shown by -vv."""
    checks = [f"--check=file /usr/share/vendor/version content={version}"] if package == "vendor" else []
    done = postroj(*place.words, f"--package={package}", *checks, "-vv", *words, env=place.env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_next_machine_asks_for_nothing_but_freshness(postroj: Run, place: Place) -> None:
    probe(postroj, place)
    assert sorted(place.asked) == sorted(["/InRelease", "/Packages", _LIBRARY, _VENDOR])
    place.asked.clear()
    probe(postroj, place)
    assert place.asked == ["/InRelease"]
    place.asked.clear()
    probe(postroj, place, "--no-cache")
    assert {_LIBRARY, _VENDOR, "/Packages"} <= set(place.asked)


def test_what_is_there_is_no_change_of_the_machine(postroj: Run, place: Place) -> None:
    done = postroj(*place.words, "--package=vendor", "--lifecycle", env=place.env)
    assert done.returncode == 0 and "/var/cache/apt" not in done.stdout, done.stdout + done.stderr


def test_ten_at_once_download_once(place: Place, environment: dict[str, str]) -> None:
    with ExitStack() as stack:
        words = [POSTROJ, *place.words, "--package=vendor"]
        some = [stack.enter_context(started(words, {**environment, **place.env})) for _ in range(10)]
        told = [one.communicate(timeout=300) for one in some]
    assert [one.returncode for one in some] == [0] * 10, told
    assert [place.asked.count(path) for path in ("/Packages", _LIBRARY, _VENDOR)] == [1, 1, 1]


def test_killed_while_it_downloads(
    postroj: Run, place: Place, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Another one waits for it, and goes on; nothing of the first one is left."""
    asked, goes_on = threading.Event(), threading.Event()

    def wait(name: str) -> None:
        if f"/{name}" == _VENDOR and not asked.is_set():
            asked.set()
            goes_on.wait(60)

    place.server.on_request = wait
    words = [POSTROJ, *place.words, "--package=vendor"]
    (temporary := tmp_path_factory.mktemp("temporary")).chmod(0o1777)
    env = {**environment, **place.env, "TMPDIR": str(temporary)}
    with started(words, env) as first, started(words, env) as second:
        assert asked.wait(60)
        first.send_signal(signal.SIGKILL)
        goes_on.set()
        told = second.communicate(timeout=120)
        assert second.returncode == 0, told
    assert postroj("gc").returncode == 0
    assert not list(temporary.iterdir())


def test_repository_changes(postroj: Run, place: Place) -> None:
    probe(postroj, place)
    publish(place.directory, place.key, "2.0")
    (place.directory / _VENDOR[1:]).unlink()
    repositories.make_apt(place.directory, place.key)
    place.asked.clear()
    probe(postroj, place, version="2.0")
    assert "/vendor_2.0_all.deb" in place.asked and _LIBRARY not in place.asked and _VENDOR not in place.asked


def _lies(server: RepositoryServer) -> None:
    server.damaged = (_LIBRARY[1:],)


def _hangs_up(server: RepositoryServer) -> None:
    server.cut = (_LIBRARY[1:],)


def _lies_of_lists(server: RepositoryServer) -> None:
    server.damaged = ("Packages",)


@pytest.mark.parametrize("fault", [_lies, _hangs_up, _lies_of_lists])
def test_repository_is_broken_for_a_while(
    postroj: Run, place: Place, fault: Callable[[RepositoryServer], None]
) -> None:
    fault(place.server)
    done = postroj(*place.words, "--package=vendor", env=place.env)
    assert done.returncode == 3 and "NO VERDICT" in done.stdout, done.stdout + done.stderr
    place.server.damaged = place.server.cut = ()
    probe(postroj, place)


def _cut(place: Place) -> None:
    file = place.file(f"var/cache/apt/archives{_VENDOR}")
    file.write_bytes(file.read_bytes()[:-9])


def _alter(place: Place) -> None:
    file = place.file(f"var/cache/apt/archives{_VENDOR}")
    file.write_bytes(file.read_bytes()[:-9] + b"different")


def _remove(place: Place) -> None:
    place.file(f"var/cache/apt/archives{_VENDOR}").unlink()


def _link(place: Place) -> None:
    file = place.file(f"var/cache/apt/archives{_VENDOR}")
    file.unlink()
    file.symlink_to("/etc/passwd")


def _add(place: Place) -> None:
    place.file("var/lib/apt/lists").joinpath("another").write_text("more")


def _make_older(place: Place) -> None:
    seal = place.file("").parent / "seal"
    seal.write_text(seal.read_text().replace('"format": ', '"format": -'))


def _cut_seal(place: Place) -> None:
    seal = place.file("").parent / "seal"
    seal.write_text(seal.read_text()[:-99])


@pytest.mark.parametrize("damage", [_cut, _alter, _remove, _link, _add, _make_older, _cut_seal])
def test_damaged_cache_is_replaced(postroj: Run, filled: Place, damage: Callable[[Place], None]) -> None:
    before = filled.files()
    damage(filled)
    filled.asked.clear()
    probe(postroj, filled)
    assert _VENDOR in filled.asked
    assert before.keys() == filled.files().keys()


def test_full_disk(postroj: Run, place: Place) -> None:
    place.kept.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", place.kept], check=True)
    try:
        assert "No space left on device" in probe(postroj, place)
    finally:
        subprocess.run(["umount", place.kept], check=True)


def test_packages_that_are_too_much_for_the_cache(postroj: Run, place: Place) -> None:
    """The guest downloads them, and has the lists of the cache all the same."""
    debs.build(place.directory, "vendor-lib", service=None, payload=os.urandom(9 << 20), compression="none")
    publish(place.directory, place.key)
    told = probe(postroj, place, "--cache-size=8M")
    assert "packages are not in the cache: vendor-lib_1.0_all.deb is too large" in told
    probe(postroj, place, "--cache-size=8M")
    assert place.asked.count("/Packages") == 1
    assert not [name for name in place.files() if name.endswith(".deb")]


def test_prune(postroj: Run, place: Place) -> None:
    probe(postroj, place)
    for words, told in ((["--dry-run"], "would remove packages "), ([], "removed packages ")):
        done = postroj("image", "prune", *words, env=place.env)
        assert done.returncode == 0 and told in done.stdout, done.stdout + done.stderr
    assert not list(place.kept.iterdir())


_ALTER = """
for file in archives/*.deb; do cp evil "$file"; done
"""
_ALTER_LISTS = """
sed -i s/vendor-lib/evil/ lists/*_*
"""
_PLANT = """
rm -rf archives/* lists/*
ln -s /etc/shadow archives/vendor_1.0_all.deb
mkfifo archives/vendor-lib_1.0_all.deb lists/fifo
truncate -s 1T archives/evil_1.0_all.deb lists/evil_Packages
mkdir -p lists/deep/deep archives/vendor_2.0_all.deb
ln -s / lists/root
mknod archives/device_1.0_all.deb c 1 3 || true
"""
_INJECT = """
cp evil archives/vendor_9.0_all.deb
for file in lists/*_Packages; do
    sed "s/^Version: .*/Version: 9.0/; s/^Size: .*/Size: $(stat -c %s evil)/
        s/^SHA256: .*/SHA256: $(sha256sum evil | cut -d ' ' -f 1)/" "$file" >new
    cat new >>"$file"
done
"""
_REMOUNT = """
mount -o remount,rw / || true
mount -o remount,rw,lowerdir=/tmp / || true
for id in $(cut -d ' ' -f 5 /proc/self/mountinfo); do mount -o remount,rw "$id" || true; done
find / -xdev -name '*.deb' -exec sh -c 'cat evil >"$1"' sh {} \\;
mkdir m && mount --bind / m && for file in m/var/cache/apt/archives/*.deb; do cp evil "$file"; done || true
"""
_SWAP = """
cat >/usr/local/bin/swap <<'END'
cd /var/cache/apt
while :; do
    for file in archives/*.deb lists/*; do cp evil new; mv new "$file"; done
done
END
systemd-run --quiet sh /usr/local/bin/swap
"""


_NAMES = ["packages", "lists", "special files", "a higher version", "remounts", "files that change"]


@pytest.mark.parametrize("attempt", [_ALTER, _ALTER_LISTS, _PLANT, _INJECT, _REMOUNT, _SWAP], ids=_NAMES)
def test_guest_writes_what_it_likes(postroj: Run, filled: Place, tmp_path: Path, attempt: str) -> None:
    """Its root, by a package's script: the next machine installs what the repository has, and asks for nothing else."""
    before = filled.files()
    script = f"set -x; cd /var/cache/apt; ln -s ../../lib/apt/lists lists; echo evil >evil\n{attempt}\ntouch /evil"
    evil = debs.build(tmp_path, "evil", service=None, postinst=script, fields={"Depends": "vendor"})
    probe(postroj, filled, "--check=file /evil", package=str(evil))
    filled.asked.clear()
    probe(postroj, filled)
    assert filled.files() == before
    assert set(filled.asked) == {"/InRelease"}
