"""The package cache with the real package managers of other families than apt, which test_cache.py is about."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import vendors
from moments import started
from reposerver import RepositoryServer, serving
from repositories import Key, signing_key
from support import POSTROJ, Run

pytestmark = pytest.mark.once

_ALL = ("dnf", "dnf5", "yum", "zypper", "pacman")
_some = pytest.mark.parametrize("place_of_all", ["dnf5", "pacman"], indirect=True)
"""For what is the same code for all: a family of RPM packages, and the one that has signatures beside them."""

_SUFFIXES = (".rpm", ".pkg.tar.zst")
_CHECKED = {"pacman": {"ours.db"}}
"""What is asked for to know whether lists are up to date."""


class Place(NamedTuple):
    """An image of a family, and a repository that is added to it: `vendor`, which needs `vendor-lib`."""

    family: str
    state: Path
    tree: Path
    directory: Path
    key: Key
    server: RepositoryServer
    asked: list[str]

    @property
    def env(self) -> dict[str, str]:
        return {"POSTROJ_STATE_DIR": str(self.state)}

    @property
    def words(self) -> list[str]:
        repository = (
            f"--repo={vendors.repository_words(self.family, self.server.url)}",
            f"--repo-key={self.key.public}",
        )
        return ["pkgprobe", f"--image={self.family}", "--network=host", "--stay-active=0", *repository]

    @property
    def kept(self) -> Path:
        return self.state / "images/.packages"

    @property
    def checked(self) -> set[str]:
        return _CHECKED.get(self.family, {"repomd.xml"})

    @property
    def packages(self) -> list[str]:
        """The names of the packages' files that were asked for, in order."""
        return sorted(name for name in self.asked if name.endswith(_SUFFIXES))

    def root(self) -> Path:
        (found,) = self.kept.glob("*/current/root")
        return found

    def files(self) -> dict[str, str]:
        """The files of the cache with their checksums."""
        root = self.root()
        found = [path for path in root.rglob("*") if path.is_file()]
        return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}

    def file(self, name: str) -> Path:
        """The one file of the cache whose name begins and ends as a package's does."""
        (found,) = [path for path in self.root().rglob(f"{name}-[0-9]*") if path.name.endswith(_SUFFIXES)]
        return found

    def publish(self, version: str) -> None:
        vendors.make(self.family, self.directory, self.key, self.tree, version=version)


@pytest.fixture(scope="module")
def key() -> Iterator[Key]:
    with signing_key("vendor") as one:
        yield one


@contextmanager
def a_place(family: str, postroj: Run, key: Key, directory: Path) -> Iterator[Place]:
    with vendors.standin_image(family, postroj) as (state, tree), serving(directory) as server:
        asked: list[str] = []
        server.on_request = asked.append
        one = Place(family, state, tree, directory, key, server, asked)
        one.publish("1.0.0")
        yield one


