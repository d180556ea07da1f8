"""Where an image comes from, as it is written: what is taken, and what is told of what is not."""

import os
from pathlib import Path

import pytest

from postroj.errors import UsageError
from postroj.image import source
from postroj.image.names import is_name
from postroj.image.oci import _without_tag
from postroj.image.source import BOOTSTRAP, DIRECTORY, OCI, TARBALL, Bootstrap, Source, parse, parse_platform

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory of its own, which is the home directory too."""
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.setenv("HOME", str(directory))
    return directory


@pytest.mark.parametrize(
    ("text", "kind", "location"),
    [
        ("bootstrap:sid", BOOTSTRAP, "sid"),
        ("docker://debian", OCI, "docker://debian"),
        ("docker://localhost:5000/a/b:1.0-x", OCI, "docker://localhost:5000/a/b:1.0-x"),
        ("docker://[::1]:5000/a", OCI, "docker://[::1]:5000/a"),
        ("oci:/x/layout:tag", OCI, "oci:/x/layout:tag"),
        ("docker-archive:/x.tar:name:tag", OCI, "docker-archive:/x.tar:name:tag"),
        ("https://example.org/x.tar.xz", TARBALL, "https://example.org/x.tar.xz"),
        (f"http://[::1]:80/x.tar#sha256={HEX}", TARBALL, f"http://[::1]:80/x.tar#sha256={HEX}"),
        ("https://example.org/x.tar#sha256sums=S", TARBALL, "https://example.org/x.tar#sha256sums=S"),
        ("/nowhere/x.tar", TARBALL, "/nowhere/x.tar"),
        ("/nowhere//a/../x.tar", TARBALL, "/nowhere/x.tar"),
        ("/nowhere/x#1.tar", TARBALL, "/nowhere/x#1.tar"),
        (f"/nowhere/x.tar#sha256={HEX}", TARBALL, f"/nowhere/x.tar#sha256={HEX}"),
        ("/nowhere/x.tar#sha256sums=../../S", TARBALL, "/nowhere/x.tar#sha256sums=../../S"),
        ("/nowhere/é b\n.tar", TARBALL, "/nowhere/é b\n.tar"),
        ("/", DIRECTORY, "/"),
    ],
)
def test_sources(text: str, kind: str, location: str) -> None:
    assert parse(text) == Source(kind, location)
    assert source.is_reference(text)
    assert parse(str(parse(text))) == parse(text)


@pytest.mark.parametrize(
    ("text", "kind", "location"),
    [
        (".", DIRECTORY, ""), ("..", DIRECTORY, "/.."), ("~/d", DIRECTORY, "/d"), ("./d/", DIRECTORY, "/d"),
        ("./x.tar", TARBALL, "/x.tar"), ("../x.tar", TARBALL, "/../x.tar"), ("~/x.tar", TARBALL, "/x.tar"),
        ("oci:d:tag", OCI, "oci:/d:tag"), ("oci:~/d", OCI, "oci:/d"),
        ("oci-archive:./x.tar", OCI, "oci-archive:/x.tar"),
    ],
)  # fmt: skip
def test_paths_are_absolute(here: Path, text: str, kind: str, location: str) -> None:
    (here / "d").mkdir()
    transport, _, path = location.rpartition(":/")
    if kind == OCI:
        assert parse(text) == Source(OCI, f"{transport}:{here}/{path}")
    else:
        assert parse(text) == Source(kind, os.path.abspath(f"{here}{location}"))


def test_a_directory_has_no_checksum(here: Path) -> None:
    assert parse(f"{here}#sha256={HEX}").kind == TARBALL


def test_a_digest_is_no_part_of_the_place() -> None:
    found = parse(f"docker://h:1/a:tag@{DIGEST}")
    assert found == Source(OCI, "docker://h:1/a:tag", digest=DIGEST)
    assert str(found) == "docker://h:1/a:tag"


def test_what_mmdebstrap_is_told_besides_the_suite_is_for_it_alone() -> None:
    more = Bootstrap(components=("main",))
    assert parse("bootstrap:sid", more).bootstrap == more
    assert parse("docker://x", more).bootstrap == parse("/x", more).bootstrap == Bootstrap()


HOSTILE = [
    "", "x", "debian-12", "-", "--help", "-o/etc/passwd", "docker:x", "DOCKER://x", "Docker://x", "file:///x", "ftp://h/x",
    "containers-storage:x", "dir:/x", "docker-daemon:x:y", "ostree:x", "sif:/x", "atomic:x", "tarball:/x",
    "bootstrap:", "bootstrap:-o", "bootstrap:--mode=root", "bootstrap:sid bookworm", "bootstrap:sid\n", "bootstrap:SID",
    "bootstrap:../x", "bootstrap:/x", "bootstrap:é", "bootstrap:" + "x" * 50, "bootstrap:\u0455id",
    "docker://", "docker://-x", "docker://--help", "docker://x y", "docker://x\n", "docker://x\ny", "docker://x\0",
    "docker://é", "docker://\u0445", "docker://x'", "docker://x;id", "docker://$(id)", "docker://x`id`", "docker://x#y",
    "docker://" + "x" * 500, "docker://x@", "docker://x@tag", f"docker://x@{DIGEST[:-1]}", f"docker://x@{DIGEST}0",
    f"docker://x@{DIGEST.upper()}", f"docker://x@{DIGEST}\n", f"docker://x@@{DIGEST}", f"docker://x@{DIGEST}@{DIGEST}",
    "docker://user:secret@registry.example/x", f"docker://user:secret@h/x@{DIGEST}",
    "oci:", "oci:-x", "oci:/x y", "oci:/x\n", f"oci:/x@{DIGEST}", "oci-archive:", "docker-archive:--x",
    "http://", "http:///x", "https://h/x y", "https://h/x\n", "https://h/é", "https://h:0/x", "https://h..i/x",
    "https://h/x#md5=1", f"https://h/x#{HEX}", "https://user:secret@h/x.tar", "https://user@h/x.tar",
    "~user/x", "x/y", ".x", "...",
]  # fmt: skip
CHECKSUMS = [
    "sha256=", "sha256=0", "sha256=" + "g" * 64, f"sha256={HEX}0", f"sha256={HEX}\n", "sha256=" + "\uff11" * 64,
    "sha256sums=",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:60])
def test_no_sources(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.hint or text.startswith(("bootstrap:", "http"))
    assert len(caught.value.what) < 300
    assert "secret" not in caught.value.what + caught.value.hint, "it would stand in the log of a test run"


@pytest.mark.parametrize("place", ["https://h/x.tar", "http://h/x.tar", "/x.tar", "./x.tar"])
@pytest.mark.parametrize("checksum", CHECKSUMS, ids=ascii)
def test_a_checksum_that_is_none_is_not_taken_for_one_that_is_not_needed(place: str, checksum: str) -> None:
    with pytest.raises(UsageError, match="is not a checksum") as caught:
        parse(f"{place}#{checksum}")
    assert "64 hexadecimal digits" in caught.value.hint


@pytest.mark.parametrize(
    ("location", "plain", "fragment"),
    [
        ("/x.tar", "/x.tar", ""), ("/x#1.tar", "/x#1.tar", ""), ("/x#1.tar#sha256=0", "/x#1.tar", "sha256=0"),
        ("/x.tar#sha256sums=a/b", "/x.tar", "sha256sums=a/b"), ("/x#sha512=0", "/x#sha512=0", ""),
        ("#sha256=0", "#sha256=0", ""), ("/x#SHA256=0", "/x#SHA256=0", ""), ("/x#sha256", "/x#sha256", ""),
        ("/x#sha256=0#sha256=1", "/x#sha256=0", "sha256=1"), ("/x#sha256=", "/x", "sha256="), ("", "", ""),
    ],
)  # fmt: skip
def test_a_checksum_is_split_off(location: str, plain: str, fragment: str) -> None:
    assert source.split_checksum(location) == (plain, fragment)


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("amd64", "amd64"), ("linux/arm64", "arm64"), ("arm/v7", "arm/v7"), ("linux/arm/v7", "arm/v7"),
        ("linux/arm64/v8", "arm64/v8"), ("ppc64le", "ppc64le"), ("386", "386"),
    ],
)  # fmt: skip
def test_platforms(text: str, platform: str) -> None:
    assert parse_platform(text) == platform


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "linux/", "/amd64", "windows/amd64", "darwin/arm64", "amd64/", "arm/7", "arm/v", "arm/v7/x", "AMD64",
        "--x", "-", "amd64\n", "amd 64", "amd64\0", "../..", "..", "é", "\u0661", "arm/v\u0661", "x" * 10_000,
        "arm/v" + "1" * 10_000, "linux/linux/amd64",
    ],
    ids=lambda text: ascii(text)[:30],
)  # fmt: skip
def test_no_platforms(text: str) -> None:
    with pytest.raises(UsageError, match="is not a platform") as caught:
        parse_platform(text)
    assert len(caught.value.what) < 200


@pytest.mark.parametrize("text", ["a", "0", "debian-12", "alpine-3.20", "a-", "a.b", "x" * 63])
def test_names(text: str) -> None:
    assert is_name(text) and not source.is_reference(text)


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", ".x", "-x", "--help", "A", "a b", "a_b", "a/b", "a/../b", "../a", "a\n", "\na", "a\0", "é",
        "\u0430", "\u0661", "a:b", "a@b", "a~", "x" * 64, "x" * 100_000, "\udce9",
    ],
    ids=lambda text: ascii(text)[:20],
)  # fmt: skip
def test_no_names(text: str) -> None:
    assert not is_name(text)


@pytest.mark.parametrize(
    "text", ["", "sha256:", HEX, f"sha512:{HEX * 2}", f"SHA256:{HEX}", f"{DIGEST}0", f"{DIGEST}\n", DIGEST.upper()]
)
def test_no_digests(text: str) -> None:
    assert source.is_digest(DIGEST) and not source.is_digest(text)


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("docker://x", "docker://x"), ("docker://x:1", "docker://x"), ("docker://h:5000/x", "docker://h:5000/x"),
        ("docker://h:5000/x:1", "docker://h:5000/x"), ("docker://[::1]:5000/a/b:1", "docker://[::1]:5000/a/b"),
        ("docker://h/a.b/c-d:e_f", "docker://h/a.b/c-d"),
    ],
)  # fmt: skip
def test_a_tag_is_taken_off(text: str, without: str) -> None:
    assert _without_tag(text) == without


@pytest.mark.parametrize("text", ["bootstrap:sid", "docker://x", "https://h/x.tar"])
def test_what_is_remote_is_no_file_and_looks_like_nothing(text: str) -> None:
    found = parse(text)
    assert found.is_remote and found.path == "" and found.stamp() == ""


@pytest.mark.parametrize(
    "form", ["{}", "{}#sha256sums=S", "oci-archive:{}", "oci-archive:{}:tag", "docker-archive:{}:name:tag"]
)
def test_a_local_file_that_has_changed_looks_different(here: Path, form: str) -> None:
    file = here / "x.tar"
    found = parse(form.format(file))
    assert not found.is_remote and found.path == str(file)
    assert found.stamp() == "missing"
    file.write_text("a")
    first = found.stamp()
    assert first not in ("missing", "") and found.stamp() == first
    file.write_text("ab")
    assert found.stamp() != first


@pytest.mark.parametrize("form", ["oci:{}", "oci:{}:tag"])
def test_a_layout_that_has_changed_looks_different(here: Path, form: str) -> None:
    found = parse(form.format(here / "layout"))
    assert found.stamp() == "missing"
    (here / "layout").mkdir()
    index = here / "layout/index.json"
    index.write_text("{}")
    first = found.stamp()
    index.write_text("{ }")
    assert found.stamp() != first


@pytest.mark.parametrize("change", ["new", "gone", "content", "mode", "link"])
def test_a_directory_that_has_changed_looks_different(here: Path, change: str) -> None:
    for name in ("a", "b/c", "b/é\n"):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text("x")
    (here / "link").symlink_to("a")
    found = parse(str(here))
    first = found.stamp()
    assert found.kind == DIRECTORY and found.stamp() == first
    if change == "new":
        (here / "b/d").touch()
    elif change == "gone":
        (here / "a").unlink()
    elif change == "content":
        (here / "b/c").write_text("y")
    elif change == "mode":
        (here / "b/é\n").chmod(0o600)
    else:
        (here / "link").unlink()
        (here / "link").symlink_to("b")
    assert found.stamp() != first
