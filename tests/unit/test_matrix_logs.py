"""Logs of cells that another host sends back: as many as fit, and written nowhere but below their directory."""

import os
from pathlib import Path

import pytest

from postroj.container.guest.entries import Bounds
from postroj.errors import HostError
from postroj.matrix import logs
from postroj.matrix.logs import Logs, gather, keep


def test_what_is_gathered_is_kept(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here" / "cell"
    (there / "units").mkdir(parents=True)
    (there / "units/a.txt").write_text("a")
    (there / "empty.txt").touch()
    keep(gather(str(there)), str(here))
    keep(gather(str(there)), str(here))  # of a second try
    assert {str(one.relative_to(here)) for one in here.rglob("*")} == {"units", "units/a.txt", "empty.txt"}
    assert (here / "units/a.txt").read_text() == "a"


def test_a_cell_without_logs(tmp_path: Path) -> None:
    assert gather(str(tmp_path / "none")) == Logs()
    keep(Logs(), str(tmp_path / "none"))
    assert not os.listdir(tmp_path)


def test_only_files_are_gathered_and_no_more_than_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_BOUNDS", Bounds(files=100, depth=3, size=1000))
    (tmp_path / "secret").write_text("secret")
    place = tmp_path / "logs"
    (place / "a/b/c/d").mkdir(parents=True)
    (place / "a/b/c/d/deep").write_text("deep")
    (place / "link").symlink_to(tmp_path / "secret")
    (place / "linked").symlink_to(tmp_path)
    os.mkfifo(place / "pipe")
    (place / "large").write_bytes(bytes(1001))
    (place / "small").write_text("small")
    found = gather(str(place))
    assert found.files == {"small": b"small"}
    assert all(word in found.lacking for word in ("large", "pipe: it is neither", "nested more than 3 deep"))


@pytest.mark.parametrize(
    "name",
    [
        "../out",
        "a/../../out",
        "/out",
        "",
        ".",
        "a//b",
        "linked/out",
        "null\0",
        "x" * 300,
        "a/b/c/d/e/f/g/h/i/j",
        "\udcff/..",
    ],
)
def test_names_that_lead_elsewhere_are_refused(name: str, tmp_path: Path) -> None:
    here = tmp_path / "here"
    (tmp_path / "elsewhere").mkdir()
    here.mkdir()
    (here / "linked").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError, match="cannot be written to"):
        keep(Logs({name: b"data"}), str(here))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["elsewhere", "here"]
    assert not os.listdir(tmp_path / "elsewhere")
    assert not [one for one in here.rglob("*") if one.is_file()]


def test_a_link_in_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    here = tmp_path / "here"
    here.mkdir()
    (here / "log.txt").symlink_to(tmp_path / "secret")
    keep(Logs({"log.txt": b"new"}), str(here))
    assert (tmp_path / "secret").read_text() == "secret"
    assert (here / "log.txt").read_text() == "new"


def test_more_than_was_agreed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_BOUNDS", Bounds(files=2, size=10))
    for files in ({"a": bytes(11)}, {"a": b"", "b": b"", "c": b""}):
        with pytest.raises(HostError, match="has sent too much"):
            keep(Logs(files), str(tmp_path / "here"))
    assert not os.listdir(tmp_path)
