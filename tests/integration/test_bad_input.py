"""Wrong usage is told in one sentence before anything boots, with status 2 (125 for run)."""

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import debs
from badinput import assert_refused
from support import NOBODY, POSTROJ, Run

pytestmark = pytest.mark.once

Refused = Callable[..., None]


@pytest.fixture
def refused(postroj: Run, bookworm: str) -> Refused:
    """Assert that a pkgprobe with these further options is refused."""

    def check(*options: str | Path, told: tuple[str, ...] = ()) -> None:
        assert_refused(postroj("pkgprobe", "--image", bookworm, *options, timeout=60), 2, *told)

    return check


# --- the words ---


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ("--bogus", 2, "--bogus"),
        ("bogus", 2, "'bogus'"),
        ("rnu debian-bookworm true", 2, "did you mean run?"),
        ("exec no-such-machine sh", 125, "no machine named no-such-machine is running"),
        ("pkgprobe", 2, "nothing to check"),
        ("pkgprobe --check-unit=x", 2, "no image to use"),
        ("pkgprobe --package=nginx", 2, "name does not tell which image to use"),
        ("pkgprobe --image=debian-bookworm --bogus", 2, "--bogus"),
        ("pkgprobe --image=debian-bookworm", 2, "nothing to check"),
        ("pkgprobe --imag=debian-bookworm", 2, "--image"),
        ("pkgprobe --image=debian-bookworm --timeout=soon", 2, "'soon' is not a number of seconds"),
        ("pkgprobe --image=debian-bookworm --timeout=nan", 2, "'nan' is not a number of seconds"),
        ("pkgprobe --image=debian-bookworm --network-timeout=-1", 2, "'-1' is not a number of seconds"),
        ("pkgprobe --image=debian-bookworm --stay-active=nan", 2, "'nan' is not a number of seconds"),
        ("pkgprobe --image=debian-bookworm --stay-active=-1", 2, "'-1' is not a number of seconds: write 0 to"),
        ("pull", 2, "name the images"),
        ("pull --all debian-bookworm", 2, "name the images"),
        ("list-images --format=xml", 2, "'xml'"),
        ("run", 125, "required: IMAGE"),
        ("run --bogus debian-bookworm true", 125, "--bogus"),
        ("run debian-bookworm", 125, "no command"),
        ("run debian-bookworm --", 125, "no command"),
        ("run --timeout=0 debian-bookworm true", 125, "'0' is not a number of seconds"),
        ("run --env=1=2 debian-bookworm true", 125, "'1=2' is not a variable"),
        ("run --workdir=tmp debian-bookworm true", 125, "--workdir=tmp is not an absolute path"),
        ("run --user='-x y' debian-bookworm true", 125, "'-x y' cannot be a user's name"),
        ("run --name=Not_This debian-bookworm true", 125, "'Not_This' cannot be a machine's name"),
        ("run --bind=/no/such/thing debian-bookworm true", 125, "there is no /no/such/thing"),
        ("run --bind=/etc:../etc debian-bookworm true", 125, "'../etc' cannot be bound to"),
        ("run -t debian-bookworm true", 125, "-t needs a terminal"),
    ],
)
def test_wrong_words(postroj: Run, bookworm: str, words: str, status: int, told: str) -> None:
    assert_refused(postroj(*shlex.split(words)), status, told)


def test_no_words(postroj: Run) -> None:
    done = postroj()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: postroj ")
    assert "pkgprobe" in done.stderr


# --- images ---


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("debian-bokworm", "did you mean debian-bookworm"),
        ("bookworm", "did you mean debian-bookworm"),
        ("debian-99", "there is no version '99' of debian"),
        ("slackware", "list-images"),
        ("../debian-bookworm", "there is no file or directory /"),
        (".trees", "there is no image '.trees'"),
        ("", "there is no image ''"),
    ],
)
@pytest.mark.parametrize("command", ["pkgprobe", "run", "pull"])
def test_unknown_image(postroj: Run, command: str, name: str, told: str) -> None:
    words = {"pkgprobe": ["--image", name, "--check-unit=dbus"], "run": [name, "true"], "pull": [name]}[command]
    assert_refused(postroj(command, *words), 125 if command == "run" else 2, told)


