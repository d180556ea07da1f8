"""What a layer of the package cache takes of what a container has written: nothing that no list names."""

import gzip
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from postroj.cache import take
from postroj.cache.contents import Contents
from postroj.cache.seal import Seal, look
from postroj.cache.shelf import Layer
from postroj.family import load

from .archfile import tar

GOOD = b"a package"
_SHA256 = hashlib.sha256(GOOD).hexdigest()


def _apt(root: Path) -> None:
    text = f"Package: other\nVersion: 1\n\nPackage: a\nVersion: 1:1\nArchitecture: all\nSHA256: {_SHA256}\n"
    (root / "var/lib/apt/lists").mkdir(parents=True)
    (root / "var/lib/apt/lists/x_Packages").write_text(text)


def _rpm(directory: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        place = root / directory
        place.mkdir(parents=True)
        text = (
            f"<m><package><checksum type='sha256'>{_SHA256}</checksum><location href='x86_64/a-1.rpm'/></package></m>"
        )
        (place / "p.xml.gz").write_bytes(gzip.compress(text.encode()))
        checksum = hashlib.sha256((place / "p.xml.gz").read_bytes()).hexdigest()
        parts = f"<checksum type='sha256'>{checksum}</checksum><location href='r/p.xml.gz'/>"
        (place / "repomd.xml").write_text(f"<r><data type='primary'>{parts}</data></r>")

    return make


def _pacman(root: Path) -> None:
    (root / "var/lib/pacman/sync").mkdir(parents=True)
    described = f"%FILENAME%\na-1-1-any.pkg.tar.zst\n\n%SHA256SUM%\n{_SHA256}\n"
    (root / "var/lib/pacman/sync/x.db").write_bytes(gzip.compress(tar(("a-1-1/desc", described))))


class Case(NamedTuple):
    """A family, what makes its lists, and the places of its packages."""

    family: str
    lists: Callable[[Path], None]
    good: str
    bad: tuple[str, ...]
    """Places at which what is in GOOD is not kept."""


_DNF, _DNF5 = "var/cache/dnf/r-0123456789abcdef", "var/cache/libdnf5/r-0123456789abcdef"
_CASES = {
    "apt": Case(
        "apt", _apt, "var/cache/apt/archives/a_1%3a1_all.deb",
        ("var/cache/apt/archives/b_1_all.deb", "var/cache/apt/archives/a_2_all.deb", "var/cache/apt/archives/x"),
    ),
    "dnf": Case(
        "dnf", _rpm(f"{_DNF}/repodata"), f"{_DNF}/packages/a-1.rpm",
        (f"{_DNF}/packages/b-1.rpm", "var/cache/dnf/s-0123456789abcdef/packages/a-1.rpm", f"{_DNF}/packages/x/a-1.rpm"),
    ),
    "dnf5": Case(
        "dnf", _rpm(f"{_DNF5}/repodata"), f"{_DNF5}/packages/a-1.rpm",
        (f"{_DNF5}/packages/b-1.rpm", f"{_DNF}/packages/a-1.rpm"),
    ),
    "zypper": Case(
        "zypper", _rpm("var/cache/zypp/raw/r/repodata"), "var/cache/zypp/packages/r/x86_64/a-1.rpm",
        ("var/cache/zypp/packages/s/a-1.rpm", "var/cache/zypp/packages/r/b-1.rpm"),
    ),
    "pacman": Case(
        "pacman", _pacman, "var/cache/pacman/pkg/a-1-1-any.pkg.tar.zst",
        ("var/cache/pacman/pkg/b-1-1-any.pkg.tar.zst", "var/cache/pacman/pkg/b-1-1-any.pkg.tar.zst.sig"),
    ),
}  # fmt: skip


class Place(NamedTuple):
    """Where lists are, what was written, and the layer that is made of it."""

    image: Path
    upper: Path
    layer: Path

    def write(self, name: str, data: bytes = GOOD) -> Path:
        path = self.upper / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def contents(self, family: str) -> Contents:
        kept = load(family).kept
        assert kept
        return Contents(str(self.layer), str(self.image), kept, 10_000)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(*(tmp_path / name for name in Place._fields))
    for path in (made.image, made.upper, made.layer / "root"):
        path.mkdir(parents=True)
    return made


@pytest.fixture
def opened(place: Place) -> Iterator[int]:
    fd = os.open(place.upper, os.O_PATH)
    yield fd
    os.close(fd)


@pytest.fixture(params=[*_CASES])
def case(request: pytest.FixtureRequest) -> Case:
    return _CASES[request.param]


def test_what_a_list_names_is_taken(place: Place, opened: int, case: Case) -> None:
    case.lists(place.image)
    place.write(case.good)
    contents = place.contents(case.family)
    assert contents.add_packages(opened)
    assert [*contents.files] == [case.good] and (place.layer / "root" / case.good).read_bytes() == GOOD


@pytest.mark.parametrize("data", [b"altered", GOOD[:-1], GOOD + b"x", b""])
def test_what_was_altered_is_not(place: Place, opened: int, case: Case, data: bytes) -> None:
    case.lists(place.image)
    place.write(case.good, data)
    contents = place.contents(case.family)
    assert not contents.add_packages(opened)
    assert not contents.files and not (place.layer / "root" / case.good).exists()


def test_what_has_another_name_is_not(place: Place, opened: int, case: Case) -> None:
    case.lists(place.image)
    for name in case.bad:
        place.write(name)
    contents = place.contents(case.family)
    contents.add_packages(opened)
    assert not contents.files and not [path for path in (place.layer / "root").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "make", [lambda path: path.symlink_to("/etc/passwd"), os.mkfifo, Path.mkdir], ids=["link", "FIFO", "directory"]
)
def test_what_is_no_file_is_not(
    place: Place, opened: int, case: Case, make: Callable[[Path], None], tmp_path: Path
) -> None:
    case.lists(place.image)
    (place.upper / case.good).parent.mkdir(parents=True)
    make(place.upper / case.good)
    contents = place.contents(case.family)
    contents.add_packages(opened)
    assert not contents.files


def test_a_link_to_its_directory_is_not_followed(place: Place, opened: int, case: Case, tmp_path: Path) -> None:
    case.lists(place.image)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / os.path.basename(case.good)).write_bytes(GOOD)
    directory = (place.upper / case.good).parent
    directory.parent.mkdir(parents=True)
    directory.symlink_to(tmp_path / "elsewhere")
    contents = place.contents(case.family)
    contents.add_packages(opened)
    assert not contents.files


