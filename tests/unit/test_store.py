"""Where images are kept: replaced atomically, never removed under somebody's feet, never half there."""

import json
import os
import threading
from pathlib import Path

import pytest

from postroj import events, locks, settings
from postroj.errors import ImageError
from postroj.image import store
from postroj.image.source import is_digest
from postroj.locks import DirectoryLock

from .trees import NEEDED, RECORD, being_made, fill, pulled, tree_of

NAME = "debian-bookworm"


def trees() -> list[str]:
    try:
        return sorted(str(path) for path in Path(settings.images_dir(), ".trees").iterdir())
    except FileNotFoundError:
        return []


def test_nothing_is_there_at_first() -> None:
    assert store.list_names() == []
    with store.used(NAME) as image:
        assert image is None
    store.sweep()
    assert not Path(settings.images_dir()).exists()


def test_an_image_is_found_by_its_name() -> None:
    tree = pulled(NAME)
    assert store.list_names() == [NAME]
    with store.used(NAME) as image:
        assert image is not None
        assert image.root == f"{tree}/root" == os.path.realpath(os.path.join(settings.images_dir(), NAME))
        found = {"name": NAME, "root": f"{tree}/root", "digest": image.digest, "size": image.size}
        assert image._asdict() == {**RECORD, **found}
        assert is_digest(image.digest) and os.path.basename(tree) == f"{image.digest.replace(':', '-')}.{store.RECIPE}"
        assert 4 * 4096 <= image.size <= 4 * 65536


def test_links_in_the_tree_are_not_followed_for_its_size(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 10_000_000)
    with being_made(NAME) as tree:
        Path(tree, "root", "link").symlink_to(tmp_path / "large")
        Path(tree, "root", "directory").symlink_to("/usr")
    with store.used(NAME) as image:
        assert image is not None and image.size < 1_000_000


def test_a_new_one_takes_the_place_of_the_old_and_the_old_is_swept() -> None:
    old, new = pulled(NAME), pulled(NAME)
    assert trees() == [new] != [old]
    with store.used(NAME) as image:
        assert image is not None and image.root == f"{new}/root"


def test_what_is_used_is_kept_until_it_is_used_no_more() -> None:
    old = pulled(NAME)
    with store.used(NAME) as first, store.used(NAME) as second:
        assert first == second and first is not None
        new = pulled(NAME)
        assert trees() == sorted([old, new])
        assert Path(first.root, "bin/sh").exists()
        with store.used(NAME) as third:
            assert third is not None and third.root == f"{new}/root"
    store.sweep()
    assert trees() == [new]


def test_images_do_not_touch_each_other() -> None:
    one, other = pulled(NAME), pulled("debian-trixie")
    store.sweep()
    assert trees() == sorted([one, other])
    assert store.list_names() == [NAME, "debian-trixie"]


@pytest.mark.parametrize("broken", [OSError("no"), KeyboardInterrupt()])
def test_a_pull_that_fails_leaves_the_image_as_it_was(broken: BaseException) -> None:
    old = pulled(NAME)
    with pytest.raises(type(broken)):
        with being_made(NAME):
            raise broken
    assert trees() == [old]
    with store.used(NAME) as image:
        assert image is not None and image.root == f"{old}/root"


@pytest.mark.parametrize("missing", NEEDED)
def test_a_tree_that_lacks_something_is_not_activated(missing: str) -> None:
    old = pulled(NAME)
    with pytest.raises(ImageError, match="damaged") as caught:
        with being_made(NAME) as tree:
            Path(tree, "root", missing).unlink()
    assert missing in caught.value.why
    assert trees() == [old]


@pytest.mark.parametrize("field", [field for field in RECORD if field != "digest"])
def test_a_record_that_lacks_something_is_not_activated(field: str) -> None:
    with store.pulling(NAME), store.new_tree(NAME) as tree:
        fill(tree)
        with pytest.raises(ImageError, match="damaged"):
            store.activate(NAME, tree, {key: value for key, value in RECORD.items() if key != field})
    assert store.list_names() == [] and trees() == []


def test_a_guests_links_count_as_there_and_are_not_followed() -> None:
    with being_made(NAME) as tree:
        shell = Path(tree, "root", "bin/sh")
        shell.unlink()
        shell.symlink_to("/nowhere/on/the/host")


@pytest.mark.parametrize(
    "record",
    [
        b"", b"{", b"[]", b"1", b"null", b"{}", b"\xff\xfe\0", b'{"name": "x"}',
        *(
            json.dumps({**RECORD, "size": 1, **changes}).encode()
            for changes in (
                {"more": 1}, {"name": NAME}, {"root": "/"}, {"size": "1"}, {"pulled": 5}, {"digest": None},
                {"systemd": "new"}, {"stamp": []},
            )
        ),
    ],
    ids=lambda record: record[-20:].decode(errors="replace"),
)  # fmt: skip
def test_a_damaged_record(record: bytes) -> None:
    Path(pulled(NAME), "record").write_bytes(record)
    with pytest.raises(ImageError, match=f"the image {NAME} is damaged") as caught:
        with store.used(NAME):
            pass
    assert f"postroj pull --update {NAME}" in caught.value.hint
    assert store.list_names() == [NAME]


