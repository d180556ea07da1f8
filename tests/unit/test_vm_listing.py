"""What a VM has changed: two lists of its files, compared."""

import os
import subprocess
from pathlib import Path

import pytest

from postroj.errors import HostError
from postroj.vm import listing


def _listed(root: Path) -> listing.Listing:
    """Return the list of a directory, as the script has it of a guest's root."""
    script = listing.SCRIPT.replace("find /", "find .").replace("! -path /", "! -path .").replace(".etc", "./etc")
    done = subprocess.run(["sh", "-c", script], cwd=root, stdout=subprocess.PIPE, check=True)
    return listing.parse(done.stdout.replace(b"\0./", b"\0/").replace(b"  ./", b"  /"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path in ("etc/a.conf", "etc/a b", "usr/bin/x", "var/lib/x/1", "var/lib/x/2"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"of {path}\n")
    (tmp_path / "lib").symlink_to("usr/lib with a space")
    os.mkfifo(tmp_path / "var/fifo")
    return tmp_path


def test_nothing_has_changed(root: Path) -> None:
    before = _listed(root)
    assert before["/lib"].target == "usr/lib with a space"
    assert (before["/etc/a b"].kind, before["/var/fifo"].kind, before["/var/lib"].kind) == ("file", "fifo", "directory")
    assert listing.changes(before, _listed(root)).files == {}


def test_what_has_changed(root: Path) -> None:
    before = _listed(root)
    (root / "etc/new\n\xff").write_text("x")
    (root / "etc/a.conf").write_text("OF etc/a.conf\n")
    os.utime(root / "etc/a b", (0, 0))  # only touched
    os.utime(root / "usr/bin/x", (0, 0))
    (root / "lib").unlink()
    (root / "lib").symlink_to("elsewhere")
    (root / "var/fifo").chmod(0o600)
    for path in ("var/lib/x/1", "var/lib/x/2"):
        (root / path).unlink()
    (root / "var/lib/x").rmdir()
    found = listing.changes(before, _listed(root))
    assert not found.is_cut
    assert {path: one.what for path, one in found.files.items()} == {
        "/etc/new\n\xff": "added",
        "/etc/a.conf": "changed",
        "/usr/bin/x": "changed",
        "/lib": "changed",
        "/var/fifo": "changed",
        "/var/lib/x": "removed",
    }
    assert found.files["/lib"].target == "elsewhere"
    assert found.files["/var/fifo"].mode == 0o600


@pytest.mark.parametrize(
    "output",
    [
        b"", b"\0", b"\0\n", b"x\0/a\0\n", b"f 644 0 0 1 x \0/a\0\n", b"f 9 0 0 1 1.5 \0/a\0\n",
        b"? 644 0 0 1 1.5 \0/a\0\n",
        b"f 644 0 0\0/a\0", b"f 644 0 0 1 1.5 \0", b"\n\0\n  /a\0", b"f " + b"9" * 5000 + b" 0 0 1 1.5 \0/a\0\n",
    ],
)  # fmt: skip
def test_a_guest_that_prints_something_else(output: bytes) -> None:
    assert listing.parse(output) == {}


def test_what_is_kept(root: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "kept")
    assert not listing.is_of(path, b"one")
    output = b"f 644 0 0 1 1.5000000000 \0/a\0\n" + b"a" * 64 + b"  /a\0"
    listing.save(path, b"one", output)
    assert listing.is_of(path, b"one") and not listing.is_of(path, b"two")
    assert listing.load(path) == listing.parse(output)
    assert listing.load(path)["/a"] == listing.Entry("file", 0o644, 0, 0, 1, 1_500_000_000, "", "a" * 64)


def test_more_files_than_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest would seem to be removed."""
    monkeypatch.setattr(listing, "_MOST", 2)
    told = [f"f 644 0 0 1 1.0 \0/{name}\0".encode() for name in "abc"]
    assert len(listing.parse(b"".join(told[:2]))) == 2
    with pytest.raises(HostError, match="more than 2 files"):
        listing.parse(b"".join(told))
