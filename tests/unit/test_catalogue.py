"""The tables of curated images: each entry of ours, the user's own, and what finds one."""

import datetime
import os
import re
from pathlib import Path

import pytest

from postroj import family
from postroj.errors import UsageError
from postroj.image import catalogue
from postroj.image.catalogue import Entry, entries, resolve
from postroj.image.names import is_name
from postroj.image.source import BOOTSTRAP, OCI, Bootstrap, Source

ENTRIES = tuple(catalogue._read(os.path.join(os.path.dirname(catalogue.__file__), "catalogue.toml"), []))
IDS = [entry.name for entry in ENTRIES]
ROLLING = {"debian-forky", "debian-sid", "opensuse-tumbleweed", "archlinux"}
ALSO_CALLED = {
    "rhel": "ubi", "rocky": "rockylinux", "almalinux": "alma", "oraclelinux": "oracle", "amazonlinux": "amazon",
    "sles": "suse",
}  # fmt: skip
PROMISED = [
    "debian-stretch", "debian-buster", "debian-bullseye", "debian-bookworm", "debian-trixie", "debian-forky",
    "debian-sid",
    "ubuntu-focal", "ubuntu-jammy", "ubuntu-noble", "ubuntu-resolute",
    "fedora-35", "fedora-36", "fedora-37", "fedora-42", "fedora-43", "fedora-44", "fedora-45",
    "centos-7", "centos-8", "centos-stream-9", "centos-stream-10",
    "rhel-8", "rhel-9", "rhel-10", "rocky-8", "rocky-9", "rocky-10", "almalinux-8", "almalinux-9", "almalinux-10",
    "oraclelinux-8", "oraclelinux-9", "oraclelinux-10", "amazonlinux-2", "amazonlinux-2023",
    "opensuse-leap-15", "opensuse-leap-16", "opensuse-tumbleweed", "sles-15", "sles-15-bci",
    "archlinux", "archlinux-20220501", "alpine-3.20", "alpine-3.22",
]  # fmt: skip


# ours


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_an_entry_is_well_formed(entry: Entry) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z0-9.]+)*", entry.name)
    assert re.fullmatch(r"[a-z]+(-[a-z0-9.]+)+", entry.alias)
    distribution, called = entry.name.split("-")[0], entry.alias.split("-")[0]
    assert called in (distribution, ALSO_CALLED.get(distribution), "bci")
    assert family.load(entry.family).tools
    assert len(f"postroj-{entry.name}") <= 48, "the name of a machine made from it"
    assert set(entry.architectures) <= {"amd64", "arm64"} and "amd64" in entry.architectures


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_the_sources_of_an_entry_are_well_formed(entry: Entry) -> None:
    assert len(set(entry.sources)) == len(entry.sources) > 0
    for source in entry.sources:
        if source.kind == BOOTSTRAP:
            assert entry.family == "apt" and re.fullmatch(r"[a-z]+", source.location)
            assert entry.name == f"{entry.name.split('-')[0]}-{source.location}"
            assert ("ubuntu" in source.bootstrap.keyring) == entry.name.startswith("ubuntu-")
        else:
            assert source.kind == OCI and not source.digest
            assert re.fullmatch(r"docker://[a-z0-9.-]+\.[a-z]+(/[a-z0-9_-]+)+(:[A-Za-z0-9._-]+)?", source.location)


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_the_end_of_life_is_known_of_all_that_have_one(entry: Entry) -> None:
    assert (entry.eol is None) == (entry.name in ROLLING)
    assert entry.eol is None or datetime.date(2020, 1, 1) < entry.eol < datetime.date(2040, 1, 1)


def test_support_ends_after_the_day_that_is_said() -> None:
    buster = resolve("debian-buster")
    assert buster.eol == datetime.date(2024, 6, 30)
    assert not buster.is_past_support(datetime.date(2024, 6, 30))
    assert buster.is_past_support(datetime.date(2024, 7, 1))
    assert not resolve("debian-sid").is_past_support(datetime.date(9999, 1, 1))


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_an_entry_is_found_by_name_and_alias(entry: Entry) -> None:
    assert resolve(entry.name) == resolve(entry.alias) == entry


def test_names_and_aliases_are_unique() -> None:
    words = [word for entry in ENTRIES for word in {entry.name, entry.alias}]
    assert sorted(words) == sorted(set(words))


def test_the_images_that_are_promised_are_there_and_no_others() -> None:
    assert sorted(IDS) == sorted(PROMISED) and len(PROMISED) == 45


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("debian-bookwurm", "debian-bookworm"), ("bookworm", "debian-bookworm"), ("debian-tricky", "debian-trixie"),
        ("debian12", "debian-12"),
    ],
)  # fmt: skip
def test_the_nearest_names_are_told(wrong: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"there is no image '{wrong}'") as caught:
        resolve(wrong)
    assert near in caught.value.hint


