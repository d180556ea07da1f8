"""The table of curated images: each entry, and what finds one."""

import re

import pytest

from postroj.errors import UsageError
from postroj.image import catalogue, provision
from postroj.image.catalogue import Entry, entries, resolve

ENTRIES = entries()


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_an_entry_is_well_formed(entry: Entry) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z0-9.]+)+", entry.name)
    assert re.fullmatch(r"[a-z]+(-[a-z0-9.]+)+", entry.alias)
    assert entry.name.split("-")[0] == entry.alias.split("-")[0]
    assert entry.family in provision._INSTALL and entry.family in provision._ARCHITECTURE
    assert re.fullmatch(r"bootstrap:[a-z]+|docker://[a-z0-9.]+(/[a-z0-9._-]+)+:[A-Za-z0-9._-]+", entry.source)
    assert len(f"postroj-{entry.name}") <= 48, "the name of a machine made from it"


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_an_entry_is_found_by_name_and_alias(entry: Entry) -> None:
    assert resolve(entry.name) is entry
    assert resolve(entry.alias) is entry


def test_names_and_aliases_are_unique() -> None:
    words = [word for entry in ENTRIES for word in {entry.name, entry.alias}]
    assert sorted(words) == sorted(set(words))


def test_the_images_that_are_promised_are_there() -> None:
    assert {"debian-buster", "debian-bullseye", "debian-bookworm", "debian-trixie"} <= {entry.name for entry in ENTRIES}


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


@pytest.mark.parametrize("version", ["7", "99", "12.5"])
def test_the_versions_that_there_are_are_told(version: str) -> None:
    with pytest.raises(UsageError, match=f"there is no version '{version}' of debian") as caught:
        resolve(f"debian-{version}")
    assert all(entry.alias in caught.value.hint for entry in ENTRIES)


@pytest.mark.parametrize(
    "name", ["", "-", "x", "DEBIAN-12", "debian-12 ", "../debian-12", "debian-\x1b[2J", "plan9-" * 1000, "\udce9"]
)
def test_what_is_no_image(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(name)
    assert caught.value.hint
    assert len(caught.value.what) < 200 and caught.value.what.isprintable()


def test_it_is_read_once() -> None:
    assert catalogue.entries() is ENTRIES
