"""What root in a guest may try against its host is refused, and the host is what it was.

Each attempt is made once more where it comes through, so that it is known to try the right thing.
"""

import re
import subprocess
from pathlib import Path

import pytest

from attempts import ATTEMPTS, MADE_IT, PRIVILEGED
from guests import guest
from moments import until
from support import STATE, Run


@pytest.mark.parametrize("name", ATTEMPTS)
def test_refused(name: str, bookworm: str, postroj: Run, tmp_path: Path) -> None:
    attempt = ATTEMPTS[name]
    with attempt.stage(tmp_path) as stage:
        before = stage.witness()
        done = postroj("run", *stage.options, bookworm, "sh", "-c", attempt.script, "sh", *stage.words)
        assert MADE_IT not in done.stdout
        assert re.search(attempt.refusal, done.stderr, re.DOTALL), done.stderr
        assert stage.witness() == before


@pytest.mark.parametrize("name", ATTEMPTS)
def test_made_elsewhere(name: str, bookworm: str, postroj: Run, tmp_path: Path) -> None:
    attempt = ATTEMPTS[name]
    with attempt.stage(tmp_path) as stage:
        if stage.unfit:
            pytest.skip(f"this host lets nobody do it: {stage.unfit}")
        before = stage.witness()
        command = ["sh", "-c", attempt.script, "sh", *map(str, stage.words)]
        if attempt.control == PRIVILEGED:
            done = postroj("run", "--privileged", *stage.options, bookworm, *command)
        else:
            privately = ["unshare", "--mount", "--propagation", "private"]
            done = subprocess.run([*privately, *command], capture_output=True, text=True, timeout=60, check=False)
        assert MADE_IT in done.stdout, done.stderr
        if stage.seen:
            until(lambda: stage.witness() != before, "the host shows it", 10)


def test_devices_are_those_that_do_no_harm(bookworm: str, postroj: Run) -> None:
    done = postroj("run", bookworm, "find", "/dev", "-type", "b", "-o", "-type", "c", "-not", "-path", "/dev/pts/*")
    assert set(done.stdout.split()) <= {
        *(f"/dev/{name}" for name in ("console", "full", "fuse", "null", "random", "tty", "urandom", "zero")),
        "/dev/net/tun",
    }


def test_host_name_is_the_guests_own(bookworm: str, environment: dict[str, str]) -> None:
    before = Path("/proc/sys/kernel/hostname").read_text(), Path("/proc/sys/kernel/domainname").read_text()
    with guest(environment, bookworm) as one:
        assert one.ask("hostname other; domainname elsewhere; hostname; domainname") == (0, "other\nelsewhere\n")
        assert (
            Path("/proc/sys/kernel/hostname").read_text(),
            Path("/proc/sys/kernel/domainname").read_text(),
        ) == before


_SECRET = "/root/secret-of-the-other"


def test_files_of_another_machine(bookworm: str, environment: dict[str, str]) -> None:
    """Neither by its directory on the host nor by its processes; the host itself finds them by those."""
    find = f"for root in '' /proc/[0-9]*/root /run/postroj/*/mounts/*; do cat \"$root{_SECRET}\"; done 2>/dev/null"
    with guest(environment, bookworm) as other, guest(environment, bookworm) as one:
        other.ask(f"echo secret >{_SECRET}")
        assert one.ask(find).output == ""
        assert one.ask("ls /run/postroj").output == "ls: cannot access '/run/postroj': No such file or directory\n"
        on_the_host = subprocess.run(["sh", "-c", find], capture_output=True, text=True, check=False)
        assert set(on_the_host.stdout.split()) == {"secret"}


def test_users_are_nobody_on_the_host_and_in_no_other_machine(
    bookworm: str, environment: dict[str, str], tmp_path: Path
) -> None:
    with guest(environment, bookworm) as one, guest(environment, bookworm) as other:
        owners = [Path(f"/proc/{leader}").stat().st_uid for leader in (one.leader, other.leader)]
        assert min(owners) >= 0x30000000
        assert abs(owners[0] - owners[1]) >= 1 << 20


@pytest.mark.parametrize("options", [(), ("--privileged",)], ids=["by default", "privileged"])
def test_image_is_what_it_was(options: tuple[str, ...], bookworm: str, postroj: Run) -> None:
    """Whatever the guest does to its files."""
    script = (
        "rm -rf /usr/share/doc /var/lib/dpkg/info; chown -R games /etc; chmod -R 0 /var/cache; echo x >>/usr/bin/sh;"
        " echo x >/etc/passwd; touch /usr/lib/os-release; setfattr -n user.x -v 1 /etc/fstab; echo done"
    )
    before = _listing(bookworm)
    assert any("usr/lib/os-release " in line for line in before)
    assert "done\n" in postroj("run", *options, bookworm, "sh", "-c", script).stdout
    assert _listing(bookworm) == before
    assert postroj("image", "verify", bookworm).stdout == f"ok  {bookworm}\n"


def _listing(image: str) -> set[str]:
    tree = Path(STATE, "images", image).resolve()  # without the note beside it of when it was used
    # Without the times of change: other hosts of the tests have the same files by hard links, which come and go.
    described = ["find", str(tree), "-printf", "%P %y %m %U %G %s %T@ %i\\n"]
    return set(subprocess.run(described, capture_output=True, text=True, check=True).stdout.splitlines())
