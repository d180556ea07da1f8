"""What a user calls a package, and what may not be called one."""

import re
from pathlib import Path

import pytest

from postroj import download, events
from postroj.deadline import NEVER
from postroj.errors import UsageError
from postroj.family.apt import FAMILY
from postroj.package import deb
from postroj.package.reference import Package, called, open_packages

from .debfile import CONTROL
from .debfile import deb as package


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*args: object, **kwargs: object) -> str:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(download, "fetch", fetch)


@pytest.mark.parametrize(
    "text", ["hello.deb", "./hello.deb", "../{}/hello.deb", "{here}/hello.deb", "./odd name!", "Odd"]
)
def test_files(here: Path, text: str) -> None:
    text = text.format(here.name, here=here)
    (here / text).write_bytes(package())
    (found,) = open_packages([text], deadline=NEVER)
    assert found.reference == text
    assert (found.file, found.architecture) == (str((here / text).resolve()), "amd64")


@pytest.mark.parametrize(
    "name",
    ["webfs", "g++", "libstdc++6", "0ad", "nginx=1.22.1-9", "nginx=1:1.0~rc1+b2", "nginx/bookworm", "libc6:i386", "a.b"]
)  # fmt: skip
def test_names(name: str) -> None:
    assert open_packages([name], deadline=NEVER) == [
        Package(name, "", "", re.split("[:=/]", name)[0], name.partition("=")[2])
    ]


def test_a_name_stays_a_name_where_a_file_is_called_so(here: Path) -> None:
    (here / "webfs").write_bytes(package())
    assert open_packages(["webfs"], deadline=NEVER) == [Package("webfs", "", "", "webfs")]


@pytest.mark.parametrize("name", ["dist", "build/debs"])
def test_directory_of_packages_that_is_called_like_a_package(here: Path, name: str) -> None:
    (here / name).mkdir(parents=True)
    told: list[str] = []
    with events.subscribed(lambda event: told.append(event.text) if isinstance(event, events.Warn) else None):
        open_packages([name], deadline=NEVER)
        assert told == []
        (here / name / "hello_1_all.deb").touch()
        open_packages([name], deadline=NEVER)
    assert told == [f"--package={name} is taken for a package's name: for the directory write --package=./{name}"]


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "-", "--", "-o", "--option=x", "webfs-", "web fs", "web\nfs", "webfs;id", "$(id)",
        "`id`", "*", "web*",
        "webfs=", "webfs=1 2", "webfs/", "webfs/../x", "~nwebfs", "?name(x)", "web\x1b[31mfs", "\udce9", "é",
        "x" * 5000 + "!",
    ],
)  # fmt: skip
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_packages([name], deadline=NEVER)
    assert len(caught.value.what) < 400


@pytest.mark.parametrize("text", ["./nothing.deb", "nothing.deb", "nothing.rpm", "/nothing/there", "../nothing"])
def test_a_file_that_is_not_there(text: str) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*nothing"):
        open_packages([text], deadline=NEVER)


def test_a_directory_that_is_called_like_a_file(here: Path) -> None:
    (here / "tree.deb").mkdir()
    with pytest.raises(UsageError, match=r"the directory ./tree.deb has no package in it"):
        open_packages(["./tree.deb"], deadline=NEVER)


def test_a_damaged_rpm_is_called_one(here: Path) -> None:
    (here / "hello.rpm").write_bytes(b"\xed\xab\xee\xdb\x03\x00" + bytes(200))
    with pytest.raises(UsageError, match=r"hello\.rpm is not an RPM package"):
        open_packages(["hello.rpm"], deadline=NEVER)


def test_many_packages_of_a_directory_are_called_by_it(here: Path) -> None:
    (here / "dist").mkdir()
    for number in range(5):
        (here / f"dist/p{number}.deb").write_bytes(package(fields=CONTROL.replace("hello", f"hello{number}")))
    few, many = (open_packages([text], deadline=NEVER) for text in ("./dist/p[12].deb", "./dist"))
    named = open_packages([f"./dist/p{number}.deb" for number in range(4)], deadline=NEVER)
    assert called(many) == "./dist (5 packages)"
    assert called(few) == "./dist/p1.deb, ./dist/p2.deb"
    assert called([*few, *many]) == "./dist/p1.deb, ./dist/p2.deb, ./dist (5 packages)"
    assert called(named) == "./dist/p0.deb, ./dist/p1.deb, ./dist/p2.deb, ./dist/p3.deb"