def test_lists_that_were_written_with_packages_name_nothing(place: Place, opened: int, case: Case) -> None:
    """Only those that are there before: what is under test may have written these."""
    case.lists(place.upper)
    place.write(case.good)
    contents = place.contents(case.family)
    assert not contents.add_packages(opened) and not contents.files


def test_a_damaged_list(place: Place, opened: int, case: Case) -> None:
    case.lists(place.image)
    for path in place.image.rglob("*"):
        if path.is_file() and path.name != "repomd.xml":
            path.write_bytes(path.read_bytes()[:-30])
    place.write(case.good)
    contents = place.contents(case.family)
    assert not contents.add_packages(opened) and not contents.files


def test_packages_of_another_layer_are_those_that_are_still_named(
    place: Place, opened: int, case: Case, tmp_path: Path
) -> None:
    case.lists(place.upper)
    other = case.bad[0]
    for name in (case.good, other):
        (tmp_path / "old/root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "old/root" / name).write_bytes(GOOD)
    files = {name: look(str(tmp_path / "old/root" / name)) for name in (case.good, other)}
    contents = place.contents(case.family)
    contents.add_lists(opened, None)
    contents.link_packages(Layer(str(tmp_path / "old"), Seal(0.0, files, {}, {})))
    assert case.good in contents.files and other not in contents.files


def test_signatures_come_with_their_packages(place: Place, opened: int) -> None:
    case = _CASES["pacman"]
    case.lists(place.image)
    for name in (case.good, f"{case.good}.sig", *case.bad):
        place.write(name)
    contents = place.contents("pacman")
    contents.add_packages(opened)
    assert {*contents.files} == {case.good, f"{case.good}.sig"}


def test_links_among_lists(place: Place, opened: int) -> None:
    directory = place.upper / "var/cache/zypp/raw/r"
    directory.mkdir(parents=True)
    (directory / ".repo_gpgcheck").symlink_to("./true")
    (directory / "other").symlink_to("/etc/passwd")
    contents = place.contents("zypper")
    contents.add_lists(opened, None)
    assert [*contents.files] == ["var/cache/zypp/raw/r/.repo_gpgcheck"]
    assert os.readlink(place.layer / "root/var/cache/zypp/raw/r/.repo_gpgcheck") == "./true"


def test_too_many_directories(place: Place, opened: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(take, "_MOST_DIRECTORIES", 3)
    for number in range(4):
        (place.upper / f"var/cache/dnf/{number}").mkdir(parents=True)
    with pytest.raises(take.TooMuch, match="more than 3 directories"):
        place.contents("dnf").add_lists(opened, None)
