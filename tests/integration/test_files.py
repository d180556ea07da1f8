"""Images from tarballs and directories, by path and by URL; their export; and what is no root file system."""

import hashlib
import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from badinput import assert_refused, assert_told
from layouts import PROGRAM, alpine, layout, run
from layouts import tree as unpacked
from moments import started, until
from namespaces import with_small_disk
from residue import image_debris
from support import POSTROJ, Run
from webserver import serving

pytestmark = pytest.mark.once

Fill = Callable[[tarfile.TarFile], None]
_PACKED = {".tar": [], ".tar.gz": ["--gzip"], ".tar.xz": ["--xz"], ".tar.zst": ["--zstd"], ".tar.bz2": ["--bzip2"]}


@pytest.fixture
def run_here(state: Path, postroj: Run) -> Run:
    return lambda *words, **more: postroj(*words, env={"POSTROJ_STATE_DIR": str(state), **more})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small root file system: a program, and os-release."""
    path = unpacked(PROGRAM, tmp_path / "root")
    (path / "etc").mkdir()
    (path / "etc/os-release").write_text("ID=small\n")
    return path


@pytest.fixture
def tarball(root: Path, tmp_path: Path) -> Path:
    return pack(root, tmp_path / "small.tar.gz")


def pack(root: Path, path: Path) -> Path:
    run("tar", "--create", *_PACKED["." + path.name.split(".", 1)[1]], f"--file={path}", f"--directory={root}", ".")
    return path


def made(path: Path, fill: Fill) -> Path:
    with tarfile.open(path, "w") as archive:
        fill(archive)
    return path


def works(done: "subprocess.CompletedProcess[str]") -> None:
    assert (done.returncode, done.stdout.startswith("ldconfig")) == (0, True), done.stderr


@pytest.mark.parametrize("ending", _PACKED)
def test_tarball_however_it_is_packed(ending: str, run_here: Run, root: Path, tmp_path: Path) -> None:
    path = pack(root, tmp_path / f"small{ending}")
    assert run_here("image", "import", path, "small").returncode == 0
    works(run_here("run", "small", "/program", "--version"))
    assert "small\t-\tnone" in run_here("list-images", "--pulled").stdout


@pytest.mark.network
def test_alpine_as_it_is_published(run_here: Run) -> None:
    done = run_here("run", alpine(), "sh", "-c", "cat /etc/alpine-release; apk --version")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "3.20.3"), done.stderr
    as_user = run_here("run", "--user=nobody", alpine(), "--", "sh", "-c", 'id -un; echo "$1"; exit 5', "sh", "-a b")
    assert (as_user.returncode, as_user.stdout) == (5, "nobody\n-a b\n"), as_user.stderr
    missing = run_here("run", "--user=nobody", alpine(), "--", "nothing")
    assert (missing.returncode, "Failed" in missing.stderr) == (127, False)


@pytest.mark.parametrize("prefix", ["", "./"])
def test_tarball_with_device_nodes_as_debootstrap_makes_them(
    prefix: str, run_here: Run, root: Path, tmp_path: Path, state: Path
) -> None:
    for directory in ("dev/net", "etc/dev"):
        (root / directory).mkdir(parents=True)
    for node, number in (("dev/null", os.makedev(1, 3)), ("dev/net/tun", os.makedev(10, 200))):
        os.mknod(root / node, 0o666 | stat.S_IFCHR, number)
    (root / "etc/dev/file").touch()
    path = tmp_path / "root.tar"
    names = ["."] if prefix else [entry.name for entry in root.iterdir()]
    subprocess.run(["tar", f"--directory={root}", "--create", f"--file={path}", *names], check=True)
    assert run_here("image", "import", path, "small").returncode == 0
    works(run_here("run", "small", "/program", "--version"))
    made = (state / "images/small").resolve()
    assert list((made / "dev").iterdir()) == [] and (made / "etc/dev/file").exists()


def test_tarball_that_changes_is_taken_anew(run_here: Run, root: Path, tarball: Path) -> None:
    works(run_here("run", tarball, "/program", "--version"))
    assert run_here("run", tarball, "/program", "--version").stderr == ""
    (root / "program").rename(root / "other")
    pack(root, tarball)
    works(run_here("run", tarball, "/other", "--version"))


def test_directory_is_copied_and_taken_anew_when_it_changes(run_here: Run, root: Path) -> None:
    works(run_here("run", root, "/program", "--version"))
    assert run_here("run", root, "/program", "--version").stderr == ""
    (root / "program").rename(root / "other")
    works(run_here("run", root, "/other", "--version"))


@pytest.mark.parametrize("absolute", [True, False])
def test_a_link_to_a_directory_is_the_directory(absolute: bool, run_here: Run, root: Path, tmp_path: Path) -> None:
    root.chmod(0o700)
    link = tmp_path / "link"
    link.symlink_to(root if absolute else root.name)
    works(run_here("run", link, "/program", "--version"))
    assert root.stat().st_mode & 0o777 == 0o700, "it was written to"
    assert run_here("run", link, "/program", "--version").stderr == ""


def test_tarball_by_url_with_its_checksum(run_here: Run, tarball: Path) -> None:
    content = tarball.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    with serving(content) as server:
        url = f"{server.url}/small.tar.gz"
        assert run_here("image", "import", f"{url}#sha256={sha256}", "small").returncode == 0
        wrong = run_here("image", "import", f"{url}#sha256={'0' * 64}", "wrong")
        assert_told(wrong, 3, "checksum mismatch")
    assert "wrong" not in run_here("list-images", "--pulled").stdout


@pytest.mark.parametrize("list_format", ["{sha256}  small.tar.gz\n", "SHA256 (small.tar.gz) = {sha256}\n"])
def test_tarball_with_its_distributors_list(list_format: str, run_here: Run, tarball: Path) -> None:
    sha256 = hashlib.sha256(tarball.read_bytes()).hexdigest()
    sums = tarball.with_name("SHA256SUMS")
    sums.write_text(list_format.format(sha256=sha256))
    reference = f"{tarball}#sha256sums=SHA256SUMS"
    assert run_here("image", "import", reference, "small").returncode == 0
    sums.write_text(list_format.format(sha256="0" * 64))
    assert_told(run_here("image", "import", reference, "small"), 3, "checksum mismatch")
    sums.write_text("")
    assert_told(run_here("image", "import", reference, "small"), 3, "has no checksum of small.tar.gz")
    works(run_here("run", "small", "/program", "--version"))


def test_download_that_is_cut_off_is_gone_on_with(run_here: Run, tarball: Path, tmp_path: Path) -> None:
    content = tarball.read_bytes()
    downloads = {"POSTROJ_DOWNLOADS_DIR": str(tmp_path / "downloads")}
    with serving(content) as server:
        server.cut_after = len(content) // 5  # it is tried three times
        url = f"{server.url}/small.tar.gz"
        assert_told(run_here("image", "import", url, "small", **downloads), 3, "run again to resume")
        server.cut_after = 0
        assert run_here("image", "import", url, "small", **downloads).returncode == 0
        assert server.answers[-1] == 206


def test_export_can_be_imported(run_here: Run, tarball: Path, tmp_path: Path) -> None:
    assert run_here("image", "import", tarball, "small").returncode == 0
    exported = tmp_path / "exported.tar.zst"
    assert run_here("image", "export", "small", exported).returncode == 0
    assert run_here("image", "import", exported, "again").returncode == 0
    works(run_here("run", "again", "/program", "--version"))
    assert_told(run_here("image", "export", "small", tmp_path / "x.zip"), 2, "does not say how to pack it")
    assert_told(run_here("image", "export", "small", tmp_path / "no/x.tar"), 2, f"there is no directory {tmp_path}/no")
    (tmp_path / "x.tar").mkdir()
    assert_told(run_here("image", "export", "small", tmp_path / "x.tar"), 2, f"{tmp_path}/x.tar is a directory")
    assert_told(
        run_here("image", "import", tmp_path / "no.tar", "new"), 2, f"there is no file or directory {tmp_path}/no.tar"
    )


def test_a_killed_export_leaves_nothing(environment: dict[str, str], bookworm: str, tmp_path: Path) -> None:
    whole = tmp_path / "x.tar"
    whole.write_text("as it was")
    with started([POSTROJ, "image", "export", bookworm, whole], environment) as process:
        until(lambda: _has_written(process.pid, tmp_path), "it writes")
        process.kill()
        process.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"] and whole.read_text() == "as it was"


def _has_written(pid: int, directory: Path) -> bool:
    """Whether the process has a file open in a directory that has something in it, with or without a name."""
    with suppress(OSError):
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            if fd.readlink().is_relative_to(directory) and fd.stat().st_size > 1 << 20:
                return True
    return any(path.stat().st_size > 1 << 20 for path in directory.iterdir())


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> Fill:
    def fill(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        archive.addfile(info)

    return fill


@pytest.mark.parametrize(
    ("fill", "told"),
    [
        (member("/etc/passwd"), "has an absolute path: /etc/passwd"),
        (member("../../etc/passwd"), "has a path that leads out of it: ../../etc/passwd"),
        (member("a/../../b"), "has a path that leads out of it"),
        (member("sda", tarfile.BLKTYPE), "has a device node outside /dev: sda"),
        (member("./etc/dev/null", tarfile.CHRTYPE), "has a device node outside /dev: ./etc/dev/null"),
        (member(".//dev/null", tarfile.CHRTYPE), "has a device node outside /dev: .//dev/null"),
        (member("passwd", tarfile.LNKTYPE, "/etc/passwd"), "has a hard link out of it: passwd to /etc/passwd"),
        (member("passwd", tarfile.LNKTYPE, "../../etc/passwd"), "has a hard link out of it"),
        (lambda archive: None, "is empty, or not a tar archive"),
    ],
    ids=["absolute", "up", "through", "block", "character", "slashes", "link", "link-up", "empty"],
)
def test_archive_that_is_no_root_file_system(
    fill: Fill, told: str, run_here: Run, tarball: Path, tmp_path: Path, state: Path
) -> None:
    assert run_here("image", "import", tarball, "small").returncode == 0
    before = (state / "images/small").readlink()
    path = made(tmp_path / "bad.tar", fill)
    assert_told(run_here("image", "import", path, "small"), 3, "small cannot be imported: ", told)
    assert (state / "images/small").readlink() == before
    assert image_debris(state / "images") == set()


def test_file_through_a_link_stays_inside(run_here: Run, tmp_path: Path, state: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    def fill(archive: tarfile.TarFile) -> None:
        member("way", tarfile.SYMTYPE, str(outside))(archive)
        info = tarfile.TarInfo("way/file")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))

    assert_told(run_here("image", "import", made(tmp_path / "bad.tar", fill), "small"), 3, "small cannot be imported: ")
    assert list(outside.iterdir()) == []
    assert image_debris(state / "images") == set()


@pytest.mark.parametrize("ending", _PACKED)
def test_archive_that_is_cut_off(ending: str, run_here: Run, root: Path, tmp_path: Path, state: Path) -> None:
    path = pack(root, tmp_path / f"small{ending}")
    os.truncate(path, path.stat().st_size // 2)
    assert_told(run_here("image", "import", path, "small"), 3, "is damaged, or not a tar archive")
    assert image_debris(state / "images") == set()


def test_directory_that_is_none(run_here: Run, root: Path, tmp_path: Path, state: Path) -> None:
    (root / "etc/os-release").unlink()
    assert_told(run_here("image", "import", root, "small"), 3, "it has no etc/os-release")
    assert_told(run_here("run", tmp_path / "nothing", "true"), 125, "there is no file or directory")
    assert image_debris(state / "images") == set()


def test_disk_that_fills_up(tarball: Path, environment: dict[str, str], tmp_path: Path, root: Path) -> None:
    (root / "large").write_bytes(os.urandom(20_000_000))
    path = pack(root, tmp_path / "large.tar")
    state = tmp_path / "state"
    state.mkdir()
    env = {**environment, "POSTROJ_STATE_DIR": str(state)}
    for source in (path, root):
        done = with_small_disk(state, "size=10m", ["image", "import", str(source), "small"], env)
        assert "small cannot be imported: the disk is full" in done.stderr, done.stderr
        assert done.returncode == 3
        left = {line for line in done.stdout.splitlines() if line.startswith("left: ")}
        assert left <= {"left: images", "left: images/.trees"}


@pytest.mark.parametrize("name", ["Upper", "-x", "a/b", "../x", "", "x" * 64])
def test_name_that_no_image_can_have(name: str, run_here: Run, tarball: Path) -> None:
    done = run_here("image", "import", "--", tarball, name)
    assert_refused(done, 2, "cannot be the name of an image")


def test_layout_that_is_damaged(run_here: Run, tmp_path: Path) -> None:
    path = tmp_path / "layout"
    run("cp", "--archive", layout(PROGRAM), path)
    for blob in (path / "blobs/sha256").iterdir():
        if not blob.read_bytes().startswith(b"{"):
            blob.write_bytes(blob.read_bytes()[:100])
    done = run_here("pull", f"oci:{path}:it")
    assert done.returncode == 3, done.stderr
