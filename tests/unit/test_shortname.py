"""Image references as docker takes them."""

from pathlib import Path

import pytest

from postroj import image as images
from postroj.errors import UsageError
from postroj.image import expected_families
from postroj.image.shortname import expand

from .trees import pulled

DIGEST = "sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("debian:bookworm-slim", "docker.io/library/debian:bookworm-slim"),
        ("fedora:43", "docker.io/library/fedora:43"),
        ("ubuntu", "docker.io/library/ubuntu:latest"),
        ("alpine", "docker.io/library/alpine:latest"),
        ("nginx:1.29", "docker.io/library/nginx:1.29"),
        ("grafana/grafana:12.0", "docker.io/grafana/grafana:12.0"),
        ("docker.io/library/debian:12", "docker.io/library/debian:12"),
        ("quay.io/centos/centos:stream9", "quay.io/centos/centos:stream9"),
        ("quay.io/fedora/fedora", "quay.io/fedora/fedora:latest"),
        ("ghcr.io/team/app:v1.2-rc_1", "ghcr.io/team/app:v1.2-rc_1"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("registry:5000/team/app", "registry:5000/team/app:latest"),
        ("127.0.0.1:5000/app", "127.0.0.1:5000/app:latest"),
        (f"debian@{DIGEST}", f"docker.io/library/debian@{DIGEST}"),
        (f"quay.io/a/b@{DIGEST}", f"quay.io/a/b@{DIGEST}"),
    ],
)
def test_short_reference(text: str, reference: str) -> None:
    assert expand(text) == f"docker://{reference}"
    want = images.resolve(text)
    assert [str(one) + (f"@{one.digest}" if one.digest else "") for one in want.sources] == [f"docker://{reference}"]
    assert want.name == images.resolve(f"docker://{reference}").name
    images.check_name(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("debian-bokworm", "did you mean debian-bookworm"),
        ("debian-bookworm:latest", "did you mean debian-bookworm"),
        ("debian-12:latest", "did you mean debian-12"),
        ("bookworm", "did you mean debian-bookworm"),
        ("nginx", "docker://NAME:TAG"),
        ("slackware", "docker://NAME:TAG"),
        ("team/app", "docker://NAME:TAG"),
        ("docker:dind", "docker://NAME:TAG"),
        ("http:x", "docker://NAME:TAG"),
        ("images/root.tar.xz", "docker://NAME:TAG"),
        ("quay.io", "docker://NAME:TAG"),
        ("Debian:12", "did you mean debian-1"),
        ("debian:", "did you mean debian-"),
        ("debian: 12", "did you mean debian-1"),
        ("debian:12\n", "did you mean debian-1"),
        ("-v:1", "docker://NAME:TAG"),
        ("a..b:1", "docker://NAME:TAG"),
    ],
)
def test_no_short_reference(text: str, hint: str) -> None:
    assert expand(text) == ""
    with pytest.raises(UsageError, match="there is no image") as caught:
        images.resolve(text)
    assert hint in caught.value.hint


@pytest.mark.parametrize("text", ["archlinux", "debian-12", "fedora-43", f"debian-buster@{DIGEST}"])
def test_a_name_of_the_catalogue_goes_first(text: str) -> None:
    assert expand(text) == ""
    assert images.resolve(text).sources


def test_an_image_that_is_here_goes_first() -> None:
    pulled("ubuntu", reference="/nowhere/x.tar")
    assert expand("ubuntu") == expand(f"ubuntu@{DIGEST}") == ""
    assert str(images.resolve("ubuntu").sources[0]) == "/nowhere/x.tar"


def test_a_file_of_that_name_is_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("trees").mkdir()
    Path("trees/app:1").mkdir()
    with pytest.raises(UsageError) as caught:
        images.resolve("trees/app:1")
    assert "write ./trees/app:1" in caught.value.hint


@pytest.mark.parametrize("text", [f"debian@{DIGEST[:-1]}", "quay.io/a/b@latest", f"debian:12@{DIGEST}@{DIGEST}"])
def test_a_wrong_digest_is_told(text: str) -> None:
    with pytest.raises(UsageError, match=r"digest|image reference") as caught:
        images.resolve(text)
    assert caught.value.status == 2


def test_long_names_take_no_time() -> None:
    for text in ("a" * 10_000, "a-" * 10_000, "a_" * 10_000 + ":", "a/" * 10_000, "a.a" * 10_000 + "!"):
        assert expand(text) == ""


@pytest.mark.parametrize(
    ("text", "families"),
    [
        ("fedora:43", ["dnf"]),
        ("fedora:99", ["dnf"]),
        ("docker://docker.io/library/fedora:latest", ["dnf"]),
        ("docker://fedora:43", ["dnf"]),
        ("docker://fedora", ["dnf"]),
        ("docker://docker.io/fedora:99", ["dnf"]),
        ("docker.io/rockylinux/rockylinux:9.5", ["dnf"]),
        ("docker://rockylinux/rockylinux:9.5", ["dnf"]),
        (f"docker://debian@{DIGEST}", ["apt"]),
        ("registry.fedoraproject.org/fedora:99", ["dnf"]),
        ("bootstrap:forky", ["apt"]),
        ("docker://localhost:5000/fedora:43", []),
        ("oci:fedora:43", []),
        ("debian:bookworm-slim", ["apt"]),
        ("centos:7", ["yum"]),
        ("fedora-43", ["dnf"]),
        ("debian-bookworm@sha256:0", ["apt"]),
        ("quay.io/team/fedora:43", []),
        ("./fedora", []),
        ("team/fedora:43", []),
    ],
)
def test_the_family_of_an_image_before_it_is_pulled(text: str, families: list[str]) -> None:
    assert expected_families(text) == families


def test_a_directory_tells_its_family(tmp_path: Path) -> None:
    assert expected_families(str(tmp_path)) == []
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/zypper").touch()
    assert expected_families(str(tmp_path)) == ["zypper"]