@pytest.mark.parametrize("content", [b"\xed", b"text\n", package()[:100]])
def test_a_file_that_is_no_package(here: Path, content: bytes) -> None:
    (here / "hello.deb").write_bytes(content)
    with pytest.raises(UsageError, match=r"^\./hello\.deb is not a Debian package"):
        open_packages(["./hello.deb"], deadline=NEVER)


def test_a_dangling_link(here: Path) -> None:
    (here / "hello.deb").symlink_to("nowhere")
    with pytest.raises(UsageError, match="there is no file"):
        open_packages(["hello.deb"], deadline=NEVER)


@pytest.mark.parametrize("text", ["ftp://h/a.deb", "javascript://a", "docker://x", "HTTPX://h/a.deb"])
def test_unknown_schemes(no_network: None, text: str) -> None:
    with pytest.raises(UsageError, match="unknown scheme"):
        open_packages([text], deadline=NEVER)


@pytest.mark.parametrize("text", ["http:///a.deb", "http://h/a b.deb", "https://h/a.deb#md5=1", "http://[/a.deb"])
def test_malformed_urls(no_network: None, text: str) -> None:
    with pytest.raises(UsageError):
        open_packages([text], deadline=NEVER)


@pytest.mark.parametrize("text", ["http://example.org/hello.deb", "HTTPS://example.org/hello.deb?x=1"])
def test_a_url_is_fetched(here: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (here / "fetched.deb").write_bytes(package())
    asked: list[str] = []

    def fetch(url: str, directory: str, *, deadline: object, offline: bool) -> str:
        assert not offline
        asked.append(url)
        assert directory == str(here / "downloads")
        return str(here / "fetched.deb")

    monkeypatch.setattr(download, "fetch", fetch)
    assert open_packages([text], deadline=NEVER) == [
        Package(text, str(here / "fetched.deb"), "amd64", "hello", "1.0-1", format="deb")
    ]
    assert asked == [text]


@pytest.mark.parametrize("wrong", ["./nothing.deb", "Wrong Name", "ftp://h/x", "http://h/a#sha256=1"])
def test_all_is_checked_before_anything_is_fetched(no_network: None, wrong: str) -> None:
    with pytest.raises(UsageError):
        open_packages(["http://example.org/hello.deb", wrong], deadline=NEVER)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("/x/hello_1.0-1_amd64.deb", "hello_1.0-1_amd64.deb"),
        ("/x/a+b~c.deb", "a+b~c.deb"),
        ("/x/a b.deb", "package.deb"),
        ("/x/-o.deb", "package.deb"),
        ("/x/.deb", "package.deb"),
        ("/x/a:b.deb", "package.deb"),
        ("/x/a,b\\.deb", "package.deb"),
        ("/x/é.deb", "package.deb"),
        ("/x/a\n.deb", "package.deb"),
        ("/x/hello", "package.deb"),
        ("/x/hello.deb\n", "package.deb"),
        ("/x/hello.DEB", "package.deb"),
    ],
)
def test_name_in_the_guest(file: str, name: str) -> None:
    assert Package("r", file, "all", format="deb").guest_name(3) == f"/run/postroj/3/{name}"


def test_a_package_from_the_repositories_is_called_the_same_in_the_guest() -> None:
    assert Package("nginx=1.0", "", "").guest_name(3) == "nginx=1.0"


@pytest.mark.parametrize(
    ("package", "query"),
    [
        (Package("./a.deb", "/x/a.deb", "amd64", "web", "1"), "web:amd64"),
        (Package("web=1:2.0", "", "", "web", "1:2.0"), "web"),
        (Package("web/bookworm", "", "", "web"), "web"),
        (Package("web:i386=2", "", "", "web", "2"), "web:i386"),
    ],
)
def test_what_dpkg_calls_it(package: Package, query: str) -> None:
    assert package.query(FAMILY) == query


def test_two_files_of_the_same_name_have_two_places() -> None:
    one, other = (Package("r", f"/{place}/a.deb", "all", format="deb") for place in "xy")
    assert one.guest_name(0) != other.guest_name(1)


@pytest.mark.parametrize("architecture", ["all", "amd64"])
def test_fits(architecture: str) -> None:
    Package("r", "/x", architecture, format="deb").check_fits("debian-12", FAMILY, "amd64")


@pytest.mark.parametrize("architecture", ["arm64", "any", "AMD64", "amd64 arm64", "source"])
def test_does_not_fit(architecture: str) -> None:
    with pytest.raises(UsageError, match=f"r is for {architecture}, and the image debian-12 is amd64"):
        Package("r", "/x", architecture, format="deb").check_fits("debian-12", FAMILY, "amd64")


