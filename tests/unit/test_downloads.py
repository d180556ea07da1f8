"""Where downloads of images lie: kept when broken off, gone when used, swept when old, never under somebody's feet."""

import os
import threading
import time
from pathlib import Path

import pytest

from postroj import settings
from postroj.image import downloads
from postroj.image import sweep as sweep_all


def there() -> list[str]:
    try:
        return sorted(os.listdir(os.path.join(settings.images_dir(), ".downloads")))
    except FileNotFoundError:
        return []


def begun(key: str, *, days: float = 0) -> str:
    """A download that was broken off so many days ago."""
    with downloads.place(key) as place:
        Path(place.path, "blob").write_text("half")
    then = time.time() - days * 86400
    os.utime(place.path, (then, then))
    return os.path.basename(place.path)


def test_where_nothing_came_nothing_stays() -> None:
    with downloads.place("x") as place:
        assert os.listdir(place.path) == []
    assert there() == []


def test_what_is_broken_off_is_there_for_the_next() -> None:
    with pytest.raises(KeyboardInterrupt), downloads.place("x") as first:
        Path(first.path, "blob").write_text("half")
        raise KeyboardInterrupt
    with downloads.place("x") as second:
        assert second.path == first.path
        assert Path(second.path, "blob").read_text() == "half"


def test_what_has_been_used_is_gone() -> None:
    with downloads.place("x") as place:
        Path(place.path, "blob").write_text("whole")
        place.discard()
    assert there() == []


@pytest.mark.parametrize("key", ["", "a", "../../x", "docker://h/x:tag@sha256:0", "a\nb", "é", "x" * 100_000])
def test_each_has_a_place_of_its_own_and_none_elsewhere(key: str) -> None:
    with downloads.place("other") as other, downloads.place(key) as place:
        assert os.path.dirname(place.path) == os.path.dirname(other.path)
        assert len(there()) == 2


def test_nobody_else_reaches_them() -> None:
    begun("x")
    assert os.stat(os.path.join(settings.images_dir(), ".downloads")).st_mode & 0o777 == 0o700


def test_the_second_waits_for_the_first() -> None:
    order: list[str] = []

    def second() -> None:
        with downloads.place("x") as place:
            order.append("second")
            assert os.listdir(place.path) == []

    thread = threading.Thread(target=second)
    with downloads.place("x") as place:
        Path(place.path, "blob").touch()
        thread.start()
        time.sleep(0.1)
        order.append("first")
        place.discard()
    thread.join(10)
    assert order == ["first", "second"] and there() == []


def test_a_sweep_takes_what_is_old() -> None:
    old, young = begun("old", days=2), begun("young", days=0.5)
    assert downloads.sweep() == [f"download {old}"]
    assert there() == [young]
    assert downloads.sweep(older_than=0) == [f"download {young}"]
    assert there() == [] == downloads.sweep(older_than=0)


def test_a_dry_run_only_says_it() -> None:
    name = begun("docker://x")
    assert downloads.sweep(older_than=0, dry_run=True) == [f"download {name}"]
    assert there() == [name]


def test_a_sweep_leaves_what_somebody_works_on() -> None:
    begun("x")
    with downloads.place("x") as place:
        os.utime(place.path, (1, 1))
        assert downloads.sweep(older_than=0) == [] == sweep_all()
        assert Path(place.path, "blob").exists()


def test_a_sweep_before_the_first_download() -> None:
    assert downloads.sweep() == [] == sweep_all()
    assert not Path(settings.images_dir()).exists()


def test_what_is_no_download_does_not_stop_a_sweep() -> None:
    old = begun("old", days=2)
    strange = Path(settings.images_dir(), ".downloads/0.txt")
    strange.touch()
    os.utime(strange, (1, 1))
    Path(settings.images_dir(), ".downloads/1.link").symlink_to("/nowhere")
    assert sweep_all() == [f"download {old}"]


def test_blobs_that_a_killed_skopeo_left_half_are_removed(tmp_path: Path) -> None:
    for name in ("oci-put-blob123", "oci-layout", "index.json"):
        (tmp_path / name).touch()
    (tmp_path / "blobs").mkdir()
    downloads.sweep_unfinished(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == ["blobs", "index.json", "oci-layout"]
    downloads.sweep_unfinished(str(tmp_path / "nothing"))