def test_unknown_image_is_told_before_another_is_pulled(postroj: Run, tmp_path: Path) -> None:
    done = postroj("pull", "debian-bookworm", "debian-bokworm", env={"POSTROJ_STATE_DIR": str(tmp_path)})
    assert_refused(done, 2, "debian-bookworm")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("pkgprobe --image=debian-bookworm --check-unit=dbus", 2),
        ("pull debian-bookworm", 2),
        ("image export debian-bookworm ./x.tar", 2),
        ("run debian-bookworm true", 125),
    ],
)
def test_not_root(environment: dict[str, str], words: str, status: int) -> None:
    done = subprocess.run(
        [*NOBODY, POSTROJ, *words.split()], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment
    )
    assert_refused(done, status, "needs root", f"sudo postroj {words.split()[0]}")


# --- packages ---


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("./no-such.deb", "there is no file ./no-such.deb"),
        ("no-such.deb", "there is no file no-such.deb"),
        (".", "the directory . has no package in it (.deb, .rpm, .pkg.tar.zst, .msi, .pkg)"),
        ("/etc", "the directory /etc has no package in it"),
        ("/dev/null", "/dev/null is not a file"),
        ("", "neither a file nor a package's name"),
        ("-oDpkg::Pre-Invoke::=reboot", "neither a file nor a package's name"),
        ("--yes", "neither a file nor a package's name"),
        ("two words", "neither a file nor a package's name"),
        ("two\nlines", "neither a file nor a package's name"),
        ("webfs; reboot", "neither a file nor a package's name"),
        ("$(reboot)", "neither a file nor a package's name"),
        ("webfs*", "no file matches webfs*"),
        ("dbus-", "neither a file nor a package's name"),
        ("Nginx", "is not a package's name for apt, which debian-bookworm has"),
        ("nginx=", "neither a file nor a package's name"),
        ("ftp://localhost/x.deb", "unknown scheme"),
        ("file:///etc/passwd", "is a file of this host: write its path"),
        ("file://localhost/etc/passwd", "--package=/etc/passwd"),
        ("http:///x.deb", "is not an http or https URL"),
        ("http://[::1/x.deb", "'http://[::1/x.deb'"),
        ("http://localhost:abc/x.deb", "'http://localhost:abc/x.deb'"),
        ("http://localhost:99999/x.deb", "'http://localhost:99999/x.deb'"),
        ("http://local host/x.deb", "'http://local host/x.deb'"),
        ("http://localhost/x\ny.deb", "percent-encoded"),
        ("http://localhost/x.deb#md5=0", "'#md5=0' is not a checksum"),
        ("http://localhost/x.deb#sha256=0123", "'#sha256=0123' is not a checksum"),
        ("http://localhost/x.deb#sha256=" + "g" * 64, "64 hexadecimal digits"),
    ],
)
def test_package_that_cannot_be(refused: Refused, reference: str, told: str) -> None:
    refused(f"--package={reference}", told=(told,))


@pytest.fixture
def deb(tmp_path: Path) -> Path:
    return debs.build(tmp_path, "sound", payload=os.urandom(64 * 1024))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("keep", "why"),
    [
        (4, "not an ar archive"),
        (40, "cut off"),
        (200, "cut off"),
        (20_000, "cut off"),
        (-1, "cut off"),
    ],
)
def test_package_file_cut_off(refused: Refused, deb: Path, tmp_path: Path, keep: int, why: str) -> None:
    cut = written(tmp_path / "cut.deb", deb.read_bytes()[:keep])
    refused("--package", cut, told=(f"{cut} is not a Debian package", why))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"hello, this is a text\n" * 100, "is not a Debian package"),
        (b"\xed\xab\xee\xdb" + bytes(100), "is not an RPM package"),
        (b"!<arch>\n" + bytes(1000), "is not a Debian package"),
        (b"\x7fELF" + bytes(1000), "is not a Debian package"),
    ],
    ids=["text", "rpm", "empty archive", "program"],
)
def test_package_file_of_another_kind(refused: Refused, tmp_path: Path, content: bytes, told: str) -> None:
    path = written(tmp_path / "other.deb", content)
    refused("--package", path, told=(str(path), told))