@pytest.mark.parametrize(
    ("word", "fault"),
    [
        ("amd64", ""),
        ("all", ""),
        ("kfreebsd-amd64", ""),
        ("x86_64", "is for x86_64, which Debian calls amd64"),
        ("noarch", "is for noarch, which Debian calls all"),
        ("armv7l", "is for armv7l, which Debian calls armhf"),
        ("AARCH64", "is for AARCH64, which Debian calls arm64"),
        ("AMD64", "is for AMD64, which Debian calls amd64"),
        ("amd_64", "is for amd_64, which is not an architecture of Debian"),
    ],
)
def test_words_of_other_families_for_an_architecture(here: Path, word: str, fault: str) -> None:
    (here / "hello.deb").write_bytes(package(fields=CONTROL.replace("amd64", word)))
    (found,) = open_packages(["hello.deb"], deadline=NEVER)
    assert found.fault == fault


@pytest.mark.parametrize("architecture", ["x" * 100_000, "\x1b[2J", "amd64\a"])
def test_a_hostile_architecture_is_not_shown_as_it_is(here: Path, architecture: str) -> None:
    (here / "hello.deb").write_bytes(package(fields=CONTROL.replace("amd64", architecture)))
    with pytest.raises(UsageError) as caught:
        (found,) = open_packages(["hello.deb"], deadline=NEVER)
        found.check_fits("debian-12", FAMILY, "amd64")
    assert len(caught.value.what) < 400 and caught.value.what.isprintable()


def _put(here: Path, *packages: str) -> None:
    """Write packages, each as NAME_VERSION_ARCHITECTURE, into the directory `dist`."""
    (here / "dist").mkdir(exist_ok=True)
    for one in packages:
        name, version, architecture = one.split("_")
        fields = f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n"
        (here / f"dist/{one}.deb").write_bytes(package(fields=fields))


@pytest.mark.parametrize("reference", ["dist/", "./dist", "./dist/*.deb", "dist/*", "{here}/dist", "./d?st/[lw]*.deb"])
def test_the_newest_of_each_package(here: Path, reference: str) -> None:
    _put(here, "web_1.9_amd64", "web_1.10~rc1_amd64", "web_1.10_amd64", "web-data_1_all")
    _put(here, "lib_1:0.1_amd64", "lib_2_amd64")
    found = open_packages([reference.format(here=here)], deadline=NEVER)
    assert {(one.name, one.version) for one in found} == {("lib", "1:0.1"), ("web", "1.10"), ("web-data", "1")}
    assert all(Path(one.file).is_file() for one in found)


@pytest.mark.parametrize("reference", ["./dist", "./dist/*.deb", "./dist/web_1_amd64.deb"])
def test_each_file_is_read_once(here: Path, monkeypatch: pytest.MonkeyPatch, reference: str) -> None:
    _put(here, "web_1_amd64")
    read: list[str] = []

    def read_control(path: str) -> dict[str, str]:
        read.append(path)
        return original(path)

    original = deb.read_control
    monkeypatch.setattr(deb, "read_control", read_control)
    open_packages([reference], deadline=NEVER)
    assert read == ["./dist/web_1_amd64.deb"]


def test_a_file_whose_name_is_a_glob_is_a_file(here: Path) -> None:
    (here / "[a].deb").write_bytes(package())
    (found,) = open_packages(["./[a].deb"], deadline=NEVER)
    assert found.reference == "./[a].deb"


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("./dist/*.rpm", "no file matches ./dist/*.rpm"),
        ("./nowhere/*", "no file matches"),
        ("./empty", "the directory ./empty has no package in it"),
        ("./dist", "./dist has packages for amd64 and arm64"),
        ("./dist/web*.deb", "./dist/web*.deb has packages for amd64 and arm64"),
        ("./broken", "./broken/x.deb is not a Debian package"),
    ],
)
def test_what_stands_for_no_packages(here: Path, reference: str, told: str) -> None:
    _put(here, "web_1_amd64", "web_1_arm64", "doc_1_all")
    (here / "empty").mkdir()
    (here / "broken").mkdir()
    (here / "broken/x.deb").write_text("nothing")
    with pytest.raises(UsageError) as caught:
        open_packages([reference], deadline=NEVER)
    assert told in caught.value.what


@pytest.mark.parametrize("name", ["WebFS", "a", "web_fs"])
def test_a_name_that_the_images_family_does_not_know(name: str) -> None:
    (found,) = open_packages([name], deadline=NEVER)
    with pytest.raises(UsageError, match=f"'{name}' is not a package's name for apt, which debian-12 has"):
        found.check_fits("debian-12", FAMILY, "amd64")
