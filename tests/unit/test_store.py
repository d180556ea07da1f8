"""Where images are kept: replaced atomically, never removed under somebody's feet, never half there."""

import json
import os
import threading
import time
from pathlib import Path

import pytest

from postroj import events, locks, settings
from postroj.errors import ImageError
from postroj.image import store
from postroj.image.source import is_digest
from postroj.image.store import Image
from postroj.locks import DirectoryLock

from .trees import NEEDED, RECORD, being_made, fill, pulled, tree_of

PULL = {key: RECORD[key] for key in ("reference", "stamp", "pulled", "platform")}

NAME = "debian-bookworm"


def trees() -> list[str]:
    try:
        return sorted(str(path) for path in Path(settings.images_dir(), ".trees").iterdir())
    except FileNotFoundError:
        return []


def test_nothing_is_there_at_first() -> None:
    assert store.list_names() == []
    with store.open_image(NAME) as image:
        assert image is None
    store.sweep()
    assert not Path(settings.images_dir()).exists()


def test_an_image_is_found_by_its_name() -> None:
    tree = pulled(NAME)
    assert store.list_names() == [NAME]
    with store.open_image(NAME) as image:
        assert image is not None
        assert image.root == f"{tree}/root" == os.path.realpath(os.path.join(settings.images_dir(), NAME))
        found = {"name": NAME, "root": f"{tree}/root", "digest": image.digest, "size": image.size}
        assert image._asdict() == {**RECORD, **found}
        assert (
            is_digest(image.digest)
            and os.path.basename(tree) == f"{image.digest.replace(':', '-')}.{store.PROVISIONING_VERSION}"
        )
        assert 4 * 4096 <= image.size <= 4 * 65536


def test_links_in_the_tree_are_not_followed_for_its_size(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 10_000_000)
    with being_made(NAME) as tree:
        Path(tree, "root", "link").symlink_to(tmp_path / "large")
        Path(tree, "root", "directory").symlink_to("/usr")
    with store.open_image(NAME) as image:
        assert image is not None and image.size < 1_000_000


def test_a_new_one_takes_the_place_of_the_old_and_the_old_is_swept() -> None:
    old, new = pulled(NAME), pulled(NAME)
    assert trees() == [new] != [old]
    with store.open_image(NAME) as image:
        assert image is not None and image.root == f"{new}/root"


def test_what_is_used_is_kept_until_it_is_used_no_more() -> None:
    old = pulled(NAME)
    with store.open_image(NAME) as first, store.open_image(NAME) as second:
        assert first == second and first is not None
        new = pulled(NAME)
        assert trees() == sorted([old, new])
        assert Path(first.root, "bin/sh").exists()
        with store.open_image(NAME) as third:
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
    with store.open_image(NAME) as image:
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
            json.dumps({**RECORD, "size": 1, field: value}).encode()
            for field, value in [
                ("more", 1), ("name", NAME), ("root", "/"), ("size", "1"), ("pulled", 5), ("digest", None),
                ("systemd", "new"), ("stamp", []),
            ]
        ),
    ],
    ids=lambda record: record[-20:].decode(errors="replace"),
)  # fmt: skip
def test_a_damaged_record(record: bytes) -> None:
    Path(pulled(NAME), "record").write_bytes(record)
    with pytest.raises(ImageError, match=f"the image {NAME} is damaged") as caught:
        with store.open_image(NAME):
            pass
    assert f"postroj pull --update {NAME}" in caught.value.hint
    assert store.list_names() == [NAME]


def test_a_record_that_is_not_there() -> None:
    Path(pulled(NAME), "record").unlink()
    with pytest.raises(ImageError, match="damaged"):
        with store.open_image(NAME):
            pass


@pytest.mark.parametrize("missing", NEEDED)
def test_a_tree_that_was_damaged_later(missing: str) -> None:
    Path(pulled(NAME), "root", missing).unlink()
    with pytest.raises(ImageError, match="damaged"):
        with store.open_image(NAME):
            pass


@pytest.mark.parametrize("target", [".trees/gone/root", "/nowhere/root", "x", "debian-bookworm", ".."])
def test_a_dangling_link(target: str) -> None:
    Path(settings.images_dir()).mkdir(parents=True)
    Path(settings.images_dir(), NAME).symlink_to(target)
    with pytest.raises(ImageError, match="damaged"):
        with store.open_image(NAME):
            pass
    assert store.list_names() == [NAME]
    new = pulled(NAME)
    with store.open_image(NAME) as image:
        assert image is not None and image.root == f"{new}/root"


@pytest.mark.parametrize("name", ["", ".", "..", ".trees", "../x", "a/b", "A", "-x", "x\n", "\0", "x" * 5000])
def test_a_name_that_none_has(name: str) -> None:
    pulled(NAME)
    with store.open_image(name) as image:
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


