"""Formats of package files: told apart by what is in them, and each on the images whose family installs it."""

import datetime
import gzip
from pathlib import Path

import pytest

from postroj.deadline import NEVER
from postroj.errors import UsageError
from postroj.family import load
from postroj.image import catalogue
from postroj.package.reference import Package, open_packages

from . import archfile, debfile, rpmfile

FILES = {
    "deb": ("hello.deb", debfile.deb(), "amd64", "1.0-1"),
    "rpm": ("hello.rpm", rpmfile.package(rpmfile.good(epoch=1)), "x86_64", "1:1.0-1"),
    "arch": ("hello.pkg.tar.zst", archfile.package(), "x86_64", "1:1.0-1"),
}
TITLES = {"deb": "a Debian package", "rpm": "an RPM package", "arch": "an Arch Linux package"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(reference: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        open_packages([reference], deadline=NEVER)
    assert caught.value.what.isprintable() and len(caught.value.what) < 400
    return caught.value


def put(path: str, data: bytes) -> None:
    file = Path(path)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)


def put_rpm(name: str, version: str, arch: str = "noarch") -> None:
    put(f"dist/{name}-{version}-1.{arch}.rpm", rpmfile.package(rpmfile.good(name, version, arch=arch)))


def put_arch(name: str, version: str, suffix: str = ".zst") -> None:
    info = f"pkgname = {name}\npkgver = {version}\narch = any\n"
    put(f"dist/{name}-{version}-any.pkg.tar{suffix}", archfile.package(info, suffix=suffix))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "called", ["", "hello", "hello.deb", "hello.rpm", "hello.pkg.tar.xz", "hello.tar.gz", "hello.snap"]
)
def test_a_format_is_known_by_its_content(name: str, called: str) -> None:
    own, data, architecture, version = FILES[name]
    if called == "hello.snap" and name == "arch":
        return  # an archive could be that of any other format
    put(f"./{called or own}", data)
    (found,) = open_packages([f"./{called or own}"], deadline=NEVER)
    assert (found.format, found.name, found.architecture, found.version) == (name, "hello", architecture, version)
    assert found.fault == ""


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".zst"])
def test_arch_packages_of_all_compressions(suffix: str) -> None:
    put("a.pkg", archfile.package(suffix=suffix))
    (found,) = open_packages(["./a.pkg"], deadline=NEVER)
    assert found.format == "arch"


_OPKG = debfile.tar(b"2.0\n", name="./debian-binary").removeprefix(bytes(0))[512:]
_SIGNED = archfile.tar((".SIGN.RSA.x.rsa.pub", b"x" * 256))

OTHERS = [
    (
        "x.apk",
        gzip.compress(_SIGNED) + gzip.compress(archfile.tar((".PKGINFO", archfile.INFO))),
        "an Alpine Linux package",
    ),
    ("x", gzip.compress(_SIGNED), "an Alpine Linux package"),
    ("x.apk", gzip.compress(archfile.tar((".PKGINFO", archfile.INFO))), "an Alpine Linux package"),
    ("x", b"ADBd" + bytes(100), "an Alpine Linux package"),
    ("x.ipk", gzip.compress(_OPKG), "an OpenWrt package"),
    ("x", gzip.compress(_OPKG), "an OpenWrt package"),
    ("x.ipk", debfile.deb(), "an OpenWrt package"),
    ("x", b"hsqs" + bytes(100), "a snap"),
    ("x.deb", b"hsqs" + bytes(100), "a snap"),
    ("x", b"\x7fELF\x02\x01\x01\x00AI\x02" + bytes(100), "an AppImage"),
    ("x.AppImage", b"text", "an AppImage"),
    ("x", b"MZ" + bytes(100), "a program for Windows"),
    ("x.exe", b"text", "a program for Windows"),
    ("x", b"flatpak\0\x01\0\x89\xe5" + bytes(100), "a Flatpak bundle"),
]