@pytest.fixture(scope="module", params=_ALL)
def place_of_all(
    request: pytest.FixtureRequest, postroj: Run, key: Key, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    family: str = request.param
    with a_place(family, postroj, key, tmp_path_factory.mktemp(f"cache-{family}")) as one:
        yield one


@pytest.fixture
def place(place_of_all: Place) -> Iterator[Place]:
    """With an empty cache, and the first version of the repository."""
    shutil.rmtree(place_of_all.kept, ignore_errors=True)
    server = place_of_all.server
    server.damaged = server.cut = ()
    server.on_request = place_of_all.asked.append
    if not list(place_of_all.directory.glob("vendor-1.0.0-*")):
        place_of_all.publish("1.0.0")
    place_of_all.asked.clear()
    yield place_of_all


@pytest.fixture
def filled(postroj: Run, place: Place) -> Place:
    """With a cache that has been used."""
    probe(postroj, place)
    place.asked.clear()
    return place


def probe(postroj: Run, place: Place, *words: str, version: str = "1.0.0") -> None:
    """Install it, and see that it is the repository's."""
    check = f"--check=file /usr/share/vendor/version content={version}"
    done = postroj(*place.words, "--package=vendor", check, "-vv", *words, env=place.env)
    assert done.returncode == 0, done.stdout + done.stderr


def test_next_machine_asks_for_nothing_but_freshness(postroj: Run, place: Place) -> None:
    probe(postroj, place)
    assert len(place.packages) == len(set(place.packages)) == 2, place.asked
    place.asked.clear()
    probe(postroj, place)
    assert set(place.asked) == place.checked and len(place.asked) == 1
    place.asked.clear()
    probe(postroj, place, "--no-cache")
    assert len(place.packages) == 2


def test_repository_changes(postroj: Run, filled: Place) -> None:
    filled.publish("2.0.0")
    probe(postroj, filled, version="2.0.0")
    assert [name.partition("-1")[0] for name in filled.packages] == ["vendor-2.0.0"]
    assert "2.0.0" in filled.file("vendor").name
    filled.asked.clear()
    probe(postroj, filled, version="2.0.0")
    assert filled.asked == [*filled.checked]


# But for what the package manager notes of its own run, without which it fails itself
_FIND = "find /var/cache /var/lib/pacman/sync ! -type d ! -name '*.toml' ! -name '*.json'"
_ALTER = f"""
{_FIND} | while read -r file; do echo evil >"$file"; touch -d @1600000000 "$file"; done
"""
_PLANT = f"""
{_FIND} '(' -name '*.rpm' -o -name '*.zst' -o -name '*.xml' -o -name '*.db' ')' | while read -r file; do
    rm "$file"
    ln -s /etc/shadow "$file"
    mkfifo "${{file%/*}}/vendor-3.0.0-1.x86_64.rpm" || true
    cp /etc/passwd "${{file%/*}}/vendor-2.0.0-1.x86_64.rpm"
    cp /etc/passwd "${{file%/*}}/vendor-2.0.0-1-x86_64.pkg.tar.zst"
done
mkdir -p /var/cache/dnf/postroj-1-0123456789abcdef/packages /var/cache/zypp/packages/other
cp /etc/passwd /var/cache/dnf/postroj-1-0123456789abcdef/packages/vendor-1.0.0-1.x86_64.rpm
cp /etc/passwd /var/cache/zypp/packages/other/vendor-1.0.0-1.x86_64.rpm
"""
_REMOUNT = f"""
mount -o remount,rw / || true
mkdir /m && mount --bind / /m
{_FIND} | while read -r file; do echo evil >"/m$file"; done
"""


@pytest.mark.parametrize("attempt", [_ALTER, _PLANT, _REMOUNT], ids=["all files", "special files", "remounts"])
def test_guest_writes_what_it_likes(postroj: Run, filled: Place, tmp_path: Path, attempt: str) -> None:
    """Its root, by a package's script: the next machine installs what the repository has, and asks for nothing else."""
    before = filled.files()
    evil = vendors.build(filled.family, tmp_path, "evil", ["vendor"], post=f"set -x\n{attempt}\ntouch /evil")
    done = postroj(*filled.words, f"--package={evil}", "--check=file /evil", "-vv", env=filled.env)
    # It may break its own pacman
    assert "ok   file /evil" in done.stdout or "+ touch /evil" in done.stderr, done.stdout + done.stderr
    filled.asked.clear()
    probe(postroj, filled)
    assert filled.files() == before
    assert filled.asked == [*filled.checked]


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def _alter(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9] + b"different")


@_some
@pytest.mark.parametrize("damage", [_cut, _alter, Path.unlink])
def test_damaged_cache_is_replaced(postroj: Run, filled: Place, damage: Callable[[Path], None]) -> None:
    before = filled.files()
    damage(filled.file("vendor"))
    probe(postroj, filled)
    assert len(filled.packages) == 2
    assert before.keys() == filled.files().keys()


def _lies(server: RepositoryServer) -> None:
    server.damaged = _SUFFIXES


def _hangs_up(server: RepositoryServer) -> None:
    server.cut = _SUFFIXES


@pytest.mark.parametrize("fault", [_lies, _hangs_up])
def test_repository_is_broken_for_a_while(
    postroj: Run, place: Place, fault: Callable[[RepositoryServer], None]
) -> None:
    """Nothing of it is kept."""
    if place.family == "zypper" and fault is _hangs_up:
        pytest.skip("zypper tries again for two minutes")
    fault(place.server)
    done = postroj(*place.words, "--package=vendor", env=place.env)
    assert done.returncode == 3 and "NO VERDICT" in done.stdout, done.stdout + done.stderr
    assert not [name for name in place.files() if name.endswith(_SUFFIXES)]
    place.server.damaged = place.server.cut = ()
    probe(postroj, place)