def test_what_killed_pulls_left_goes_before_room_is_needed() -> None:
    debris = Path(settings.images_dir(), ".trees", f"{NAME}.1a2b3c4d")
    debris.mkdir(parents=True)
    with store.new_tree(NAME) as tree:
        assert trees() == [tree]


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
        with store.open_image(NAME) as image:
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
        if isinstance(event, events.Step) and "waiting" in event.text:
            waits.set()

    def second() -> None:
        with store.pulling(NAME) as replaced:
            told.append(replaced)

    thread = threading.Thread(target=second)
    with events.subscribed(listen):
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
    with store.open_image(NAME):
        assert locks.lock_directory(tree, wait=False) is None
    lock = locks.lock_directory(tree, wait=False)
    assert lock is not None
    lock.release()


# trees by digest


DIGEST = "sha256:" + "1" * 64
OTHER = "debian-sid"


def image_of(name: str) -> Image:
    with store.open_existing(name) as image:
        return image


def test_a_digest_that_is_given_is_kept() -> None:
    assert os.path.basename(pulled(NAME, digest=DIGEST)) == f"sha256-{'1' * 64}.{store.PROVISIONING_VERSION}"
    assert image_of(NAME).digest == DIGEST


def test_trees_with_the_same_in_them_have_the_same_digest() -> None:
    for name in (NAME, OTHER):
        with being_made(name) as tree:
            for needed in NEEDED:
                Path(tree, "root", needed).write_text("same")
    assert image_of(NAME).digest == image_of(OTHER).digest and len(trees()) == 1


def test_a_digest_that_is_not_here_changes_nothing() -> None:
    old = pulled(NAME)
    assert store.link_digest(NAME, DIGEST, PULL) is False
    assert store.link_digest(OTHER, DIGEST, PULL) is False
    assert (store.list_names(), tree_of(NAME)) == ([NAME], old)


def test_a_digest_that_is_here_gets_another_name() -> None:
    tree = pulled(NAME, digest=DIGEST)
    before = image_of(NAME)
    assert store.link_digest(OTHER, DIGEST, {**PULL, "reference": "docker://x", "pulled": "2026-02-02T00:00:00+00:00"})
    assert trees() == [tree] == [tree_of(OTHER)]
    expected = before._replace(name=OTHER, reference="docker://x", pulled="2026-02-02T00:00:00+00:00")
    assert image_of(OTHER) == expected


def test_a_name_that_goes_back_to_a_digest_that_is_still_in_use() -> None:
    old = pulled(NAME, digest=DIGEST)
    with store.open_image(NAME):
        pulled(NAME)
        assert store.link_digest(NAME, DIGEST, PULL)
    store.sweep()
    assert trees() == [old] == [tree_of(NAME)]


@pytest.mark.parametrize("missing", ["record", *(f"root/{needed}" for needed in NEEDED)])
def test_a_damaged_tree_gets_no_name(missing: str) -> None:
    Path(pulled(NAME, digest=DIGEST), missing).unlink()
    assert store.link_digest(OTHER, DIGEST, PULL) is False
    assert store.list_names() == [NAME]


@pytest.mark.parametrize("first", [NAME, OTHER])
def test_a_tree_with_two_names_goes_with_the_last(first: str) -> None:
    tree = pulled(NAME, digest=DIGEST)
    store.link_digest(OTHER, DIGEST, PULL)
    assert store.remove(first) is True
    assert trees() == [tree] and len(store.list_names()) == 1
    assert store.remove(first) is False
    assert store.remove(*store.list_names()) is True
    assert trees() == [] == store.list_names()


def test_what_is_removed_while_it_is_used_goes_when_it_is_used_no_more() -> None:
    tree = pulled(NAME)
    with store.open_image(NAME):
        assert store.remove(NAME) is True
        assert (store.list_names(), trees()) == ([], [tree])
    assert store.sweep() == [os.path.basename(tree)]
    assert trees() == []


def test_a_tree_with_the_same_digest_is_taken_and_the_new_one_swept() -> None:
    old = pulled(NAME, digest=DIGEST)
    inode = os.stat(old).st_ino
    assert pulled(OTHER, digest=DIGEST, reference="docker://x", stamp="s") == old
    assert trees() == [old] and os.stat(old).st_ino == inode
    assert (image_of(OTHER).reference, image_of(OTHER).stamp) == ("docker://x", "s")