@pytest.mark.parametrize(
    ("distribution", "version"),
    [("debian", "7"), ("debian", "99"), ("debian", "12.5"), ("fedora", "12"), ("rhel", "7")],
)
def test_the_versions_that_there_are_are_told(distribution: str, version: str) -> None:
    with pytest.raises(UsageError, match=f"there is no version '{version}' of {distribution}") as caught:
        resolve(f"{distribution}-{version}")
    aliases = [entry.alias for entry in ENTRIES if entry.name.startswith(f"{distribution}-")]
    assert len(aliases) >= 3 and caught.value.hint == f"there is {', '.join(aliases)}"


@pytest.mark.parametrize(
    "name", ["", "-", "x", "DEBIAN-12", "debian-12 ", "../debian-12", "debian-\x1b[2J", "plan9-" * 1000, "\udce9"]
)
def test_what_is_no_image(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(name)
    assert caught.value.hint
    assert len(caught.value.what) < 200 and caught.value.what.isprintable()


def test_it_is_read_once() -> None:
    assert entries() is entries() == ENTRIES


# the user's own

OWN = """\
# mine
[[image]]
name = "own-1"
family = "apt"
sources = ["bootstrap:sid"]
"""
NAME, FAMILY, SOURCES = 'name = "x-1"', 'family = "apt"', 'sources = ["bootstrap:sid"]'


@pytest.fixture
def own(places: Path) -> Path:
    path = places / "config/postroj/images.toml"
    path.parent.mkdir(parents=True)
    return path


def test_a_users_image_comes_after_ours(own: Path) -> None:
    own.write_text(OWN)
    assert entries()[:-1] == ENTRIES
    assert resolve("own-1") == Entry("own-1", "own-1", "apt", None, (), (Source(BOOTSTRAP, "sid"),))


def test_a_users_entry_takes_the_place_of_ours(own: Path) -> None:
    own.write_text(OWN.replace("own-1", "debian-buster").replace("bootstrap:sid", "docker://mirror.example/debian:10"))
    assert [entry.name for entry in entries()] == IDS
    assert resolve("debian-buster").sources == (Source(OCI, "docker://mirror.example/debian:10"),)
    with pytest.raises(UsageError, match="there is no version '10'"):
        resolve("debian-10")


def test_a_users_alias_is_none_of_ours(own: Path) -> None:
    own.write_text(OWN + 'alias = "debian-12"\n')
    with pytest.raises(UsageError, match=r"line 6: alias is that of another image: debian-12"):
        resolve("debian-12")
    own.write_text(OWN.replace("own-1", "debian-bookworm") + 'alias = "debian-12"\n')  # in the place of ours
    assert resolve("debian-12").sources[0].location == "sid"


def test_a_users_entry_takes_the_place_of_the_systems(own: Path) -> None:
    system = Path(catalogue._SYSTEM)
    system.parent.mkdir()
    system.write_text(OWN + OWN.replace("own-1", "own-2"))
    own.write_text(OWN.replace("bootstrap:sid", "bootstrap:forky"))
    assert [entry.name for entry in entries()] == [*IDS, "own-1", "own-2"]
    assert [resolve(name).sources[0].location for name in ("own-1", "own-2")] == ["forky", "sid"]


def test_all_that_can_be_said(own: Path) -> None:
    own.write_text(
        OWN
        + 'alias = "own"\neol = 2030-01-31\narchitectures = ["arm64"]\n'
        + '[image.bootstrap]\ncomponents = ["main"]\npackages = ["nano"]\nkeyring = "/k.gpg"\nmirror = "copy:///m"\n'
    )
    bootstrap = Bootstrap(("main",), ("nano",), "/k.gpg", "copy:///m")
    source = Source(BOOTSTRAP, "sid", bootstrap)
    assert resolve("own") == Entry("own-1", "own", "apt", datetime.date(2030, 1, 31), ("arm64",), (source,))


@pytest.mark.parametrize(
    ("lines", "number", "what"),
    [
        ([], 6, "name is missing"),
        ([NAME], 6, "family is missing"),
        ([NAME, FAMILY], 6, "sources is missing"),
        (['name = "X"', FAMILY, SOURCES], 7, "name is not a name"),
        (["name = 1", FAMILY, SOURCES], 7, "name is not a name"),
        (['name = "../x"', FAMILY, SOURCES], 7, "name is not a name"),
        ([NAME, FAMILY, SOURCES, 'alias = ""'], 10, "alias is not a name"),
        ([NAME, "alias = []", FAMILY, SOURCES], 8, "alias is not a name"),
        ([NAME, 'family = "rpm"', SOURCES], 8, "family is not one of apt, dnf, microdnf,"),
        ([NAME, "family = []", SOURCES], 8, "family is not one of apt, dnf,"),
        ([NAME, FAMILY, 'sources = "bootstrap:sid"'], 9, "sources is not a list of texts"),
        ([NAME, FAMILY, "sources = [1]"], 9, "sources is not a list of texts"),
        ([NAME, FAMILY, "sources = []"], 9, "sources is empty"),
        ([NAME, FAMILY, "sources = [", '"bootstrap:sid",', '"docker:x",', "]"], 9, "sources: 'docker:x' is not a"),
        ([NAME, FAMILY, 'sources = ["docker://x y"]'], 9, "sources: 'docker://x y' is not an image reference"),
        ([NAME, FAMILY, 'sources = ["./root.tar"]'], 9, "sources: './root.tar' is not an absolute path"),
        ([NAME, FAMILY, 'sources = ["oci:layout:1"]'], 9, "sources: 'oci:layout:1' is not an absolute path"),
        (['name = "own-1"', FAMILY, SOURCES], 7, "name is that of another image: own-1"),
        ([NAME, 'alias = "own-1"', FAMILY, SOURCES], 8, "alias is that of another image: own-1"),
        ([NAME, FAMILY, SOURCES, "", "# \u2028", 'eol = "2028-06-30"'], 12, "eol is not a date"),
        ([NAME, FAMILY, SOURCES, "eol = 2028-06-30T00:00:00"], 10, "eol is not a date"),
        ([NAME, FAMILY, SOURCES, "architectures = [64]"], 10, "architectures is not a list of texts"),
        ([NAME, FAMILY, SOURCES, 'aliass = "x"'], 10, "aliass is an unknown key: did you mean alias?"),
        ([NAME, FAMILY, SOURCES, "zzzzz = 1"], 10, "zzzzz is an unknown key"),
        (["name-x = 1", NAME], 7, "name-x is an unknown key"),
        ([NAME, FAMILY, SOURCES, "'eol' = 1"], 10, "eol is not a date"),
        ([NAME, FAMILY, SOURCES, '  "eol"= 1'], 10, "eol is not a date"),
        ([NAME, FAMILY, SOURCES, "bootstrap = 1"], 10, "bootstrap is not a table"),
        ([NAME, FAMILY, SOURCES, 'bootstrap = { suite = "x" }'], 10, "bootstrap has no key suite: components,"),
        ([NAME, FAMILY, SOURCES, 'bootstrap.packages = "x"'], 10, "bootstrap has a packages that cannot be: 'x'"),
        ([NAME, FAMILY, SOURCES, 'bootstrap = { keyring = ["/x"] }'], 10, "bootstrap has a keyring that cannot be"),
        ([NAME, FAMILY, SOURCES, "bootstrap = { components = [1] }"], 10, "bootstrap has a components that"),
        ([NAME, FAMILY, SOURCES, 'bootstrap = { components = ["a,b"] }'], 10, "bootstrap has a components that"),
        ([NAME, FAMILY, SOURCES, "[image.bootstrap]", 'mirror = "--hook=x"'], 10, "bootstrap has a mirror that"),
        ([NAME, FAMILY, SOURCES, r'bootstrap = { mirror = "x\u0000" }'], 10, "bootstrap has a mirror that"),
    ],
    ids=lambda value: " ".join(value[-1:]) if isinstance(value, list) else None,
)
@pytest.mark.parametrize("header", ["[[image]]", " [[ image ]] # another"])
def test_file_line_and_key_of_a_mistake_are_told(
    own: Path, header: str, lines: list[str], number: int, what: str
) -> None:
    own.write_text("\n".join([OWN + header, *lines, "", OWN.replace("own-1", "own-3")]))
    with pytest.raises(UsageError) as caught:
        entries()
    assert caught.value.what.startswith(f"{own}, line {number}: {what}")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"[[image]]\nname = \n", "cannot be read: .*line 2"),
        (b"\xff", "cannot be read"),
        (b"[image]\nname = 'x'\n", "only ..image.. tables"),
        (b"image = [1]\n", "only ..image.. tables"),
        (b"name = 'x'\n", "only ..image.. tables"),
        (OWN.encode() + b"[other]\n", "only ..image.. tables"),
    ],
)
def test_what_is_no_table_of_images(own: Path, text: bytes, what: str) -> None:
    own.write_bytes(text)
    with pytest.raises(UsageError, match=f"^{own}:? {what}"):
        entries()


def test_a_directory_is_no_table_of_images(own: Path) -> None:
    own.mkdir()
    with pytest.raises(UsageError, match=f"^{own} cannot be read: .*[Dd]irectory"):
        entries()


def test_an_empty_table_changes_nothing(own: Path) -> None:
    own.touch()
    assert entries() == ENTRIES


def test_names_of_ours_are_names() -> None:
    assert all(is_name(word) for entry in ENTRIES for word in (entry.name, entry.alias))
