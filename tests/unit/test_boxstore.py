"""Where boxes are kept, and the first sector of their disks; how they are made is in tests/integration/test_box.py."""

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from postroj.deadline import NEVER, Deadline
from postroj.errors import DeadlineError, ImageError
from postroj.image import box, boxstore, catalogue
from postroj.image.boxstore import BuiltBox


@pytest.fixture(autouse=True)
def boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSTROJ_IMAGES_DIR", str(tmp_path))
    return tmp_path / ".boxes"


def make(image: str, recipe: str, content: str = "a disk") -> BuiltBox:
    with boxstore.making(image, recipe, deadline=NEVER) as place:
        Path(place.file).write_text(content)
        return place.finish()


def test_found_by_image_and_recipe() -> None:
    made = make("debian-bookworm", "1")
    assert made.name == f"debian-bookworm-{made.digest[7:19]}"
    assert Path(made.path).read_text() == "a disk"
    assert boxstore.find("debian-bookworm", "1") == made
    assert boxstore.find("debian-bookworm", "2") is None
    assert boxstore.find("debian", "bookworm.1") is None
    assert boxstore.list_boxes() == [made]
    assert boxstore.sweep() == []


def test_a_box_takes_the_place_of_one_by_another_recipe(boxes: Path) -> None:
    make("debian-bookworm", "1")
    other = make("debian-bookworm-backports", "1")
    made = make("debian-bookworm", "2", "another disk")
    assert boxstore.list_boxes() == [made, other]
    assert sorted(os.listdir(boxes)) == ["debian-bookworm-backports.1", "debian-bookworm.2"]


def test_what_is_not_finished_is_removed(boxes: Path) -> None:
    def begin() -> None:
        with boxstore.making("debian-bookworm", "1", deadline=NEVER) as place:
            Path(place.file).write_text("half a disk")
            assert boxstore.sweep() == [] and not boxstore.remove("debian-bookworm")  # it is held
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin()
    assert os.listdir(boxes) == []


def test_what_a_killed_maker_has_left_is_gone_for_the_one_that_has_waited(boxes: Path) -> None:
    """It comes to be there after the sweep, and before the lock is had."""

    def kill() -> Iterator[None]:
        path = boxes / "debian-bookworm.1"
        (path / "work/root").mkdir(parents=True)
        (path / "libvirt.box").write_text("half a disk")
        yield

    killing = kill()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(boxstore, "sweep", lambda: next(killing, None))
        with boxstore.making("debian-bookworm", "1", deadline=NEVER) as place:
            assert os.listdir(boxes / "debian-bookworm.1") == []
            Path(place.file).write_text("a disk")
            place.finish()
    assert boxstore.find("debian-bookworm", "1")


@pytest.mark.parametrize("record", ["", "[]", "{", '{"image": "x"}', '{"image": 1, "digest": "x", "made": "x"}'])
def test_a_damaged_record_is_none(record: str, boxes: Path) -> None:
    made = make("debian-bookworm", "1")
    (boxes / "debian-bookworm.1/record").write_text(record)
    assert boxstore.find("debian-bookworm", "1") is None and boxstore.list_boxes() == []
    assert boxstore.sweep() == ["debian-bookworm.1"]
    assert not Path(made.path).exists()


def test_a_box_without_its_file_is_made_anew(boxes: Path) -> None:
    made = make("debian-bookworm", "1")
    Path(made.path).unlink()
    assert boxstore.find("debian-bookworm", "1") is None
    assert make("debian-bookworm", "1").digest == made.digest


def test_removed_unless_it_is_held() -> None:
    make("debian-bookworm", "1")
    other = make("debian-trixie", "1")
    with boxstore.making("debian-bookworm", "1", deadline=NEVER) as place:
        assert place.box()
        assert not boxstore.remove("debian-bookworm")
    assert boxstore.remove("debian-bookworm")
    assert not boxstore.remove("debian-bookworm")
    assert boxstore.list_boxes() == [other]


def test_last_use(boxes: Path) -> None:
    made = make("debian-bookworm", "1")
    os.utime(boxes / "debian-bookworm.1/record", (0, 0))
    assert boxstore.last_used(made) == 0
    assert boxstore.find("debian-bookworm", "1")
    assert boxstore.last_used(made) > 0


def test_another_maker_is_waited_for_until_the_deadline() -> None:
    with boxstore.making("debian-bookworm", "1", deadline=NEVER):
        with pytest.raises(DeadlineError, match="had not made the box of debian-bookworm within 0 s"):
            with boxstore.making("debian-bookworm", "1", deadline=Deadline(0)):
                pass


def test_boot_sector() -> None:
    sector = box._boot_sector(bytes(range(256)) * 2, 1000)
    assert len(sector) == 512 and sector[:440] == (bytes(range(256)) * 2)[:440] and sector[510:] == b"\x55\xaa"
    status, _, kind, _, start, sectors = struct.unpack("<B3sB3sII", sector[446:462])
    assert (status, kind, start, sectors) == (0x80, 0x83, 2048, 1000)
    assert sector[462:510] == bytes(48)


def test_of_debian_only() -> None:
    assert str(box._source(catalogue.resolve("debian-12"))) == "bootstrap:bookworm"
    for name in ("ubuntu-24.04", "fedora-43", "debian-10"):
        with pytest.raises(ImageError, match="no box can be made of ") as caught:
            box._source(catalogue.resolve(name))
        assert caught.value.hint.startswith("there is debian-bullseye, debian-bookworm, debian-trixie")


def test_the_recipe_is_of_all_that_a_box_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    bookworm, trixie = (box._source(catalogue.resolve(name)) for name in ("debian-12", "debian-13"))
    recipes = {box._recipe(bookworm), box._recipe(trixie)}
    monkeypatch.setattr(box, "_FILES", json.loads(json.dumps(box._FILES)) | {"etc/motd": "hello\n"})
    assert len(recipes | {box._recipe(bookworm)}) == 3
