"""Which image is taken if the user names none."""

import datetime
from collections.abc import Sequence
from pathlib import Path

import pytest

from postroj import events
from postroj.errors import UsageError
from postroj.harness import Request, Verdict, pkgprobe
from postroj.image import catalogue
from postroj.package import choice, reference
from postroj.package.reference import Package

_TODAY = datetime.date(2026, 11, 28)


class _Today(datetime.date):
    @classmethod
    def today(cls) -> datetime.date:  # type: ignore[override]
        return _TODAY


class _Datetime:
    date = _Today


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    """An amd64 host on a day of which the catalogue's dates are known."""
    monkeypatch.setattr(choice, "host_architecture", lambda: "amd64")
    monkeypatch.setattr(reference, "datetime", _Datetime)


def file(format_name: str, architecture: str, fault: str = "") -> Package:
    return Package("x", "/x", architecture, "x", "1", fault, format_name)


NAME = Package("nginx", "", "", "nginx")


@pytest.mark.parametrize(
    ("packages", "image"),
    [
        ([file("deb", "all")], "debian-trixie"),
        ([file("deb", "amd64"), file("deb", "all"), NAME], "debian-trixie"),
        ([file("rpm", "x86_64")], "fedora-45"),
        ([file("rpm", "i686")], "fedora-45"),
        ([file("arch", "x86_64")], "archlinux"),
        ([file("deb", "x86_64", fault="is for x86_64, which Debian calls amd64")], "debian-trixie"),
    ],
)
def test_the_newest_supported_image(packages: Sequence[Package], image: str) -> None:
    told: list[events.Event] = []
    with events.subscribed(told.append):
        assert choice.choose(packages).name == image
    (step,) = told
    assert isinstance(step, events.Step) and step.text.startswith(f"taking {image}, the newest supported image for .")


@pytest.mark.parametrize(
    ("packages", "told"),
    [
        ([], "no image to use"),
        ([NAME], "name does not tell"),
        ([file("deb", "all"), file("rpm", "noarch")], r"several formats: \.deb, \.rpm"),
        ([file("deb", "arm64")], "is for arm64, and the image debian-trixie is amd64"),
        ([file("rpm", "aarch64")], "is for aarch64, and the image fedora-45 is x86_64"),
    ],
)
def test_nothing_can_be_chosen(packages: Sequence[Package], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        choice.choose(packages)


def test_no_image_has_the_hosts_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "host_architecture", lambda: "arm64")
    assert choice.choose([file("deb", "arm64")]).name == "debian-trixie"
    with pytest.raises(UsageError, match=r"no supported image for \.pkg\.tar\.zst packages on arm64"):
        choice.choose([file("arch", "any")])


def test_the_users_own_release_is_newer(places: Path) -> None:
    own = places / "config/postroj/images.toml"
    own.parent.mkdir(parents=True)
    own.write_text('[[image]]\nname = "debian-duke"\nfamily = "apt"\neol = 2035-01-01\nsources = ["/duke.tar"]\n')
    catalogue.entries.cache_clear()
    assert choice.choose([file("deb", "all")]).name == "debian-duke"


@pytest.mark.parametrize("packages", [[], ["nginx"]])
def test_a_request_without_an_image(packages: Sequence[str]) -> None:
    with pytest.raises(UsageError, match=r"image to use"):
        pkgprobe(Request(packages=packages, units=["x"]))


def test_an_empty_name_is_not_no_image() -> None:
    """A variable of a script may be empty: what was meant is not known then."""
    with pytest.raises(UsageError, match="there is no image ''"):
        pkgprobe(Request("", packages=["nginx"]))


def test_nothing_to_check() -> None:
    with pytest.raises(UsageError, match="nothing to check"):
        pkgprobe(Request("debian-bookworm"))


def test_the_image_of_a_package_that_has_failed_without_a_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    package = file("deb", "x86_64", fault="is for x86_64, which Debian calls amd64")
    monkeypatch.setattr(reference, "open_packages", lambda *_args, **_more: [package])
    result = pkgprobe(Request(packages=["x"]))
    assert (result.image, result.verdict) == ("debian-trixie", Verdict.FAILED)