def test_package_file_damaged_in_its_control(refused: Refused, deb: Path, tmp_path: Path) -> None:
    content = bytearray(deb.read_bytes())
    start = content.index(b"control.tar") + 60
    content[start + 20 : start + 60] = bytes(40)
    path = written(tmp_path / "damaged.deb", bytes(content))
    refused("--package", path, told=(f"{path} is not a Debian package",))


@pytest.mark.parametrize("compression", ["gzip", "xz", "zstd", "none"])
def test_package_for_another_architecture(refused: Refused, tmp_path: Path, compression: str) -> None:
    package = debs.build(tmp_path, "foreign", fields={"Architecture": "s390x"}, compression=compression)
    refused("--package", package, told=(f"{package} is for s390x", "debian-bookworm is "))


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("{}/*.rpm", "no file matches {}/*.rpm"),
        ("{}/*.deb", "{}/*.deb has packages for amd64 and arm64"),
        ("{}", "{} has packages for amd64 and arm64"),
        ("{}/empty", "the directory {}/empty has no package in it"),
    ],
)
def test_glob_or_directory(refused: Refused, tmp_path: Path, reference: str, told: str) -> None:
    (tmp_path / "empty").mkdir()
    for architecture in ("amd64", "arm64"):
        fields = {"Architecture": architecture}
        debs.build(tmp_path / architecture, "two", fields=fields).rename(tmp_path / f"two_{architecture}.deb")
    refused("--package", reference.format(tmp_path), told=(told.format(tmp_path),))


def test_package_that_is_a_pipe(refused: Refused, tmp_path: Path) -> None:
    """As the shell's <(…) makes them: nobody may ever write to it."""
    os.mkfifo(tmp_path / "pipe.deb")
    refused("--package", tmp_path / "pipe.deb", told=("is not a file",))


def test_second_package_is_looked_at_before_the_first_is_fetched(refused: Refused) -> None:
    refused("--package=http://localhost:1/x.deb", "--package=./no-such.deb", told=("there is no file",))
    refused("--package=http://localhost:1/x.deb", "--package=http://localhost:1/#md5=", told=("checksum",))


# --- units and addresses ---


@pytest.mark.parametrize(
    ("unit", "told"),
    [
        ("../x", "is a path, not a unit's name"),
        ("-x", "cannot be a unit's name"),
        ("/etc/x.service", "name the unit: x.service"),
        ("two words", "cannot be a unit's name"),
        ("two\nlines", "cannot be a unit's name"),
        ("", "cannot be a unit's name"),
        (".service", "cannot be a unit's name"),
        ("x" * 300, "cannot be a unit's name"),
        ("foo@.service", "foo@NAME.service"),
        ("foo@", "foo@NAME.service"),
    ],
)
def test_unit_that_cannot_be(refused: Refused, unit: str, told: str) -> None:
    refused(f"--check-unit={unit}", told=(told,))


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("tcp://localhost", "has no port"),
        ("tcp://localhost:", "has no port"),
        ("localhost:80", "has no known scheme"),
        ("8080", "has no known scheme"),
        ("", "has no known scheme"),
        ("udp://localhost:53", "has no known scheme"),
        ("gopher://localhost", "has no known scheme"),
        ("tcp://:80", "names no host"),
        ("http://", "names no host"),
        ("tcp://local host:80", "tcp://local host:80"),
        ("tcp://localhost:80\n", "tcp://localhost:80"),
        (" tcp://localhost:80", "tcp://localhost:80"),
        ("tcp://localhost:80 ", "tcp://localhost:80"),
        ("http://localhost/two words", "percent-encoded"),
        ("tcp://localhost:80/path", "has a path"),
        ("tcp://localhost:65536", "Port out of range"),
        ("tcp://localhost:0", "port"),
        ("tcp://localhost:-1", "-1"),
        ("tcp://localhost:http", "http"),
        ("tcp://[::1", "Invalid IPv6 URL"),
    ],
)
def test_address_that_cannot_be(refused: Refused, address: str, told: str) -> None:
    refused(f"--check-network={address}", told=(told,))