def test_a_damaged_tree_with_the_same_digest_is_replaced_and_who_uses_it_keeps_it() -> None:
    old = pulled(NAME, digest=DIGEST)
    with store.open_image(NAME) as image:
        assert image is not None
        opened = os.open(image.root, os.O_PATH)
        (Path(image.root) / "bin/sh").unlink()
        assert pulled(OTHER, digest=DIGEST) == old
        assert os.path.exists(f"/proc/self/fd/{opened}/usr/lib/os-release")
        os.close(opened)
        assert len(trees()) == 2
    store.sweep()
    assert trees() == [old]
    assert image_of(NAME).size == image_of(OTHER).size, "both names have the sound one"


def test_a_tree_with_the_same_digest_that_is_swept_at_that_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    debris = pulled(OTHER, digest=DIGEST)
    link_digest = store.link_digest

    def swept_before(name: str, digest: str, changes: dict[str, str]) -> bool:
        store.remove(OTHER)
        assert trees() != [debris]
        return link_digest(name, digest, changes)

    monkeypatch.setattr(store, "link_digest", swept_before)
    assert pulled(NAME, digest=DIGEST) == debris
    assert image_of(NAME).digest == DIGEST


def test_another_recipe_makes_other_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    old = pulled(NAME, digest=DIGEST)
    monkeypatch.setattr(store, "PROVISIONING_VERSION", store.PROVISIONING_VERSION + 1)
    assert store.link_digest(NAME, DIGEST, PULL) is False
    assert image_of(NAME).digest == DIGEST, "what is here goes on working"
    new = pulled(NAME, digest=DIGEST)
    assert trees() == [new] != [old]


def test_each_platform_has_a_tree_of_its_own() -> None:
    tree = pulled(NAME, digest=DIGEST, platform="arm/v7")
    assert os.path.basename(tree) == f"sha256-{'1' * 64}.arm-v7.{store.PROVISIONING_VERSION}"
    assert store.link_digest(OTHER, DIGEST, PULL) is False
    assert store.link_digest(OTHER, DIGEST, {**PULL, "platform": "arm64"}) is False
    assert store.link_digest(OTHER, DIGEST, {**PULL, "platform": "arm/v7"}) is True
    assert pulled(NAME, digest=DIGEST) != tree


# what is known of them


def test_a_sound_image_is_as_it_was() -> None:
    pulled(NAME)
    assert store.verify(NAME) == []


def test_what_has_changed_in_an_image_is_told() -> None:
    root = Path(pulled(NAME), "root")
    (root / "bin/sh").write_text("other")
    (root / "new").touch()
    assert store.verify(NAME) == ["/bin/sh has changed", "/new is new"]


@pytest.mark.parametrize("missing", ["record", "manifest"])
def test_an_image_that_cannot_be_compared_is_damaged(missing: str) -> None:
    Path(pulled(NAME), missing).unlink()
    with pytest.raises(ImageError, match=f"the image {NAME} is damaged"):
        store.verify(NAME)


def test_an_image_that_is_not_here_cannot_be_looked_at() -> None:
    with pytest.raises(ImageError, match=f"the image {NAME} is not downloaded") as caught:
        store.verify(NAME)
    assert f"postroj pull {NAME}" in caught.value.hint


def test_the_last_use_is_known_and_looking_is_no_use() -> None:
    record = Path(pulled(NAME), "names", NAME)
    now, then = time.time(), time.time() - 40 * 86400
    with store.open_existing(NAME) as image:
        assert abs(store.last_used(image) - now) < 60
        os.utime(record, (then, then))
    with store.open_image(NAME, note=False), store.open_existing(NAME) as image:
        record.read_text()
        assert store.last_used(image) == pytest.approx(then)
    with store.open_image(NAME) as used:
        assert used is not None and abs(store.last_used(used) - now) < 60
        assert store.remove(NAME)
        assert abs(store.last_used(used) - now) < 60, "somebody else may remove it meanwhile"


@pytest.mark.parametrize(
    ("name", "machine"),
    [
        ("debian-bookworm", "postroj-debian-bookworm"),
        ("alpine-3.20", "postroj-alpine-3-20"),
        ("a..b", "postroj-a--b"),
        ("a.", "postroj-a"),
        ("x" * 63, "postroj-" + "x" * 44),
        ("x" * 43 + "-y", "postroj-" + "x" * 43),
    ],
)
def test_a_machine_is_called_like_a_host(name: str, machine: str) -> None:
    pulled(NAME)
    found = image_of(NAME)._replace(name=name).machine
    assert found == machine
    assert len(found) <= 52 and not {".", "_"} & set(found) and found[-1] != "-"


def test_an_image_without_systemd_needs_little_and_does_not_boot() -> None:
    os.makedirs(settings.images_dir())
    with store.new_tree(NAME) as tree:
        Path(tree, "root").mkdir()
        store.activate(NAME, tree, {**RECORD, "systemd": ""})
    assert image_of(NAME).boots is False
    pulled(OTHER)
    assert image_of(OTHER).boots is True
