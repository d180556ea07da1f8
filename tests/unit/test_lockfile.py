"""postroj.lock: what is written is read again, and what cannot be is told with the file's name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from postroj.errors import UsageError
from postroj.image import lockfile, store
from postroj.image.lockfile import Locked
from postroj.image.store import Image

from .trees import RECORD

DIGEST = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64
GOOD = f'[[image]]\nname = "a"\nreference = "docker://x"\ndigest = "{DIGEST}"\n'


def image(name: str, reference: str = "docker://x", digest: str = DIGEST) -> Image:
    return Image(**{**RECORD, "name": name, "root": "/x", "size": 1, "reference": reference, "digest": digest})  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "postroj.lock"


REFERENCES = [
    "docker://localhost:5000/a/b:tag", "bootstrap:sid", "https://h/x.tar.xz?a=b&c", "oci:/x/layout:tag", "/x y/é'.tar",
    f"/x.tar#sha256={'a' * 64}", "/x.tar#sha256sums=../S", "/" + "x" * 900, "/[[image]]", "/# comment",
]  # fmt: skip


@pytest.mark.parametrize("reference", REFERENCES)
def test_what_is_written_is_read_again(path: Path, reference: str) -> None:
    lockfile.write(str(path), [image("b", reference), image("a-1.0")])
    assert lockfile.read(str(path)) == [Locked("a-1.0", "docker://x", DIGEST), Locked("b", reference, DIGEST)]
    assert [child.name for child in path.parent.iterdir()] == [path.name]


def test_it_is_written_the_same_whatever_the_locale(path: Path) -> None:
    script = f"from tests.unit.test_lockfile import *; lockfile.write({str(path)!r}, [image('a', '/\\xe9')])"
    env = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-c", script], env=env, cwd=Path(__file__).parents[2], check=True)
    assert "/é".encode() in path.read_bytes()


def test_what_else_it_names_stays(path: Path) -> None:
    lockfile.write(str(path), [image("a"), image("b")])
    lockfile.write(str(path), [image("b", digest=OTHER), image("c")])
    assert {one.name: one.digest for one in lockfile.read(str(path))} == {"a": DIGEST, "b": OTHER, "c": DIGEST}
    before = path.read_text()
    lockfile.write(str(path), [])
    assert path.read_text() == before


def test_the_order_of_pulls_makes_no_difference(path: Path, tmp_path: Path) -> None:
    lockfile.write(str(path), [image("b"), image("a")])
    lockfile.write(str(tmp_path / "other"), [image("a"), image("b")])
    assert path.read_text() == (tmp_path / "other").read_text()


def test_an_empty_one_names_nothing(path: Path) -> None:
    lockfile.write(str(path), [])
    assert lockfile.read(str(path)) == []


@pytest.mark.parametrize("reference", ["", '/a"b', "/a\\b", "/a\nb", "/a\0b", "/\x7f", "/\udce9", "/" + "x" * 1000])
def test_a_reference_that_cannot_be_written_leaves_it_as_it_was(path: Path, reference: str) -> None:
    lockfile.write(str(path), [image("a")])
    before = path.read_text()
    with pytest.raises(UsageError, match=f"the reference of b cannot be written into {path}"):
        lockfile.write(str(path), [image("b", reference)])
    assert path.read_text() == before
    assert [child.name for child in path.parent.iterdir()] == [path.name]


def test_a_broken_one_is_not_written_over(path: Path) -> None:
    path.write_text("broken")
    with pytest.raises(UsageError):
        lockfile.write(str(path), [image("a")])
    assert path.read_text() == "broken"


def test_one_that_is_not_there(path: Path) -> None:
    with pytest.raises(UsageError, match=f"there is no {path}") as caught:
        lockfile.read(str(path))
    assert "postroj pull --lock" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("broken = \n", "cannot be read: .*line 1"),
        ("x = '\udcff'", "cannot be read"),
        ("image = 1", "only ..image.. tables"),
        ("[image]\nname = 'a'", "only ..image.. tables"),
        ("version = 1\n" + GOOD, "only ..image.. tables"),
        (GOOD + "[more]", "only ..image.. tables"),
        ("image = [1]", "image 1 does not have name, reference, digest"),
        (GOOD + "[[image]]\nname = 'b'", "image 2 does not have name, reference, digest"),
        (GOOD + "more = 1", "image 1 does not have name, reference, digest, and these alone"),
        (GOOD.replace('"a"', "1"), "image 1 does not have"),
        (GOOD.replace(DIGEST, "latest"), "image 1 has an invalid digest: 'latest'"),
        (GOOD.replace(DIGEST, DIGEST.upper()), "image 1 has an invalid digest"),
        (GOOD.replace(DIGEST, "x" * 9999), "image 1 has an invalid digest"),
        (GOOD + GOOD.replace('"a"', '"../a"'), "image 2 has an invalid name: '../a'"),
        (GOOD.replace('"a"', '"-o"'), "image 1 has an invalid name: '-o'"),
        (GOOD.replace("docker://x", "docker:x"), "image 1: 'docker:x' is not a source"),
        (GOOD.replace("docker://x", "docker://--help"), "image 1: 'docker://--help' is not an image reference"),
        (GOOD.replace("docker://x", "bootstrap:-o"), "image 1: '-o' cannot be a suite"),
    ],
)
def test_what_cannot_be_is_told_with_the_files_name(path: Path, text: str, what: str) -> None:
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(UsageError, match=f"^{path}:? {what}") as caught:
        lockfile.read(str(path))
    assert len(caught.value.what) < len(str(path)) + 300


@pytest.mark.parametrize("written", ["linux/arm64", "arm64"])
def test_a_platform_may_be_written_as_on_the_command_line(path: Path, written: str) -> None:
    path.write_text(GOOD + f'platform = "{written}"\n')
    assert lockfile.read(str(path))[0].platform == "arm64"


def test_a_directory_is_no_lock_file(path: Path) -> None:
    path.mkdir()
    with pytest.raises(UsageError, match=f"{path} cannot be read"):
        lockfile.read(str(path))


def test_a_lock_file_says_what_a_record_has() -> None:
    assert set(Locked._fields) < set(store.Image._fields)


def test_a_link_that_somebody_has_put_beside_it_is_not_written_through(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("of another user")
    for ending in ("new", "part"):
        (tmp_path / f"postroj.lock.{ending}").symlink_to(other)
    path = tmp_path / "postroj.lock"
    lockfile.write(str(path), [image("a")])
    assert [one.name for one in lockfile.read(str(path))] == ["a"]
    assert other.read_text() == "of another user"