def test_a_record_that_is_not_there() -> None:
    Path(pulled(NAME), "record").unlink()
    with pytest.raises(ImageError, match="damaged"):
        with store.used(NAME):
            pass


@pytest.mark.parametrize("missing", NEEDED)
def test_a_tree_that_was_damaged_later(missing: str) -> None:
    Path(pulled(NAME), "root", missing).unlink()
    with pytest.raises(ImageError, match="damaged"):
        with store.used(NAME):
            pass


@pytest.mark.parametrize("target", [".trees/gone/root", "/nowhere/root", "x", "debian-bookworm", ".."])
def test_a_dangling_link(target: str) -> None:
    Path(settings.images_dir()).mkdir(parents=True)
    Path(settings.images_dir(), NAME).symlink_to(target)
    with pytest.raises(ImageError, match="damaged"):
        with store.used(NAME):
            pass
    assert store.list_names() == [NAME]
    new = pulled(NAME)
    with store.used(NAME) as image:
        assert image is not None and image.root == f"{new}/root"


@pytest.mark.parametrize("name", ["", ".", "..", ".trees", "../x", "a/b", "A", "-x", "x\n", "\0", "x" * 5000])
def test_a_name_that_none_has(name: str) -> None:
    pulled(NAME)
    with store.used(name) as image:
        assert image is None


def test_what_is_no_link_is_no_image() -> None:
    pulled(NAME)
    Path(settings.images_dir(), "directory").mkdir()
    Path(settings.images_dir(), "file").touch()
    Path(settings.images_dir(), ".new-x").symlink_to("y")
    assert store.list_names() == [NAME]


def test_a_link_that_a_kill_has_left_half_made_is_overwritten() -> None:
    Path(settings.images_dir()).mkdir(parents=True)
    Path(settings.images_dir(), f".new-{NAME}").symlink_to("nowhere")
    pulled(NAME)
    assert not os.path.lexists(os.path.join(settings.images_dir(), f".new-{NAME}"))


def test_debris_of_a_killed_pull_is_swept_and_a_living_pull_is_not() -> None:
    with being_made("debian-sid") as living:
        debris = Path(settings.images_dir(), ".trees", "debian-sid.00000000")
        (debris / "root/etc").mkdir(parents=True)
        store.sweep()
        assert trees() == [living]


def test_a_sweep_does_not_lock_an_image_even_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = pulled(NAME)
    asked: list[str] = []
    lock_directory = locks.lock_directory

    def lock(path: str, *, create: bool = False, shared: bool = False, wait: bool = True) -> DirectoryLock | None:
        asked.append(path)
        return lock_directory(path, create=create, shared=shared, wait=wait)

    monkeypatch.setattr(locks, "lock_directory", lock)
    store.sweep()
    assert tree not in asked


def test_an_image_that_is_pulled_again_and_again_can_be_used_at_any_moment() -> None:
    pulled(NAME)
    thread = threading.Thread(target=lambda: [pulled(NAME) for _ in range(30)])
    thread.start()
    roots = set()
    while thread.is_alive():
        with store.used(NAME) as image:
            assert image is not None and Path(image.root, "bin/sh").read_text()
            roots.add(image.root)
    thread.join()
    assert len(roots) > 1 and len(trees()) <= 2


def test_what_is_no_tree_of_ours_does_not_stop_a_pull() -> None:
    Path(settings.images_dir(), ".trees").mkdir(parents=True)
    Path(settings.images_dir(), ".trees", "notes.txt").touch()
    pulled(NAME)
    assert store.list_names() == [NAME]


def test_the_right_to_pull_is_one_at_a_time_and_who_waited_is_told() -> None:
    told: list[bool] = []
    waits = threading.Event()

    def listen(event: events.Event) -> None:
        if isinstance(event, events.Step) and "waits" in event.text:
            waits.set()

    def second() -> None:
        with store.pulling(NAME) as replaced:
            told.append(replaced)

    thread = threading.Thread(target=second)
    with events.listening(listen):
        with store.pulling(NAME) as replaced:
            thread.start()
            assert waits.wait(10)
            pulled(NAME)
            assert told == []
        thread.join(10)
    assert (replaced, told) == (False, [True])
    assert not [name for name in os.listdir(settings.images_dir()) if name.startswith(".pull")]


def test_other_images_can_be_pulled_meanwhile() -> None:
    with store.pulling(NAME), store.pulling("debian-sid") as replaced:
        assert replaced is False


def test_a_pull_that_fails_gives_the_right_back() -> None:
    with pytest.raises(OSError), store.pulling(NAME):
        raise OSError
    with store.pulling(NAME) as replaced:
        assert replaced is False


def test_nobody_else_reaches_the_trees() -> None:
    pulled(NAME)
    assert Path(settings.images_dir(), ".trees").stat().st_mode & 0o777 == 0o700


def test_a_tree_is_locked_while_it_is_made_and_used() -> None:
    with being_made(NAME) as tree:
        assert locks.lock_directory(tree, wait=False) is None
    tree = tree_of(NAME)
    with store.used(NAME):
        assert locks.lock_directory(tree, wait=False) is None
    lock = locks.lock_directory(tree, wait=False)
    assert lock is not None
    lock.release()