@pytest.mark.parametrize(("name", "data", "told"), OTHERS, ids=[f"{one[0]}-{n}" for n, one in enumerate(OTHERS)])
def test_formats_that_nothing_here_installs(name: str, data: bytes, told: str) -> None:
    put(f"./{name}", data)
    assert refused(f"./{name}").what.startswith(f"./{name} is {told}")


@pytest.mark.parametrize(
    "suffix", [".apk", ".ipk", ".snap", ".AppImage", ".msi", ".flatpak", ".pkg.tar.zst", ".pkg.tar.xz"]
)
def test_what_is_called_like_a_file_is_one(suffix: str) -> None:
    assert refused(f"hello{suffix}").what == f"there is no file hello{suffix}"


@pytest.mark.parametrize("content", [b"text", b"\x7fELF" + bytes(600), bytes(5000), b"PK\x03\x04" + bytes(100)])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("x.deb", "is not a Debian package"),
        ("x.rpm", "is not an RPM package"),
        ("x.pkg.tar.zst", "is not an Arch Linux package"),
        ("x", "is not a package of a known format"),
        ("x.tar.zst", "is not a package of a known format"),
    ],
)
def test_what_is_no_package(name: str, told: str, content: bytes) -> None:
    put(f"./{name}", content)
    assert refused(f"./{name}").what == f"./{name} {told}"


@pytest.mark.parametrize("name", ["x.deb", "x.rpm", "x.pkg.tar.zst", "x"])
def test_an_empty_file_is_called_that(name: str) -> None:
    put(f"./{name}", b"")
    assert refused(f"./{name}").what == f"./{name} is empty"


def test_a_tarball_is_no_package() -> None:
    put("./x.tar.gz", gzip.compress(archfile.tar(("usr/hello", b"hello"))))
    error = refused("./x.tar.gz")
    assert (error.what, error.why) == ("./x.tar.gz is not an Arch Linux package", "it has no .PKGINFO")


def test_a_source_package() -> None:
    put("./x.src.rpm", rpmfile.package(rpmfile.good(source=True), kind=1))
    assert refused("./x.src.rpm").what == "./x.src.rpm is a source package, which is built and not installed"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (rpmfile.package(rpmfile.good(arch="amd64")), "is for amd64, which RPM calls x86_64"),
        (archfile.package(archfile.INFO.replace("x86_64", "noarch")), "is for noarch, which Arch Linux calls any"),
    ],
)
def test_a_wrong_word_for_an_architecture_is_the_packages_fault(data: bytes, fault: str) -> None:
    put("./x", data)
    (found,) = open_packages(["./x"], deadline=NEVER)
    assert found.fault == fault


@pytest.mark.parametrize("reference", ["dist/", "./dist", "./dist/*"])
def test_the_newest_of_each_package(reference: str) -> None:
    for version in ("1.9", "1.10~rc1", "1.10"):
        put_rpm("web", version)
    put_rpm("web-data", "1")
    found = open_packages([reference], deadline=NEVER)
    assert {(one.name, one.version) for one in found} == {("web", "1.10-1"), ("web-data", "1-1")}


def test_the_newest_of_each_package_of_arch() -> None:
    for version, suffix in (("2-1", ".zst"), ("10-1", ".xz"), ("1:1-1", ".gz"), ("10a-1", "")):
        put_arch("web", version, suffix)
    put("dist/web-9-1-any.pkg.tar.zst.sig", b"a signature")
    (found,) = open_packages(["dist/"], deadline=NEVER)
    assert found.version == "1:1-1"


@pytest.mark.parametrize("reference", ["dist/", "./dist", "./dist/*"])
def test_packages_of_several_formats(reference: str) -> None:
    put("dist/hello.deb", debfile.deb())
    put_arch("web", "1-1")
    error = refused(reference)
    assert error.what == f"{reference} has packages of several formats: .deb, .pkg.tar.zst"
    assert error.hint.endswith("dist/*.deb")
    put_rpm("web", "1")
    assert refused(reference).what == f"{reference} has packages of several formats: .deb, .rpm, .pkg.tar.zst"
    (found,) = open_packages(["./dist/*.rpm"], deadline=NEVER)
    assert found.name == "web"