@_some
def test_ten_at_once_download_once(place: Place, environment: dict[str, str]) -> None:
    with ExitStack() as stack:
        words = [POSTROJ, *place.words, "--package=vendor"]
        some = [stack.enter_context(started(words, {**environment, **place.env})) for _ in range(10)]
        told = [one.communicate(timeout=600) for one in some]
    assert [one.returncode for one in some] == [0] * 10, told
    assert len(place.packages) == len(set(place.packages)) == 2


def test_what_is_there_is_no_change_of_the_machine(postroj: Run, filled: Place) -> None:
    """The package manager removes packages from its cache when they are installed."""
    allowed = "--allow=left-after-remove"  # directories, which nfpm's packages do not own
    done = postroj(*filled.words, "--package=vendor", "--lifecycle", allowed, "-v", env=filled.env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "/var/cache" not in done.stdout


_METALINK = """<?xml version="1.0" encoding="utf-8"?>
<metalink version="3.0" xmlns="http://www.metalinker.org/" type="dynamic" generator="mirrormanager"
 xmlns:mm0="http://fedorahosted.org/mirrormanager">
 <files>
  <file name="repomd.xml">
   <mm0:timestamp>1700000000</mm0:timestamp>
   <size>{size}</size>
   <verification><hash type="sha256">{sha256}</hash></verification>
   <mm0:alternates><mm0:alternate>
     <mm0:timestamp>1600000000</mm0:timestamp>
     <size>{size}</size>
     <verification><hash type="sha256">{older}</hash></verification>
   </mm0:alternate></mm0:alternates>
   <resources maxconnections="1">
    <url protocol="http" type="http" location="US" preference="100">{url}/repodata/repomd.xml</url>
   </resources>
  </file>
 </files>
</metalink>
"""


def _offer_metalink(place: Place, older: str = "0" * 64) -> str:
    index = (place.directory / "repodata/repomd.xml").read_bytes()
    told = _METALINK.format(
        size=len(index), sha256=hashlib.sha256(index).hexdigest(), older=older, url=place.server.url
    )
    (place.directory / "metalink").write_text(told)
    return "metalink"


def _offer_mirrors(place: Place, older: str = "") -> str:
    (place.directory / "mirrorlist").write_text(f"{place.server.url}\n{place.server.url}/other\n")
    return "mirrorlist"


@pytest.mark.parametrize("family", ["dnf", "dnf5"])
def test_mirrors(postroj: Run, key: Key, tmp_path: Path, family: str) -> None:
    """Of what is told by a metalink, and the first of a list."""
    with a_place(family, postroj, key, tmp_path) as place:
        for offer, checked in ((_offer_metalink, "metalink"), (_offer_mirrors, "repomd.xml")):
            shutil.rmtree(place.kept, ignore_errors=True)
            place.publish("1.0.0")
            way = offer(place)
            text = f"[mirrored]\nname=mirrored\n{way}={place.server.url}/{way}\nenabled=1\ngpgcheck=0\n"
            (place.state / "images" / family / "etc/yum.repos.d/mirrored.repo").write_text(text)
            words = ["pkgprobe", f"--image={family}", "--network=host", "--stay-active=0", "--package=vendor"]
            for version in ("1.0.0", "1.0.0", "2.0.0", "2.0.0"):
                older = hashlib.sha256((place.directory / "repodata/repomd.xml").read_bytes()).hexdigest()
                if not list(place.directory.glob(f"vendor-{version}-*")):
                    place.publish(version)
                    offer(place, older)
                place.asked.clear()
                check = f"--check=file /usr/share/vendor/version content={version}"
                done = postroj(*words, check, env=place.env)
                assert done.returncode == 0, done.stdout + done.stderr
            assert place.asked == [checked]


def test_another_place_for_the_cache(postroj: Run, key: Key, tmp_path: Path) -> None:
    """Nothing is found then, and not looked for again."""
    with a_place("dnf", postroj, key, tmp_path) as place:
        image = place.state / "images/dnf"
        with (image / "etc/dnf/dnf.conf").open("a") as file:
            file.write("cachedir=/srv/cache\n")
        (image / "var/cache/dnf").rename(image / "srv/cache")
        for updates in (True, False):
            done = postroj(*place.words, "--package=vendor", "-v", env=place.env)
            assert done.returncode == 0, done.stdout + done.stderr
            assert ("updating the package lists of the cache" in done.stderr) is updates