def test_packages_for_several_architectures() -> None:
    for arch in ("x86_64", "aarch64", "noarch"):
        put_rpm("web", "1", arch)
    error = refused("./dist")
    assert error.what == "./dist has packages for aarch64 and x86_64"
    assert error.hint.endswith("*.aarch64.rpm")


@pytest.mark.parametrize(
    ("name", "file", "guest"),
    [
        ("rpm", "hello-1.0-1.x86_64.rpm", "hello-1.0-1.x86_64.rpm"),
        ("rpm", "hello.deb", "package.rpm"),
        ("rpm", "a b.rpm", "package.rpm"),
        ("arch", "hello-1-1-any.pkg.tar.zst", "hello-1-1-any.pkg.tar.zst"),
        ("arch", "hello-1-1-any.pkg.tar.xz", "hello-1-1-any.pkg.tar.xz"),
        ("arch", "hello-1:1-1-any.pkg.tar.xz", "package.pkg.tar.zst"),
        ("deb", "hello.rpm", "package.deb"),
    ],
)
def test_name_in_the_guest(name: str, file: str, guest: str) -> None:
    assert Package("r", f"/x/{file}", "all", format=name).guest_name(0) == f"/run/postroj/0/{guest}"


_FAMILIES = {"apt": "deb", "dnf": "rpm", "microdnf": "", "yum": "rpm", "zypper": "rpm", "pacman": "arch", "apk": ""}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("family", _FAMILIES)
def test_which_family_installs_a_format(name: str, family: str) -> None:
    own, data, architecture, _ = FILES[name]
    put(f"./{own}", data)
    (found,) = open_packages([f"./{own}"], deadline=NEVER)
    if _FAMILIES[family] == name:
        found.check_fits("image-1", load(family), architecture)
        return
    suffix = {"deb": " (.deb)", "rpm": " (.rpm)", "arch": " (.pkg.tar.zst)", "": ""}[_FAMILIES[family]]
    with pytest.raises(UsageError) as caught:
        found.check_fits("image-1", load(family), architecture)
    assert caught.value.what == f"./{own} is {TITLES[name]}, and the image image-1 has {family}{suffix}"
    told = caught.value.hint.removeprefix("images that fit: ").split(", ")
    entries = [catalogue.resolve(image) for image in told]
    assert {_FAMILIES[entry.family] for entry in entries} == {name}
    assert not any(entry.is_past_support(datetime.date.today()) for entry in entries)


@pytest.mark.parametrize(
    ("name", "word", "machine", "fits"),
    [
        ("rpm", "noarch", "x86_64", True), ("rpm", "i686", "x86_64", True), ("rpm", "x86_64_v2", "x86_64", True),
        ("rpm", "aarch64", "x86_64", False), ("rpm", "all", "x86_64", False), ("rpm", "src", "x86_64", False),
        ("arch", "any", "x86_64", True), ("arch", "i686", "x86_64", False), ("arch", "noarch", "x86_64", False),
        ("deb", "all", "amd64", True), ("deb", "i386", "amd64", False),
    ],
)  # fmt: skip
def test_architectures(name: str, word: str, machine: str, fits: bool) -> None:
    family = next(family for family, format in _FAMILIES.items() if format == name)
    package = Package("r", "/x", word, format=name)
    if fits:
        package.check_fits("image-1", load(family), machine)
    else:
        with pytest.raises(UsageError, match=f"r is for {word}, and the image image-1 is {machine}"):
            package.check_fits("image-1", load(family), machine)


@pytest.mark.parametrize("family", _FAMILIES)
def test_a_name_fits_each_family_that_installs(family: str) -> None:
    package = Package("web", "", "", "web")
    if _FAMILIES[family]:
        package.check_fits("image-1", load(family), "x86_64")
    else:
        with pytest.raises(UsageError, match=f"cannot install packages in the image image-1, which has {family}"):
            package.check_fits("image-1", load(family), "x86_64")
